//! A page of notes that a few people share, without a server anywhere: one endpoint has it, the others open it in their
//! browsers through `telemesh gateway`.
//!
//! [`app`] is an ordinary axum application that knows nothing of telemesh. This file gives it an endpoint.

#![allow(clippy::print_stdout, reason = "it tells what to type at the other end")]

mod app;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use telemesh::thtp::SERVE;
use telemesh::{HttpServer as _, Invite};

/// People who may use the invite.
const READERS: u32 = 10;

/// How long it may be used.
const VALID: Duration = Duration::from_secs(60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("notes"), PathBuf::from);
    tokio::fs::create_dir_all(&folder).await?;
    let keys = telemesh::load_or_create_keys(folder.join("endpoint/key"))?;
    let store = telemesh::FileStore::open(folder.join("endpoint/store.redb"))?;
    let mesh = telemesh::builder(keys).store(std::sync::Arc::new(store)).create().await?;
    mesh.serve_http(app::router(folder.join("notes.txt")).await?)?;

    let invite = Invite::once().uses(READERS).valid_for(VALID).grant(SERVE.parse()?);
    let invite = mesh.invite(invite)?.to_secret_string();
    println!(
        "The notes are in {}. Whoever types this within the hour can read and write them:",
        folder.display()
    );
    println!();
    println!("  telemesh accept '{}' --as notes", *invite);
    println!("  telemesh gateway");
    println!();
    println!("and opens in a browser what that prints.");
    tokio::signal::ctrl_c().await?;
    let _ = mesh.close().await;
    Ok(())
}

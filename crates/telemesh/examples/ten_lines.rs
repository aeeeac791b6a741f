//! Two endpoints, an invite, a link and a stream. Run it with `cargo run -p telemesh --example ten_lines`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use telemesh::{Invite, StreamAcceptor as _, StreamOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let mut streams = alice.on_stream()?;
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    let link = bob.link(alice.invite(Invite::once())?).await?;
    let mut stream = link.stream().await?;
    stream.write_all(b"hello from bob").await?;
    stream.shutdown().await?;
    let mut text = String::new();
    streams.next().await.ok_or("no stream came")?.channel.read_to_string(&mut text).await?;
    println!("alice has read: {text}");
    Ok(())
}

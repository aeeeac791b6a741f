//! Copies files and folders over a link in memory, with progress, as a program over a mesh would send them. Run it with
//! `cargo run -p telemesh-files --example copy -- FROM… TO`; again after an interruption, it goes on where it stopped.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor as _, memory};
use telemesh_files::{FILES, Offer, Progress, Receiver, Target, escaped, send};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths: Vec<_> = std::env::args().skip(1).collect();
    let Some(to) = paths.pop().filter(|_| !paths.is_empty()) else {
        return Err("usage: copy FROM… TO".into());
    };
    let pair = memory::pair();
    pair.right.handle(FILES, Arc::new(Receiver::new(Target::open(to)?)))?;

    let offer = Offer::scan(paths).await?;
    println!("{} files, {} bytes", offer.files(), offer.bytes());
    for problem in offer.left_out() {
        println!("left out: {problem}");
    }
    let progress = Progress::new();
    let sending = send(&*pair.to_right, &offer, &progress);
    tokio::pin!(sending);
    let report = loop {
        tokio::select! {
            report = &mut sending => break report?,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                let now = progress.now();
                println!("{} of {} bytes: {}", now.bytes, now.bytes_total, escaped(&progress.current()));
            }
        }
    };
    println!("{} files there, {} bytes sent now", report.files, report.bytes_transferred);
    for problem in &report.problems {
        println!("not there: {problem}");
    }
    Ok(())
}

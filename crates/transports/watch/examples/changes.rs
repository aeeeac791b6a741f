//! Prints what changes about this machine's network for a minute. `cargo run -p telemesh-watch --example changes`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use telemesh_transport::NetworkWatch as _;
use telemesh_watch::{Snapshot, SystemWatch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let watch = SystemWatch::open()?;
    println!("{:?}", Snapshot::take()?);
    let follow = async {
        loop {
            println!("{:?}", poll_fn(|cx| watch.poll_changed(cx)).await?);
            println!("{:?}", Snapshot::take()?);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow).await.unwrap_or(Ok(()))
}

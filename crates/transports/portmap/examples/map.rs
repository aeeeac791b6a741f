//! Asks this network's gateway for a way in to a port, and gives it back after a minute.
//! `cargo run -p telemesh-portmap --example map 42424`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::future::poll_fn;
use std::num::NonZeroU16;
use std::time::Duration;

use telemesh_portmap::{Options, PortMapper};
use telemesh_transport::PortMapping as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: NonZeroU16 = std::env::args().nth(1).ok_or("which port?")?.parse()?;
    let mapper = PortMapper::open(Options::default())?;
    mapper.map(port);
    let follow = async {
        loop {
            match poll_fn(|cx| mapper.poll_mapped(cx)).await {
                Some(address) => println!("{address} leads here"),
                None => println!("nothing leads here"),
            }
        }
    };
    let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(60), follow).await;
    poll_fn(|cx| mapper.poll_released(cx)).await;
    Ok(())
}

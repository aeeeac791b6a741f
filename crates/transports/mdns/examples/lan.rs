//! Prints who announces themselves on the local network, and with `announce` announces a made-up endpoint for a minute.
//! `cargo run -p telemesh-mdns --example lan`, and in a second shell `cargo run -p telemesh-mdns --example lan announce`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::future::poll_fn;
use std::net::IpAddr;
use std::time::Duration;

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_mdns::Mdns;
use telemesh_transport::{Announcement, Discovery, DiscoveryEvent, PathAddress};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mdns = Mdns::open()?;
    println!("listening on {} interfaces for a minute", mdns.interfaces());
    if std::env::args().nth(1).as_deref() == Some("announce") {
        let announcement = made_up()?;
        println!("announcing {}", announcement.hashname);
        mdns.announce(&announcement)?;
    }
    let listen = async {
        loop {
            match poll_fn(|cx| mdns.poll_discovered(cx)).await? {
                DiscoveryEvent::Found(found) => println!("+ {} at {:?}", found.hashname, found.paths),
                DiscoveryEvent::Gone(hashname) => println!("- {hashname}"),
                _ => {}
            }
        }
    };
    let ended: Result<Result<(), std::io::Error>, _> =
        tokio::time::timeout(Duration::from_secs(60), listen).await;
    mdns.withdraw();
    ended.unwrap_or(Ok(()))?;
    Ok(())
}

/// An endpoint with keys that open nothing, at the discard port of this machine's addresses.
fn made_up() -> Result<Announcement, Box<dyn Error>> {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &std::process::id().to_be_bytes())?;
    let addresses = if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip());
    let paths = addresses.filter(|ip: &IpAddr| !ip.is_loopback()).map(|ip| PathAddress::Udp((ip, 9).into()));
    Ok(Announcement { hashname: keys.hashname()?, keys, paths: paths.collect() })
}

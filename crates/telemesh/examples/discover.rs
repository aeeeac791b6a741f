//! Finds others on the local network, and is found by them for two minutes.
//! Run it on two machines of one network: `cargo run -p telemesh --example discover`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use telemesh::{Discover, Via};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mesh = telemesh::create(telemesh::generate_keys()?).await?;
    println!("we are {}", mesh.hashname());
    let time = Duration::from_secs(120);
    // Until here nothing was sent; from here on the network hears of us, and after two minutes no more.
    mesh.discover(Discover::For(time));

    let mut discovered = mesh.discovered();
    let meet = async {
        while let Some(somebody) = discovered.next().await {
            match somebody.via {
                // Anybody can announce anything, so it takes a person to decide. This example trusts everybody.
                Via::Network => println!("{} is nearby, at {:?}", somebody.hashname, somebody.paths),
                _ => println!("{} asks for a link", somebody.hashname),
            }
            let mesh = mesh.clone();
            tokio::spawn(async move {
                match mesh.link(somebody).await {
                    Ok(link) => println!("linked with {}", link.hashname()),
                    Err(error) => println!("no link: {error}"),
                }
            });
        }
    };
    let _ = tokio::time::timeout(time, meet).await;
    let _ = mesh.close().await;
    Ok(())
}

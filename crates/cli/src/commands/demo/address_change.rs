//! New sockets on new ports at both ends while a transfer runs, as when a telephone leaves its wireless network.

use std::net::SocketAddr;
use std::time::Duration;

use telemesh::{Hashname, Link, Mesh, PathAddress};
use tokio::time::Instant;

use super::endpoint::{self, Endpoint};
use super::report::Outcome;
use super::{speed, transfer};

/// How long an end may take to notice where the other one is now.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);

/// Transfers from Bob to Alice. Bob moves after a third of it, Alice after another.
pub(super) async fn run(link: &Link, alice: &mut Endpoint, bob: &Endpoint, size: u64) -> Outcome<()> {
    let before = [alice.address(), bob.address()];
    let ups = link.state().ups;
    let meshes = (alice.mesh.clone(), bob.mesh.clone());
    let mut moved = 0;
    let sent = move |position| -> telemesh::channel::BoxFuture<'static, _> {
        let (alice, bob) = meshes.clone();
        if moved == 0 && position >= size / 3 {
            moved = 1;
            Box::pin(async move { Ok(bob.network_changed()?) })
        } else if moved == 1 && position >= size / 3 * 2 {
            moved = 2;
            Box::pin(async move {
                // If both moved at once nobody could tell either where the other went.
                noticed(&alice, &bob.hashname(), endpoint::address(&bob)).await?;
                Ok(alice.network_changed()?)
            })
        } else {
            transfer::undisturbed(position)
        }
    };
    let time = transfer::run(link, &mut alice.streams, size, sent).await?;
    let after = [alice.address(), bob.address()];
    if before.iter().zip(&after).any(|(before, after)| before == after) {
        return Err("an address did not change".into());
    }
    if link.state().ups != ups {
        return Err("the link was lost in between".into());
    }
    Ok(((), format!("not a byte lost, {} MiB/s", speed(size, time))))
}

/// Waits until an endpoint sends to the other's new address.
async fn noticed(mesh: &Mesh, peer: &Hashname, address: Option<SocketAddr>) -> transfer::Result<()> {
    let link = mesh.find(peer).ok_or("there is no link")?;
    let deadline = Instant::now() + NOTICE_LIMIT;
    while link.path().map(|path| path.address) != address.map(PathAddress::Udp) {
        if Instant::now() > deadline {
            return Err(format!("the new address was not noticed: {}", link.explain()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

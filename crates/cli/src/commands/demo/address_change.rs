//! New sockets on new ports at both ends while a transfer runs, as when a telephone leaves its wireless network.

use telemesh::Link;

use super::endpoint::Endpoint;
use super::report::Outcome;
use super::{speed, transfer};

/// Transfers from Bob to Alice. Bob moves after a third of it, Alice after another.
pub(super) async fn run(link: &Link, alice: &mut Endpoint, bob: &Endpoint, size: u64) -> Outcome<()> {
    let before = [alice.address(), bob.address()];
    let ups = link.state().ups;
    let mut moves = vec![(size / 3 * 2, alice.mesh.clone()), (size / 3, bob.mesh.clone())];
    let sent = move |position| {
        if let Some((_, mesh)) = moves.pop_if(|(at, _)| position >= *at) {
            mesh.network_changed()?;
        }
        Ok(())
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

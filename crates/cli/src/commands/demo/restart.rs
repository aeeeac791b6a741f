//! One end dies without a word and comes back as the same endpoint at the same address.

use std::time::{Duration, Instant};

use telemesh::{ChannelError, StreamOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::endpoint::Endpoint;
use super::report::Outcome;
use crate::actions::perf::measure;

/// In this time the link must be up again.
const BACK_LIMIT: Duration = Duration::from_secs(5);

/// Bob dies and comes back. What was open is told so, and what is new works.
pub(super) async fn run(alice: &mut Endpoint, mut bob: Endpoint) -> Outcome<()> {
    let address = bob.address().ok_or("bob has no address")?;
    let to_bob = alice.mesh.find(&bob.mesh.hashname()).ok_or("alice has no link to bob")?;
    // One stream opened by each end, and something sent through both.
    let mut by_alice = to_bob.stream().await?;
    by_alice.write_all(b"are you there?").await?;
    let at_bob = bob.streams.next().await.ok_or("bob takes no streams")?;
    let to_alice = bob.mesh.find(&alice.mesh.hashname()).ok_or("bob has no link to alice")?;
    let mut by_bob = to_alice.stream().await?;
    by_bob.write_all(b"are you there?").await?;
    let mut at_alice = alice.streams.next().await.ok_or("alice takes no streams")?.channel;

    let remains = bob.die();
    drop((at_bob, by_bob, to_alice));
    let died = Instant::now();
    let (mesh, _streams) = remains.come_back(address).await?;
    let link = mesh.link(alice.info()).await?;
    let back = died.elapsed();
    if back > BACK_LIMIT {
        return Err(format!("it took {:.1} s to come back", back.as_secs_f64()).into());
    }
    for channel in [&mut by_alice, &mut at_alice] {
        let ended = tokio::time::timeout(BACK_LIMIT, channel.read_to_end(&mut Vec::new())).await;
        match ended.map_err(|_| "an old channel did not end")? {
            Err(error) if ChannelError::of(&error) == Some(&ChannelError::PeerRestarted) => {}
            Err(error) => return Err(format!("an old channel ended with: {error}").into()),
            Ok(_) => return Err("an old channel ended as if all was well".into()),
        }
    }
    measure::request(&link).await?;
    let closed = mesh.close().await;
    if !closed.delivered {
        return Err("what was sent after the restart was not confirmed".into());
    }
    Ok(((), format!("back after {:.1} ms, old channels ended", back.as_secs_f64() * 1_000.0)))
}

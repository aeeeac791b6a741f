//! Two endpoints that know nothing of each other but a hashname find each other through a router, and then need it no more.

use std::time::{Duration, Instant};

use telemesh::{Invite, Link};

use super::endpoint::Endpoint;
use super::report::Outcome;
use super::{MIB, speed, transfer};

/// How long the two may take to find a path without the router.
const DIRECT_LIMIT: Duration = Duration::from_secs(20);

/// Goes over the link once the router is gone.
const SIZE: u64 = 8 * MIB;

pub(super) async fn run() -> Outcome<()> {
    let router = Endpoint::router().await?;
    let (alice, mut bob) = (Endpoint::new().await?, Endpoint::new().await?);
    for end in [&alice, &bob] {
        let invite = router.mesh.invite(Invite::once().grant("router".parse()?))?;
        end.mesh.link(invite).await?.router(true);
    }
    bob.mesh.add_contact(alice.mesh.hashname())?;

    let started = Instant::now();
    let link = alice.mesh.link(bob.mesh.hashname()).await?;
    let linked = started.elapsed();
    direct(&link).await?;
    let direct = started.elapsed();
    let forwarded = router.mesh.routing().map_or(0, |stats| stats.packets);
    drop(router.die());

    let time = transfer::run(&link, &mut bob.streams, SIZE, transfer::undisturbed).await?;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    Ok((
        (),
        format!(
            "linked after {:.1} ms, direct after {:.1} ms, {forwarded} packets through the router; then it ended, {} MiB/s",
            ms(linked),
            ms(direct),
            speed(SIZE, time)
        ),
    ))
}

/// Waits until the link's data goes straight to the other end.
async fn direct(link: &Link) -> Result<(), String> {
    let deadline = Instant::now() + DIRECT_LIMIT;
    while !link.path().is_some_and(|path| path.address.is_direct()) {
        if Instant::now() > deadline {
            return Err(format!("no direct path: {}", link.explain()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

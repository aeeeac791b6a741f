//! `ping`: round trips over the link, one after the other.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::event::{Event, Ping, micros};
use crate::failure::Failure;
use crate::secret::Secret;
use crate::session::Session;

/// From one ping to the next.
const INTERVAL: Duration = Duration::from_millis(500);

/// Links to the other end and pings it.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    count: u32,
    limit: Duration,
) -> Result<(), Failure> {
    let dialled = endpoint.dial(to, limit).await?;
    let link = &dialled.link;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut answered = false;
    for seq in 1..=count {
        ticks.tick().await;
        let pong = link.ping().await.ok();
        answered |= pong.is_some();
        let hashname = link.hashname().to_string();
        let rtt_us = pong.as_ref().map(|pong| micros(pong.rtt));
        let path = pong.map(|pong| pong.path.to_string());
        session.say(Event::Ping(Ping { seq, hashname, rtt_us, path })).await?;
    }
    if answered { Ok(()) } else { Err(Failure::Unreachable("no ping was answered".into())) }
}

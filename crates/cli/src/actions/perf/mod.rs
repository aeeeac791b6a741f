//! `perf`: how fast a link is.
//!
//! [`protocol`] is what the two ends say to each other, [`measure`](mod@measure) what one of them finds out.

pub(crate) mod measure;
pub(crate) mod protocol;

use crate::actions::{path, waiting};
use crate::endpoint::Endpoint;
use crate::event::{Event, Perf};
use crate::failure::Failure;
use crate::request::{LINK_LIMIT, Measure};
use crate::secret::Secret;
use crate::session::Session;

/// What is to be measured.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) only: Option<Measure>,
    pub(super) size_mib: u64,
    /// Who wants to hear how far it is.
    pub(super) progress: Option<&'a Session>,
}

/// Answers those who measure, for as long as it is polled.
pub(super) async fn answer(endpoint: &Endpoint, session: &Session, invite: bool) -> Result<(), Failure> {
    let _answering = endpoint.hub().answer_measurements();
    let _invite = waiting::announce(endpoint, session, invite).await?;
    waiting::report_links(endpoint, session).await
}

/// Measures the link to the other end.
pub(super) async fn measure(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    wanted: Wanted<'_>,
) -> Result<(), Failure> {
    let dialled = endpoint.dial(to, LINK_LIMIT).await?;
    let link = &dialled.link;
    let measured = |what| wanted.only.is_none_or(|only| only == what);
    let mut result = Perf::default();
    // First, while nothing else is in the way.
    if measured(Measure::Rtt) {
        let trips = measure::round_trips(link).await?;
        result.rtt_p50_us = Some(trips.median_us);
        result.rtt_p99_us = Some(trips.slow_us);
    }
    if measured(Measure::Throughput) {
        let speed = measure::throughput(wanted.progress, link, wanted.size_mib).await?;
        result.throughput_mib_s = Some(speed.both);
        result.up_mib_s = Some(speed.up);
        result.down_mib_s = Some(speed.down);
    }
    if measured(Measure::Opens) {
        result.opens_per_s = Some(measure::opens(link).await?);
    }
    result.path = path(link);
    session.say(Event::Perf(result)).await?;
    endpoint.delivered(link).await
}

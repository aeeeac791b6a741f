//! A thousand small requests, as many at once as a busy program makes.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use telemesh::Link;

use super::report::Outcome;
use crate::actions::perf::measure;

const REQUESTS: u32 = 1_000;
const AT_ONCE: usize = 16;

/// Opens a channel for each request, and reads the answer.
pub(super) async fn run(link: &Link) -> Outcome<()> {
    let requests = stream::iter(0..REQUESTS).map(|_| measure::request(link));
    requests.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(((), format!("{AT_ONCE} at a time")))
}

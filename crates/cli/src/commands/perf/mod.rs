//! `telemesh perf [TO]`: how fast a link is.
//!
//! [`protocol`] is what the two ends say to each other, [`measure`] what one of them finds out.

pub(crate) mod measure;
pub(crate) mod protocol;

use std::sync::Arc;

use serde::Serialize;
use telemesh::{Acceptor as _, Link};

use crate::args::{Measure, Perf};
use crate::commands::LINK_LIMIT;
use crate::context::Context;
use crate::failure::Failure;
use crate::target;
use crate::waiting;

/// The result. What was not measured is null.
#[derive(Debug, Default, Serialize)]
struct PerfObject {
    throughput_mib_s: Option<f64>,
    rtt_p50_us: Option<f64>,
    rtt_p99_us: Option<f64>,
    opens_per_s: Option<f64>,
    path: Option<String>,
}

/// Measures the link to the other end, or answers those who measure until it is interrupted.
pub(crate) async fn run(context: &Context, options: Perf) -> Result<(), Failure> {
    let listen = &options.listen.listen;
    let Some(to) = &options.to else {
        let mesh = context.endpoint(context.waiting_identity(), listen).await?;
        mesh.handle(protocol::PERF, Arc::new(protocol::answer))?;
        waiting::announce(context, &mesh, "perf")?;
        return waiting::report_links(context, &mesh).await;
    };
    let (mesh, link) = context.dial(target::read(to)?, listen, LINK_LIMIT).await?;
    let result = measure_all(context, &link, &options).await?;
    context.output.object(&result)?;
    context.finish(&mesh).await
}

async fn measure_all(context: &Context, link: &Link, options: &Perf) -> Result<PerfObject, Failure> {
    let output = &context.output;
    let wanted = |what| options.only.is_none_or(|only| only == what);
    let mut result = PerfObject::default();
    // First, while nothing else is in the way.
    if wanted(Measure::Rtt) {
        let trips = measure::round_trips(link).await?;
        output.line(format_args!(
            "round trip  {:.0} µs median, {:.0} µs at the 99th percentile",
            trips.median_us, trips.slow_us
        ))?;
        result.rtt_p50_us = Some(trips.median_us);
        result.rtt_p99_us = Some(trips.slow_us);
    }
    if wanted(Measure::Throughput) {
        let speed = measure::throughput(output, link, options.size).await?;
        output.line(format_args!(
            "throughput  {:.0} MiB/s: {:.0} up, {:.0} down",
            speed.both, speed.up, speed.down
        ))?;
        result.throughput_mib_s = Some(speed.both);
    }
    if wanted(Measure::Opens) {
        let rate = measure::opens(link).await?;
        output.line(format_args!("opens       {rate:.0} channels per second"))?;
        result.opens_per_s = Some(rate);
    }
    let path = link.path().map(|path| path.address.to_string());
    output.line(format_args!("path        {}", path.as_deref().unwrap_or("none")))?;
    result.path = path;
    Ok(result)
}

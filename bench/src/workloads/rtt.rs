//! 64-byte requests and answers, one after the other, on one open stream.

use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    machine::{Meter, Used},
    peer::Peer,
    sample::{Findings, Settings, percentile},
    service::Echo,
};

/// Sends `requests` requests to the server at `address`, after a tenth as many that are not measured.
pub(crate) async fn client<P: Peer>(address: String, requests: u32) -> Result<Findings> {
    let mut dialer = P::dialer(&address).await?;
    let mut connection = P::connect(&mut dialer).await?;
    let mut echo = Echo::start(P::open(&mut connection).await?).await?;
    let findings = round_trips(&mut echo, requests, || P::settings(&connection)).await?;
    echo.finish().await?;
    P::close(&mut dialer, connection).await?;
    Ok(findings)
}

/// Measures `requests` round trips, after a tenth as many that are not measured. The settings are read behind them.
pub(crate) async fn round_trips<S: AsyncRead + AsyncWrite + Unpin>(
    echo: &mut Echo<S>,
    requests: u32,
    settings: impl FnOnce() -> Settings,
) -> Result<Findings> {
    for _ in 0..requests / 10 {
        echo.round_trip().await?;
    }
    let meter = Meter::start();
    let mut nanoseconds = Vec::with_capacity(requests as usize);
    for _ in 0..requests {
        let sent = Instant::now();
        echo.round_trip().await?;
        nanoseconds.push(u64::try_from(sent.elapsed().as_nanos())?);
    }
    let used = meter.read();
    findings(settings(), &used, &mut nanoseconds)
}

/// The percentiles of `nanoseconds`, one entry per round trip.
pub(crate) fn findings(settings: Settings, used: &Used, nanoseconds: &mut [u64]) -> Result<Findings> {
    let mut findings = Findings::new(settings, used);
    for (name, percent) in [("p50_us", 50), ("p99_us", 99)] {
        let value = percentile(nanoseconds, percent).context("no round trips were measured")?;
        findings.figure(name, value as f64 / 1000.0);
    }
    Ok(findings)
}

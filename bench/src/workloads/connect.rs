//! New connections, each with a first 64-byte echo, one after the other: from clients that the server has never met, and
//! again from one that it has.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{
    machine::{Meter, Used},
    peer::Peer,
    sample::{Findings, Settings, percentile},
    service::Echo,
};

/// Connections before the first that is measured.
const WARM_UP: u32 = 10;
/// How long new and old endpoints are left to themselves before a clock starts.
const SETTLE: Duration = Duration::from_secs(1);

/// Makes twice `connections` connections to the server at `address`.
///
/// CPU time is that of both ends, and includes the closing of each connection; wall time ends with the echo. Client
/// endpoints are made before the clocks start.
pub(crate) async fn client<P: Peer>(address: String, connections: u32) -> Result<Findings> {
    let mut known = P::dialer(&address).await?;
    for _ in 0..WARM_UP {
        one::<P>(&mut known).await?;
    }
    let mut strangers = Vec::with_capacity(connections as usize);
    for _ in 0..connections {
        strangers.push(P::dialer(&address).await?);
    }
    // What the new endpoints do for themselves at first belongs to nobody's connection.
    tokio::time::sleep(SETTLE).await;

    let mut first = Phase::start(connections);
    for stranger in &mut strangers {
        first.add(one::<P>(stranger).await?);
    }
    let first = first.finish()?;
    drop(strangers);
    tokio::time::sleep(SETTLE).await;

    let mut again = Phase::start(connections);
    for _ in 0..connections {
        again.add(one::<P>(&mut known).await?);
    }
    Ok(findings(&first, &again.finish()?))
}

/// Clocks over a number of connections.
pub(crate) struct Phase {
    meter: Meter,
    nanoseconds: Vec<u64>,
    settings: Settings,
}

impl Phase {
    /// Starts the CPU clock.
    pub(crate) fn start(connections: u32) -> Self {
        let nanoseconds = Vec::with_capacity(connections as usize);
        Self { meter: Meter::start(), nanoseconds, settings: Settings::new() }
    }

    /// Adds a connection by its wall time, and the settings that were in force.
    pub(crate) fn add(&mut self, (nanoseconds, settings): (u64, Settings)) {
        self.nanoseconds.push(nanoseconds);
        self.settings = settings;
    }

    /// Stops the clocks.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        let used = self.meter.read();
        let wall = percentile(&mut self.nanoseconds, 50).context("no connections were measured")?;
        Ok(Outcome {
            cpu_us: used.cpu_seconds * 1e6 / self.nanoseconds.len() as f64,
            wall_p50_us: wall as f64 / 1000.0,
            settings: self.settings,
            used,
        })
    }
}

/// What a number of connections came to, each.
pub(crate) struct Outcome {
    cpu_us: f64,
    wall_p50_us: f64,
    settings: Settings,
    used: Used,
}

/// The figures of connections to a stranger, and of those to a known peer.
pub(crate) fn findings(first: &Outcome, again: &Outcome) -> Findings {
    let mut findings = Findings::new(first.settings.clone(), &first.used);
    findings.figure("cpu_us", first.cpu_us).figure("wall_p50_us", first.wall_p50_us);
    findings.figure("again_cpu_us", again.cpu_us).figure("again_wall_p50_us", again.wall_p50_us);
    // A sample is as good as the worse of its halves.
    findings.other_cores = Some(first.used.other_cores.max(again.used.other_cores));
    findings
}

/// One connection with its echo; returns the wall time in nanoseconds and the settings in force.
async fn one<P: Peer>(dialer: &mut P::Dialer) -> Result<(u64, Settings)> {
    let started = Instant::now();
    let mut connection = P::connect(dialer).await?;
    let echo = Echo::start(P::open(&mut connection).await?).await?;
    let wall = u64::try_from(started.elapsed().as_nanos())?;
    drop(echo);
    let settings = P::settings(&connection);
    P::close(dialer, connection).await?;
    Ok((wall, settings))
}

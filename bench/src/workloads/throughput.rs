//! One stream, one direction, from the first byte until the receiver has confirmed the last.

use anyhow::Result;

use crate::{
    machine::{Meter, Used},
    payload,
    peer::Peer,
    sample::{Findings, Settings},
    service,
};

/// Sends `size_mib` MiB to the server at `address`.
pub(crate) async fn client<P: Peer>(address: String, size_mib: u64) -> Result<Findings> {
    let block = payload::block();
    let total = size_mib << 20;
    let expected = payload::expected(&block, total);

    let mut dialer = P::dialer(&address).await?;
    let mut connection = P::connect(&mut dialer).await?;
    service::warm_up(&mut P::open(&mut connection).await?, &block).await?;
    let mut stream = P::open(&mut connection).await?;

    let meter = Meter::start();
    service::transfer(&mut stream, &block, total, expected).await?;
    let used = meter.read();

    let findings = findings(P::settings(&connection), &used, size_mib);
    drop(stream);
    P::close(&mut dialer, connection).await?;
    Ok(findings)
}

/// The figures of a transfer of `size_mib` MiB.
pub(crate) fn findings(settings: Settings, used: &Used, size_mib: u64) -> Findings {
    let mut findings = Findings::new(settings, used);
    findings.figure("mib_per_s", size_mib as f64 / used.wall_seconds);
    findings.figure("cpu_s_per_gib", used.cpu_seconds * 1024.0 / size_mib as f64);
    findings
}

//! One stream over a bad line: how much arrives in a given time from its first byte on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use telemesh_wan::{Conditions, Forwarder, Report, Ways};

use crate::{machine::Meter, options::WanTask, payload, peer::Peer, sample::Findings, service};

/// Where the line is, so that what goes over it can be told from what goes around it.
const LINE_ENTRANCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4)), 0);
const LINE_EXIT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// More than any line carries in the time: the transfer never ends by itself.
const ENDLESS: u64 = 1 << 50;

/// Measures `P` over the line that the task describes.
///
/// # Errors
/// Whatever goes wrong in the peer, or that it found a way around the line.
pub(crate) fn measure<P: Peer>(task: WanTask) -> Result<Findings> {
    super::pair::<P, _, _>(move |address| client::<P>(address, task))
}

async fn client<P: Peer>(address: String, task: WanTask) -> Result<Findings> {
    let block = payload::block();
    let server = socket_in(&address).context("the server tells no address on loopback")?;
    let rate = task.mbit * 125_000;
    let line = Conditions::new().delay(Duration::from_micros(task.rtt * 500)).loss(task.loss / 100.0);
    let line = Ways::both(line.rate(rate, rate / 10));
    let forwarder = Forwarder::bind(LINE_ENTRANCE, server, line, task.seed)?.send_from(LINE_EXIT);
    let through = address.replace(&server.to_string(), &forwarder.address().to_string());
    let running = forwarder.spawn()?;

    let mut dialer = P::dialer(&through).await?;
    let mut connection = P::connect(&mut dialer).await?;
    let mut stream = P::open(&mut connection).await?;
    let time = Duration::from_secs(task.seconds);
    let meter = Meter::start();
    let transfer = service::transfer(&mut stream, &block, ENDLESS, 0);
    if let Ok(outcome) = tokio::time::timeout(time, transfer).await {
        outcome?;
        bail!("the transfer ended");
    }
    let (arrived, used) = (service::swallowed(), meter.read());
    let report = running.stop()?;
    ensure!(
        !went_around(&report, arrived),
        "{arrived} bytes arrived, more than went over the line: {report}"
    );

    let mut findings = Findings::new(P::settings(&connection), &used);
    findings.figure("kib_per_s", arrived as f64 / 1024.0 / used.wall_seconds);
    findings.figure("late_us", report.late.mean().as_secs_f64() * 1e6);
    // Nobody waits for what is still on its way: closing over such a line takes as long as it wants.
    Ok(findings)
}

/// Whether more has arrived than the line can have brought: some peers look for better paths than the one they were given.
fn went_around(report: &Report, arrived: u64) -> bool {
    /// Bytes of the largest payload of a datagram.
    const MOST: u64 = 1_500;
    report.there.delivered * MOST < arrived
}

/// The first IPv4 socket address on loopback in a text, in whatever form the peer has put it.
fn socket_in(text: &str) -> Option<SocketAddr> {
    let start = text.find("127.0.0.1:")?;
    let rest = &text[start..];
    let port = rest.find(':')? + 1;
    let digits =
        rest[port..].find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len() - port);
    rest[..port + digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::socket_in;

    #[test]
    fn an_address_is_found_in_whatever_a_server_tells() {
        let wanted = Some("127.0.0.1:4242".parse().unwrap());
        for text in [
            "127.0.0.1:4242",
            "{\"socket\":\"127.0.0.1:4242\",\"x\":1}",
            "link://127.0.0.1:4242/?cs11=aa&paths=udp:127.0.0.1:4242#x",
        ] {
            assert_eq!(socket_in(text), wanted, "{text}");
        }
        assert_eq!(socket_in("192.0.2.1:4242"), None);
    }
}

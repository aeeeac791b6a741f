//! `cargo xtask wan`: a bad network between an address and a target, as a tool. The network itself is `telemesh-wan`'s.

mod options;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use telemesh_wan::Forwarder;

use options::Options;

/// How often it says what has happened.
const NEWS: Duration = Duration::from_secs(10);

/// Forwards as the arguments say, until it is killed or its time is over. The first line on standard output is
/// `listening ADDR`.
///
/// # Errors
/// When the arguments make no sense, or the address cannot be had.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let Options { listen, to, ways, seed, time } = options;
    let mut forwarder =
        Forwarder::bind(listen, to, ways, seed).with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening {}", forwarder.address());
    let begin = Instant::now();
    loop {
        let left = time.map_or(NEWS, |time| time.saturating_sub(begin.elapsed()));
        let before = forwarder.report();
        forwarder.run_for(left.min(NEWS))?;
        if left <= NEWS && time.is_some() {
            println!("{}", forwarder.report());
            return Ok(());
        }
        if forwarder.report() != before {
            eprintln!("{}", forwarder.report());
        }
    }
}

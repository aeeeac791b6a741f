//! How exact a forwarder is on this machine: round trips over a link of 2 x 10 ms.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use telemesh_wan::{Conditions, Forwarder, Ways};

const DELAY: Duration = Duration::from_millis(10);
const ROUND_TRIPS: usize = 100;

fn main() -> std::io::Result<()> {
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let ways = Ways::both(Conditions::new().delay(DELAY));
    let forwarder = Forwarder::bind(([127, 0, 0, 1], 0).into(), server.local_addr()?, ways, 1)?;
    let address = forwarder.address();
    let running = forwarder.spawn()?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    let mut buffer = [0; 64];
    let mut extra = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let begin = Instant::now();
        client.send_to(&buffer, address)?;
        let (length, from) = server.recv_from(&mut buffer)?;
        server.send_to(&buffer[..length], from)?;
        client.recv_from(&mut buffer)?;
        extra.push(begin.elapsed().saturating_sub(DELAY * 2));
    }
    extra.sort();
    println!(
        "longer than {:?}: median {:?}, most {:?}",
        DELAY * 2,
        extra[ROUND_TRIPS / 2],
        extra[ROUND_TRIPS - 1]
    );
    println!("{}", running.stop()?);
    Ok(())
}

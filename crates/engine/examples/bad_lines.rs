//! What one stream carries over lines that lose packets at random, on virtual time: 100 Mbit/s, a queue of 100 ms, 20 s from
//! the first byte. Run it with `cargo run --release -p telemesh-engine --example bad_lines`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
#![allow(clippy::disallowed_methods, reason = "an example starts from some instant")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use telemesh_engine::{Config, Engine, Seed, StreamId};
use telemesh_hashname::Hashname;
use telemesh_simnet::{Conditions, Network, Realm, Scope, SocketId};

/// Bytes a second.
const RATE: u64 = 12_500_000;
const QUEUE: u64 = RATE / 10;
const TIME: Duration = Duration::from_secs(20);

/// What the link adds to each packet.
const LINK: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let losses = [0.0, 0.01, 0.05, 0.12, 0.25];
    println!("KiB/s       {}", losses.map(|loss| format!("{:>8} %", loss * 100.0)).concat());
    for rtt in [50, 100, 200, 600].map(Duration::from_millis) {
        let mut row = format!("{:>4} ms     ", rtt.as_millis());
        for loss in losses {
            let arrived = Pair::new(rtt, loss)?.run()?;
            row.push_str(&format!("{:>10}", arrived / 1_024 / TIME.as_secs()));
        }
        println!("{row}");
    }
    Ok(())
}

struct Pair {
    network: Network,
    ends: [(Engine, SocketId); 2],
    stream: StreamId,
    start: Instant,
    arrived: u64,
}

impl Pair {
    fn new(rtt: Duration, loss: f64) -> Result<Self, Box<dyn Error>> {
        let mut network = Network::new(1);
        let line = Conditions::new().delay(rtt / 2).loss(loss).rate(RATE, QUEUE);
        network.set_conditions(Scope::Everywhere, line);
        let (alice, bob) = ((Hashname::from_bytes([1; 32]), 10), (Hashname::from_bytes([2; 32]), 20));
        let (start, config) = (Instant::now(), Config::default().with_rtt(rtt));
        let mut end = |number: usize, seed: &Seed| -> Result<_, Box<dyn Error>> {
            let host = network.add_host(Realm::INTERNET, [address(number).ip()])?;
            Ok((Engine::start(seed, &config, start)?, network.bind(host, address(number))?))
        };
        let mut ends = [end(0, &Seed::new(alice, bob, 0))?, end(1, &Seed::new(bob, alice, 0))?];
        let stream = ends[0].0.open().ok_or("no stream is permitted")?;
        Ok(Self { network, ends, stream, start, arrived: 0 })
    }

    /// Writes and reads as much as goes; returns how many bytes were read.
    fn run(mut self) -> Result<u64, Box<dyn Error>> {
        let block = vec![7; 65_536];
        let mut now = self.start;
        while now < self.start + TIME {
            while self.ends[0].0.write(self.stream, &block).is_ok() {}
            while let Ok(Some(chunk)) = self.ends[1].0.read_chunk(self.stream, usize::MAX) {
                self.arrived += chunk.len() as u64;
            }
            self.transmit(now)?;
            let timers = self.ends.iter_mut().filter_map(|(engine, _)| engine.poll_timeout()).min();
            let arrival = self.network.next_delivery_at().map(|at| self.start + at);
            now = timers.into_iter().chain(arrival).min().ok_or("nothing will ever happen")?.max(now);
            while let Some(delivery) = self.network.deliver(now - self.start) {
                let found = self.ends.iter_mut().find(|(_, socket)| *socket == delivery.socket);
                let (engine, _) = found.ok_or("nobody's socket")?;
                engine.handle_packet(now, delivery.payload[LINK..].into());
                self.network.recycle(delivery.payload);
            }
            for (engine, _) in &mut self.ends {
                engine.handle_timeout(now);
            }
        }
        Ok(self.arrived)
    }

    fn transmit(&mut self, now: Instant) -> Result<(), Box<dyn Error>> {
        let (mut batch, mut packet) = (Vec::new(), Vec::new());
        for (number, (engine, socket)) in self.ends.iter_mut().enumerate() {
            while let Some(size) = engine.poll_transmit(now, 10, &mut batch) {
                for segment in batch.chunks(size) {
                    packet.clear();
                    packet.extend_from_slice(&[0; LINK]);
                    packet.extend_from_slice(segment);
                    self.network.send(now - self.start, *socket, address(1 - number), &packet)?;
                }
                batch.clear();
            }
            while engine.poll_event().is_some() {}
        }
        Ok(())
    }
}

/// Addresses for documentation (RFC 5737).
fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, if end == 0 { 1 } else { 2 }], 4_000))
}

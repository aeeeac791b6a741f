//! Two engines joined by a network that loses one packet in fifty, in a single thread and without waiting: time is a number.
//! Run it with `cargo run -p telemesh-engine --example lossy`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]
#![allow(clippy::disallowed_methods, reason = "an example starts from some instant")]

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use telemesh_engine::{Config, Engine, Event, ReadError, Seed, StreamId};
use telemesh_hashname::Hashname;

/// How long a packet is on its way.
const DELAY: Duration = Duration::from_millis(20);
/// One packet in this many is lost.
const LOSS: u64 = 50;
/// Bytes that are sent.
const LENGTH: usize = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let (alice, bob) = ((Hashname::from_bytes([1; 32]), 10), (Hashname::from_bytes([2; 32]), 20));
    let start = Instant::now();
    let config = Config::default().with_rtt(DELAY * 2);
    let mut sender = Engine::start(&Seed::new(alice, bob, 0), &config, start)?;
    let mut receiver = Engine::start(&Seed::new(bob, alice, 0), &config, start)?;
    let mut network = Network::default();

    let data: Vec<u8> = (0..LENGTH).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let (mut rest, mut received) = (data.as_slice(), Vec::new());
    let stream = sender.open().ok_or("no stream is permitted")?;
    let mut now = start;
    while !read(&mut receiver, stream, &mut received)? {
        while let Some(count) = sender.write(stream, rest).ok().filter(|count| *count > 0) {
            rest = rest.get(count..).unwrap_or_default();
            if rest.is_empty() {
                sender.finish(stream)?;
            }
        }
        network.take_from(&mut sender, now, true)?;
        network.take_from(&mut receiver, now, false)?;
        // Time jumps to whatever comes next.
        let next = [sender.poll_timeout(), receiver.poll_timeout(), network.next_arrival()];
        now = next.into_iter().flatten().min().ok_or("nothing will ever happen")?.max(now);
        network.deliver(now, &mut sender, &mut receiver);
        sender.handle_timeout(now);
        receiver.handle_timeout(now);
    }
    assert!(received == data, "every byte arrived once and in order");
    println!("{} MiB arrived whole after {:.1?} of simulated time", LENGTH >> 20, now - start);
    println!("{} of {} packets were lost: {:?}", network.lost, network.sent, sender.stats());
    Ok(())
}

/// Reads what has arrived; says whether that was all.
fn read(engine: &mut Engine, stream: StreamId, received: &mut Vec<u8>) -> Result<bool, ReadError> {
    loop {
        match engine.read_chunk(stream, usize::MAX) {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) => return Ok(true),
            // The stream does not exist before its first packet has arrived.
            Err(ReadError::Blocked | ReadError::Closed) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// What is on its way: when it arrives, whether at the receiver, and the packet.
#[derive(Default)]
struct Network {
    packets: VecDeque<(Instant, bool, BytesMut)>,
    sent: u64,
    lost: u64,
}

impl Network {
    /// Takes everything that an engine has to send.
    fn take_from(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        to_receiver: bool,
    ) -> Result<(), Box<dyn Error>> {
        let mut packet = Vec::new();
        while engine.poll_transmit(now, 1, &mut packet).is_some() {
            self.sent += 1;
            if self.sent.is_multiple_of(LOSS) {
                self.lost += 1;
            } else {
                self.packets.push_back((now + DELAY, to_receiver, packet.as_slice().into()));
            }
            packet.clear();
        }
        while let Some(event) = engine.poll_event() {
            if let Event::Failed(error) = event {
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.packets.front().map(|(at, _, _)| *at)
    }

    fn deliver(&mut self, now: Instant, sender: &mut Engine, receiver: &mut Engine) {
        while self.next_arrival().is_some_and(|at| at <= now) {
            let Some((_, to_receiver, packet)) = self.packets.pop_front() else { return };
            if to_receiver { &mut *receiver } else { &mut *sender }.handle_packet(now, packet);
        }
    }
}

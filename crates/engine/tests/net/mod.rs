//! The queue that joins two engines: delay, loss, duplication, reordering, virtual time.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::expect_used, reason = "clippy does not see that helpers in here belong to tests")]
#![allow(clippy::disallowed_methods, reason = "a test starts from some instant")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use telemesh_engine::{Config, Engine, Event, Seed, StreamId};
use telemesh_hashname::Hashname;

const DELAY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) loss: f64,
    pub(crate) duplicate: f64,
    pub(crate) reorder: f64,
    pub(crate) mtu: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self { loss: 0.0, duplicate: 0.0, reorder: 0.0, mtu: 65_507 }
    }
}

pub(crate) struct Pair {
    ends: [Engine; 2],
    events: [Vec<Event>; 2],
    queue: BTreeMap<(Instant, u64), (usize, BytesMut)>,
    pub(crate) faults: Faults,
    rng: StdRng,
    now: Instant,
    start: Instant,
    sent: u64,
    trace: Sha256,
}

pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
    bytes
}

impl Pair {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self::apart(seed, faults, [DELAY * 2; 2], Duration::ZERO)
    }

    pub(crate) fn numbered(seed: u64, number: u64) -> Self {
        Self::build(seed, number, Faults::default(), [DELAY * 2; 2], Duration::ZERO)
    }

    pub(crate) fn apart(seed: u64, faults: Faults, rtts: [Duration; 2], gap: Duration) -> Self {
        Self::build(seed, 0, faults, rtts, gap)
    }

    fn build(seed: u64, number: u64, faults: Faults, rtts: [Duration; 2], gap: Duration) -> Self {
        let names = [[(seed % 251) as u8; 32], [0x80; 32]].map(Hashname::from_bytes);
        let start = Instant::now();
        let engine = |end: usize, at| {
            let seed = Seed::new((names[end], 10 + end as u64), (names[1 - end], 11 - end as u64), number);
            Engine::start(&seed, &Config::default().with_rtt(rtts[end]), at).expect("the halves fit")
        };
        let ends = [engine(0, start), engine(1, start + gap)];
        Self {
            ends,
            events: [Vec::new(), Vec::new()],
            queue: BTreeMap::new(),
            faults,
            rng: StdRng::seed_from_u64(seed),
            now: start + gap,
            start,
            sent: 0,
            trace: Sha256::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn end(&mut self, end: usize) -> &mut Engine {
        &mut self.ends[end]
    }

    pub(crate) fn packets_sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn trace(&self) -> [u8; 32] {
        self.trace.clone().finalize().into()
    }

    /// Takes the events that an end has reported so far.
    pub(crate) fn events(&mut self, end: usize) -> Vec<Event> {
        self.collect_events();
        std::mem::take(&mut self.events[end])
    }

    fn collect_events(&mut self) {
        for end in [0, 1] {
            while let Some(event) = self.ends[end].poll_event() {
                assert!(!matches!(event, Event::Failed(_)), "an engine failed: {event:?}");
                self.events[end].push(event);
            }
        }
    }

    /// What an end wants to send now, packet by packet.
    pub(crate) fn packets(&mut self, end: usize) -> Vec<BytesMut> {
        let mut packets = Vec::new();
        let mut buffer = Vec::new();
        while let Some(segment) = self.ends[end].poll_transmit(self.now, 10, &mut buffer) {
            packets.extend(buffer.chunks(segment).map(BytesMut::from));
            buffer.clear();
        }
        packets
    }

    pub(crate) fn transmit(&mut self, end: usize) {
        for packet in self.packets(end) {
            assert_eq!(packet[0] & 0xc0, 0x40, "engine packets are told apart by these bits");
            self.sent += 1;
            self.trace.update(&packet);
            self.trace.update((self.now - self.start).as_nanos().to_le_bytes());
            if packet.len() > self.faults.mtu || self.rng.random_bool(self.faults.loss) {
                continue;
            }
            let copies = 1 + usize::from(self.rng.random_bool(self.faults.duplicate));
            for copy in 0..copies {
                let late = self.rng.random_bool(self.faults.reorder);
                let extra = if late { self.rng.random_range(0..30_000) } else { 0 };
                let at = self.now + DELAY + Duration::from_micros(extra);
                self.queue.insert((at, self.sent * 2 + copy as u64), (1 - end, packet.clone()));
            }
        }
    }

    /// Lets time pass for the timers only: nothing is sent or delivered.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            for end in [0, 1] {
                self.transmit(end);
            }
            self.collect_events();
            let timers = [0, 1].map(|end| self.ends[end].poll_timeout());
            let packet = self.queue.keys().next().map(|key| key.0);
            let Some(next) = timers.into_iter().chain([packet]).flatten().min().filter(|at| *at <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (end, packet) = entry.remove();
                self.ends[end].handle_packet(self.now, packet);
            }
            for end in [0, 1] {
                if timers[end].is_some_and(|at| at <= self.now) {
                    self.ends[end].handle_timeout(self.now);
                }
            }
        }
        self.now = until;
    }

    /// Sends `data` and the end of the stream; returns what the other end read.
    pub(crate) fn transfer(&mut self, from: usize, id: StreamId, data: &[u8]) -> Vec<u8> {
        let (mut written, mut read, mut ended) = (0, Vec::new(), false);
        let deadline = self.now + Duration::from_secs(600);
        while !ended {
            assert!(self.now < deadline, "stuck after {} of {} bytes", read.len(), data.len());
            while written < data.len() {
                match self.ends[from].write(id, &data[written..]) {
                    Ok(count) => written += count,
                    Err(_) => break,
                }
                if written == data.len() {
                    self.ends[from].finish(id).expect("finishing once");
                }
            }
            self.run_for(Duration::from_millis(5));
            while let Ok(chunk) = self.ends[1 - from].read_chunk(id, usize::MAX) {
                match chunk {
                    Some(bytes) => read.extend_from_slice(&bytes),
                    None => {
                        ended = true;
                        break;
                    }
                }
            }
        }
        read
    }

    /// Sends this many bytes each way, on a stream of each side, and compares.
    pub(crate) fn transfer_both_ways(&mut self, length: usize) {
        for end in [0, 1] {
            let id = self.ends[end].open().expect("a stream is permitted");
            let data = pattern(end as u64, length);
            assert!(self.transfer(end, id, &data) == data, "bytes differ");
        }
    }
}

//! Two engines whose network, clock and owners the fuzzer plays.
//!
//! While nobody tampers with packets, losing, doubling and reordering them does no harm: what is read was written, in
//! order, no engine fails, and at the end everything arrives. A peer that makes up packets may break its own engine and
//! spoil what it sends, and nothing else: no panic, and no end of packets or events.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use telemesh_engine::{Config, Engine, Event, ReadError, Seed, StreamId, WriteError};
use telemesh_hashname::Hashname;

use crate::input::Input;

/// Plays the input, then lets everything arrive.
pub fn engine(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pair = Pair::new();
    for _ in 0..MOST_ACTIONS {
        if input.is_empty() {
            break;
        }
        pair.act(&mut input);
        pair.flush();
    }
    pair.finish();
}

/// One way of one stream.
#[derive(Debug, Default)]
struct Way {
    written: Vec<u8>,
    read: usize,
    finished: bool,
    /// One end gave up before the end; nothing more has to arrive.
    broken: bool,
    ended: bool,
}

struct Pair {
    ends: [Engine; 2],
    now: Instant,
    /// Packets on their way, with the end that they go to.
    queue: VecDeque<(usize, BytesMut)>,
    /// The last packet that went to each end, for who makes up others like it.
    last: [BytesMut; 2],
    /// Streams that each end has opened or heard of.
    streams: [Vec<StreamId>; 2],
    /// By stream and the end that writes.
    ways: BTreeMap<(StreamId, usize), Way>,
    /// Somebody sent what no engine sends.
    tampered: bool,
    counter: u8,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let names = [[1; 32], [2; 32]].map(Hashname::from_bytes);
        let ends = [0, 1].map(|end: usize| {
            let seed = Seed::new((names[end], 1), (names[1 - end], 1), 1);
            match Engine::start(&seed, &Config::default(), now) {
                Ok(engine) => engine,
                Err(error) => panic!("an engine did not start: {error}"),
            }
        });
        Self {
            ends,
            now,
            queue: VecDeque::new(),
            last: [BytesMut::new(), BytesMut::new()],
            streams: [Vec::new(), Vec::new()],
            ways: BTreeMap::new(),
            tampered: false,
            counter: 0,
        }
    }

    fn act(&mut self, input: &mut Input<'_>) {
        let action = input.byte();
        let end = usize::from(action >> 7);
        match action % 20 {
            0..=3 => self.deliver(0),
            4 => self.deliver(input.choice(self.queue.len())),
            5 => {
                let place = input.choice(self.queue.len());
                self.queue.remove(place);
            }
            6 => {
                let place = input.choice(self.queue.len());
                self.queue.extend(self.queue.get(place).cloned());
            }
            7 | 8 => self.open(end),
            9 | 10 => self.write(end, input),
            11 | 12 => self.read(end, input),
            13 => self.finish_stream(end, input),
            14 => self.give_up(end, input),
            15 => self.pass(Duration::from_millis(1 << (input.byte() % 16))),
            16 => self.tamper(input),
            17 => self.make_up(end, input),
            18 => self.local(end, input),
            _ => {
                self.tampered = true;
                self.ends[end].handle_packet(self.now, input.counted().into());
            }
        }
    }

    fn deliver(&mut self, place: usize) {
        if let Some((to, packet)) = self.queue.remove(place) {
            // In no time the pacing of packets, a fraction of the round trip, would never be over.
            self.now += ON_ITS_WAY;
            self.ends[to].handle_packet(self.now, packet);
        }
    }

    fn open(&mut self, end: usize) {
        if self.streams[end].len() < MOST_STREAMS
            && let Some(id) = self.ends[end].open()
        {
            self.streams[end].push(id);
        }
    }

    fn stream(&self, end: usize, input: &mut Input<'_>) -> Option<StreamId> {
        self.streams[end].get(input.choice(self.streams[end].len())).copied()
    }

    fn write(&mut self, end: usize, input: &mut Input<'_>) {
        let (Some(id), size) = (self.stream(end, input), input.word()) else { return };
        let way = self.ways.entry((id, end)).or_default();
        self.counter = self.counter.wrapping_add(1);
        let content: Vec<u8> = (0..size).map(|place| self.counter ^ place.to_le_bytes()[0]).collect();
        match self.ends[end].write(id, &content) {
            Ok(count) => way.written.extend(content.get(..count).unwrap_or_default()),
            Err(WriteError::Stopped(_)) => way.broken = true,
            Err(_) => {}
        }
    }

    fn read(&mut self, end: usize, input: &mut Input<'_>) {
        if let (Some(id), size) = (self.stream(end, input), input.choice(1 << 15)) {
            self.read_some(end, id, size);
        }
    }

    /// Reads once; whether there may be more.
    fn read_some(&mut self, end: usize, id: StreamId, size: usize) -> bool {
        let mut buffer = vec![0; size];
        let way = self.ways.entry((id, 1 - end)).or_default();
        match self.ends[end].read(id, &mut buffer) {
            Ok(read) => {
                let until = way.read + read.length;
                let got = buffer.get(..read.length);
                assert!(
                    self.tampered || got == way.written.get(way.read..until),
                    "what was read is not what was written"
                );
                way.read = until;
                way.ended |= read.end;
                let whole = way.finished && way.read == way.written.len();
                assert!(self.tampered || !read.end || whole, "an end before the end");
                read.length > 0 && !read.end
            }
            Err(ReadError::Reset(_)) => {
                way.broken = true;
                false
            }
            Err(_) => false,
        }
    }

    fn finish_stream(&mut self, end: usize, input: &mut Input<'_>) {
        if let Some(id) = self.stream(end, input)
            && self.ends[end].finish(id).is_ok()
        {
            self.ways.entry((id, end)).or_default().finished = true;
        }
    }

    fn give_up(&mut self, end: usize, input: &mut Input<'_>) {
        let Some(id) = self.stream(end, input) else { return };
        let (code, reading) = (u32::from(input.word()), input.flag());
        let writer = if reading { 1 - end } else { end };
        let done = if reading { self.ends[end].stop(id, code) } else { self.ends[end].reset(id, code) };
        if done.is_ok() {
            self.ways.entry((id, writer)).or_default().broken = true;
        }
    }

    /// What only the owner of an engine does.
    fn local(&mut self, end: usize, input: &mut Input<'_>) {
        let engine = &mut self.ends[end];
        match input.byte() % 4 {
            0 => engine.ping(),
            1 => engine.path_changed(self.now),
            2 => engine.path_recovered(self.now),
            _ => {
                let priority = i32::from(input.byte());
                if let Some(id) = self.stream(end, input) {
                    let _ = self.ends[end].set_priority(id, priority);
                }
            }
        }
    }

    /// Delivers a packet of which some bytes were changed.
    fn tamper(&mut self, input: &mut Input<'_>) {
        let place = input.choice(self.queue.len());
        let Some((to, mut packet)) = self.queue.remove(place) else { return };
        self.tampered = true;
        for _ in 0..=input.byte() % 4 {
            let (place, mask) = (input.choice(packet.len()), input.byte());
            if let Some(byte) = packet.get_mut(place) {
                *byte ^= mask;
            }
        }
        self.ends[to].handle_packet(self.now, packet);
    }

    /// Delivers a packet of this connection with the next number and frames of the fuzzer's.
    fn make_up(&mut self, to: usize, input: &mut Input<'_>) {
        let mut packet = self.last[to].clone();
        let Some(tag) = packet.last_chunk::<3>().copied() else { return };
        self.tampered = true;
        let number = FLAGS_AND_ID + usize::from(packet[0] & 3) + 1;
        packet.truncate(number);
        if let Some(last) = packet.last_mut() {
            *last = last.wrapping_add(input.byte()).wrapping_add(1);
        }
        packet.extend_from_slice(input.counted());
        packet.extend_from_slice(&tag);
        self.ends[to].handle_packet(self.now, packet);
    }

    /// Lets time pass, and with it whatever is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for turn in 0.. {
            self.flush();
            let times = self.ends.iter_mut().filter_map(Engine::poll_timeout);
            let Some(next) = times.min().filter(|next| *next <= end) else { break };
            assert!(turn < MOST_TIMEOUTS, "timeouts without end");
            self.now = self.now.max(next);
            for engine in &mut self.ends {
                if engine.poll_timeout().is_some_and(|at| at <= self.now) {
                    engine.handle_timeout(self.now);
                }
            }
        }
        self.now = end;
    }

    /// Takes everything out of the engines.
    fn flush(&mut self) {
        for end in [0, 1] {
            let mut count = 0;
            while let Some(event) = self.ends[end].poll_event() {
                count += 1;
                assert!(count < MOST_AT_ONCE, "events without end");
                match event {
                    Event::Failed(error) => assert!(self.tampered, "an engine failed: {error}"),
                    Event::Opened(id) => self.streams[end].push(id),
                    Event::Stopped(id, _) => self.ways.entry((id, end)).or_default().broken = true,
                    _ => {}
                }
            }
            let (mut out, mut count) = (Vec::new(), 0);
            while let Some(segment) = self.ends[end].poll_transmit(self.now, 10, &mut out) {
                count += 1;
                assert!(count < MOST_AT_ONCE, "packets without end");
                for packet in out.chunks(segment) {
                    self.last[1 - end] = packet.into();
                    self.queue.push_back((1 - end, packet.into()));
                }
                out.clear();
            }
        }
    }

    /// A network without faults, and readers who read: what was finished arrives.
    fn finish(mut self) {
        for _ in 0..MOST_ROUNDS {
            while !self.queue.is_empty() {
                self.deliver(0);
                self.flush();
            }
            for (id, writer) in self.ways.keys().copied().collect::<Vec<_>>() {
                while self.read_some(1 - writer, id, 1 << 16) {}
            }
            self.flush();
            let open = self.ways.values().any(|way| way.finished && !way.ended && !way.broken);
            if self.tampered || (!open && self.queue.is_empty()) {
                return;
            }
            // Nothing on its way: a timer must bring it on. They back off, so this is enough for any of them.
            if self.queue.is_empty() {
                let next = self.ends.iter_mut().filter_map(Engine::poll_timeout).min();
                let Some(next) = next else { panic!("something is missing and nobody will send it") };
                self.pass(next.saturating_duration_since(self.now));
            }
        }
        panic!("a stream did not come to its end");
    }
}

/// How long each packet takes.
const ON_ITS_WAY: Duration = Duration::from_micros(50);

/// Flags and connection id, which stand in front of the packet number.
const FLAGS_AND_ID: usize = 5;

/// Enough for whatever the fuzzer wants to show, and few enough that an input is a matter of milliseconds.
const MOST_ACTIONS: usize = 400;

const MOST_STREAMS: usize = 40;

/// What may come out of an engine at once: several windows full of packets, with room to spare.
const MOST_AT_ONCE: usize = 10_000;

const MOST_TIMEOUTS: usize = 10_000;

const MOST_ROUNDS: usize = 10_000;

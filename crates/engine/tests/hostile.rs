//! A peer whose frames are made by hand: it may break its own engine, and it gets nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod net;

use bytes::BytesMut;
use net::{Faults, Pair};
use telemesh_engine::{Event, MIN_PACKET, ReadError, StreamId, WriteError};

/// An engine, and a peer that makes its packets itself once it has opened a stream.
struct Attack {
    pair: Pair,
    stream: StreamId,
    /// Flags, connection id and packet number of the next packet.
    head: Vec<u8>,
    tag: [u8; 3],
}

impl Attack {
    fn new() -> Self {
        let mut pair = Pair::new(5, Faults::default());
        let stream = pair.end(PEER).open().unwrap();
        pair.end(PEER).write(stream, b"x").unwrap();
        let packets = pair.packets(PEER);
        let packet = packets.iter().find(|packet| packet.len() <= usize::from(MIN_PACKET)).unwrap();
        // Source: RFC 9000, section 17.3.1; the lowest two bits are the length of the number.
        let head = packet[..FLAGS_AND_ID + usize::from(packet[0] & 3) + 1].to_vec();
        Self { head, tag: *packet.last_chunk().unwrap(), pair, stream }
    }

    /// Delivers these frames in a packet of the peer's.
    fn send(&mut self, frames: &[u8]) {
        let number = self.head.last_mut().unwrap();
        *number = number.checked_add(1).expect("the tag would be another one");
        let packet = [&self.head[..], frames, &self.tag].concat();
        let now = self.pair.now();
        assert!(
            self.pair.end(US).handle_packet(now, BytesMut::from(&packet[..])),
            "it is a packet of this engine"
        );
    }

    /// Bytes of the stream.
    fn data(&self, offset: u64, data: &[u8], end: bool) -> Vec<u8> {
        stream_frame(self.stream.index(), offset, data, end)
    }

    /// Whether the engine has failed, and that it has said so once.
    fn failed(&mut self) -> bool {
        let mut failures = 0;
        while let Some(event) = self.pair.end(US).poll_event() {
            failures += usize::from(matches!(event, Event::Failed(_)));
        }
        assert!(failures <= 1, "it failed {failures} times");
        failures == 1
    }

    fn read(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match self.pair.end(US).read_chunk(self.stream, usize::MAX) {
                Ok(Some(bytes)) => all.extend_from_slice(&bytes),
                Ok(None) => return (all, true),
                Err(ReadError::Blocked) => return (all, false),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The engine is dead and stays quiet about it, whatever comes.
    #[track_caller]
    fn is_dead(&mut self, what: &str) {
        assert!(self.failed(), "{what}: the engine lives");
        let frames = self.data(0, b"more", true);
        self.send(&frames);
        assert!(!self.failed(), "{what}: it died twice");
        let sent = self.pair.packets(US).len();
        assert!(sent <= 1, "{what}: a dead engine sent {sent} packets");
    }
}

/// Source: RFC 9000, section 19.8.
fn stream_frame(stream: u64, offset: u64, data: &[u8], end: bool) -> Vec<u8> {
    let mut frame = vec![0x0e | u8::from(end)];
    for number in [stream, offset, data.len() as u64] {
        frame.extend(varint(number));
    }
    frame.extend(data);
    frame
}

/// Source: RFC 9000, section 16; always in its longest form.
fn varint(number: u64) -> [u8; 8] {
    assert!(number < 1 << 62);
    (number | 0b11 << 62).to_be_bytes()
}

#[test]
fn gapped_fragments_of_one_byte_are_held_up_to_a_number_and_no_further() {
    let mut attack = Attack::new();
    // Every second byte: none of them can be put together with another.
    let gapped = |attack: &Attack, range: std::ops::Range<u64>| {
        range.flat_map(|number| attack.data(number * 2, b"a", false)).collect::<Vec<_>>()
    };
    let most = MOST_FRAGMENTS;
    let frames = gapped(&attack, 0..most);
    attack.send(&frames);
    assert!(!attack.failed(), "{most} fragments are within the limit");
    let frames: Vec<_> = (0..most).flat_map(|number| attack.data(number * 2 + 1, b"b", false)).collect();
    attack.send(&frames);
    assert_eq!(
        attack.read(),
        (b"ab".repeat(most as usize), false),
        "all of it is there once the gaps are filled"
    );

    let mut attack = Attack::new();
    // They are counted when memory is tidied up, which in a packet of this size is after every second one.
    let frames = gapped(&attack, 0..most + 2);
    attack.send(&frames);
    attack.is_dead("more fragments than are held");
}

#[test]
fn fragments_that_overlap_give_every_byte_once_whatever_is_in_them() {
    let mut attack = Attack::new();
    for (offset, data) in
        [(5, &b"22222"[..]), (0, b"1111111"), (3, b"333"), (0, b"4444444444"), (9, b"55555")]
    {
        let frames = attack.data(offset, data, false);
        attack.send(&frames);
    }
    let frames = attack.data(14, b"", true);
    attack.send(&frames);
    assert!(!attack.failed());
    let (read, end) = attack.read();
    assert!(end);
    assert_eq!(read.len(), 14);
    for (place, byte) in read.iter().enumerate() {
        assert!(b"12345".contains(byte), "byte {place} is {byte}, which nobody sent");
    }
    // What was read is not changed by what comes again.
    let frames = attack.data(0, b"66666", false);
    attack.send(&frames);
    assert!(!attack.failed());
}

#[test]
fn the_end_of_a_stream_stays_where_it_was() {
    for (what, frames) in [
        ("bytes behind the end", (11, &b"a"[..], false)),
        ("another end behind it", (12, b"", true)),
        ("an end before it", (3, b"", true)),
    ] {
        let mut attack = Attack::new();
        let ten = attack.data(0, b"0123456789", true);
        attack.send(&ten);
        assert!(!attack.failed());
        let again = attack.data(10, b"", true);
        attack.send(&again);
        assert!(!attack.failed(), "the same end again is none");
        let frames = attack.data(frames.0, frames.1, frames.2);
        attack.send(&frames);
        attack.is_dead(what);
    }
}

#[test]
fn who_sends_more_than_there_is_credit_for_loses_the_engine() {
    // The last byte of the window, and the one behind it.
    let mut attack = Attack::new();
    let frames = attack.data(STREAM_WINDOW - 1, b"a", false);
    attack.send(&frames);
    assert!(!attack.failed());
    let frames = attack.data(STREAM_WINDOW, b"a", false);
    attack.send(&frames);
    attack.is_dead("a byte behind the stream's window");

    // All streams to their ends: together they reach the link's window.
    let mut attack = Attack::new();
    let first = attack.stream.index();
    let streams = LINK_WINDOW / STREAM_WINDOW;
    for number in 0..streams {
        attack.send(&stream_frame(first + 4 * number, STREAM_WINDOW - 1, b"a", false));
    }
    assert!(!attack.failed(), "{streams} streams have the window of the link");
    attack.send(&stream_frame(first + 4 * streams, 0, b"a", false));
    attack.is_dead("a byte behind the link's window");

    let mut attack = Attack::new();
    let frames = attack.data((1 << 62) - 2, b"a", false);
    attack.send(&frames);
    attack.is_dead("the largest offset");
}

#[test]
fn credit_beyond_all_numbers_makes_us_send_no_more_than_our_own_window() {
    let mut attack = Attack::new();
    let largest = varint((1 << 62) - 1);
    let ours = attack.pair.end(US).open().unwrap();
    // MAX_DATA, MAX_STREAM_DATA, MAX_STREAMS at their largest, again and again. Source: RFC 9000, sections 19.9 to 19.11.
    let stream_data = [&[0x11][..], &varint(ours.index()), &largest].concat();
    let streams = [&[0x12][..], &varint(1 << 60)].concat();
    let frames = [&[0x10][..], &largest, &stream_data, &streams].concat();
    attack.send(&[&frames[..], &frames].concat());
    assert!(!attack.failed());
    let chunk = vec![7; 1 << 20];
    let mut written = 0;
    while let Ok(count) = attack.pair.end(US).write(ours, &chunk) {
        written += count;
        assert!(written <= SEND_WINDOW, "{written} bytes wait for somebody who reads nothing");
    }
    assert_eq!(written, SEND_WINDOW);
    assert_eq!(attack.pair.end(US).write(ours, b"a"), Err(WriteError::Blocked));
    // More streams than can be numbered.
    attack.send(&[&[0x12][..], &varint((1 << 60) + 1)].concat());
    attack.is_dead("more streams than there are numbers");
}

#[test]
fn streams_that_the_peer_may_not_have_cost_it_the_engine() {
    let last = |attack: &Attack| attack.stream.index() + 4 * (STREAMS - 1);
    let mut attack = Attack::new();
    let frames = stream_frame(last(&attack), 0, b"a", false);
    attack.send(&frames);
    assert!(!attack.failed(), "{STREAMS} streams are permitted");

    let mut attack = Attack::new();
    let frames = stream_frame(last(&attack) + 4, 0, b"a", false);
    attack.send(&frames);
    attack.is_dead("one stream more");

    for (what, bits) in [("a stream that is ours to open", 1), ("a stream with one direction", 2)] {
        let mut attack = Attack::new();
        let frames = stream_frame(attack.stream.index() ^ bits, 0, b"a", false);
        attack.send(&frames);
        attack.is_dead(what);
    }
}

/// The victim, and the peer: the higher hashname, whose streams are the even ones.
const US: usize = 0;
const PEER: usize = 1;

/// Flags and connection id, which stand in front of the packet number.
const FLAGS_AND_ID: usize = 5;

/// Fragments of a stream that are held once those that meet were put together.
const MOST_FRAGMENTS: u64 = 1_024;

// The defaults of `Config`, in bytes; streams at the start. A peer that keeps to the protocol begins with less credit, see
// `src/config.rs`.
const STREAM_WINDOW: u64 = 2 << 20;
const LINK_WINDOW: u64 = 32 << 20;
const SEND_WINDOW: usize = 8 << 20;
const STREAMS: u64 = 32;

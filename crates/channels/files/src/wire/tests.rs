//! Every message comes back as it was, and nothing else is taken for one.

use proptest::prelude::*;

use super::buffer::{Malformed, Reader, put_signed, put_varint};
use super::frames::kind;
use super::*;
use crate::limits::{MAX_BYTES, MAX_DATA, MAX_DEPTH, MAX_ENTRIES, MAX_MESSAGE, MAX_PREFIXES, MAX_ZEROS};
use crate::names::check_name;
use crate::report::{FailureCode, Reason};

fn time() -> impl Strategy<Value = Time> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds })
}

fn name() -> impl Strategy<Value = Box<str>> {
    "\\PC{1,80}".prop_filter("a name that may be sent", |name| check_name(name).is_ok()).prop_map(Into::into)
}

fn entry() -> impl Strategy<Value = Entry> {
    let content = prop_oneof![
        (0..=0o777u32, time(), 0..=MAX_BYTES).prop_map(|(mode, modified, size)| Content::File {
            mode,
            modified,
            size
        }),
        (0..=0o777u32, time()).prop_map(|(mode, modified)| Content::Folder { mode, modified }),
        ("\\PC{0,200}", time())
            .prop_map(|(target, modified)| Content::Link { target: target.into(), modified }),
    ];
    (0..=MAX_DEPTH, name(), content).prop_map(|(depth, name, content)| Entry { depth, name, content })
}

fn reason() -> impl Strategy<Value = Reason> {
    proptest::sample::select(Reason::ALL)
}

fn from_sender() -> impl Strategy<Value = FromSender<'static>> {
    prop_oneof![
        Just(FromSender::ListEnd),
        (any::<u64>(), any::<u64>()).prop_map(|(index, offset)| FromSender::File { index, offset }),
        (1..=MAX_ZEROS).prop_map(FromSender::Zeros),
        any::<Hash>().prop_map(FromSender::FileEnd),
        (any::<u64>(), reason()).prop_map(|(index, reason)| FromSender::LeftOut { index, reason }),
        Just(FromSender::End),
    ]
}

fn from_receiver() -> impl Strategy<Value = FromReceiver<'static>> {
    prop_oneof![
        any::<u64>().prop_map(FromReceiver::Settled),
        (any::<u64>(), reason()).prop_map(|(index, reason)| FromReceiver::Refused { index, reason }),
        proptest::sample::select(FailureCode::ALL).prop_map(FromReceiver::Failed),
        Just(FromReceiver::Done),
    ]
}

fn decision() -> impl Strategy<Value = (Decision, u64)> {
    let prefixes =
        proptest::collection::btree_map(1..=MAX_BYTES, any::<Hash>(), 1..=MAX_PREFIXES).prop_map(|points| {
            Decision::Resume(points.into_iter().map(|(length, hash)| Prefix { length, hash }).collect())
        });
    prop_oneof![
        (1..=u64::MAX).prop_map(|count| (Decision::Skip, count)),
        (1..=u64::MAX).prop_map(|count| (Decision::Send, count)),
        prefixes.prop_map(|decision| (decision, 1)),
        any::<Hash>().prop_map(|hash| (Decision::Compare(hash), 1)),
        reason().prop_map(|reason| (Decision::Refuse(reason), 1)),
    ]
}

/// Types and bodies.
type Messages = Vec<(u8, Vec<u8>)>;

/// Cuts a stream into pieces of these sizes, over and over, and gathers what the parser makes of it.
fn parse(mut parser: Parser, stream: &[u8], sizes: &[usize]) -> Result<(Messages, Vec<u8>), Malformed> {
    let (mut messages, mut data) = (Vec::new(), Vec::new());
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut piece, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        while let Some(parsed) = parser.next(&mut piece)? {
            match parsed {
                Parsed::Message(kind, body) => messages.push((kind, body.to_vec())),
                Parsed::Data(bytes) => data.extend_from_slice(bytes),
            }
        }
        assert!(piece.is_empty(), "the parser stops only at the end of a piece");
    }
    Ok((messages, data))
}

proptest! {
    #[test]
    fn numbers_come_back(value: u64, signed: i64) {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        put_signed(&mut out, signed);
        let mut reader = Reader::new(&out);
        prop_assert_eq!(reader.varint(), Ok(value));
        prop_assert_eq!(reader.signed(), Ok(signed));
        prop_assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_number_has_one_form(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(value) = reader.varint() {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.as_slice(), &bytes[..bytes.len() - reader.remaining()]);
        }
    }

    #[test]
    fn entries_come_back(entries in proptest::collection::vec(entry(), 1..20)) {
        let mut out = Vec::new();
        for entry in &entries {
            let start = out.len();
            entry.encode(&mut out);
            prop_assert!(out.len() - start <= Entry::MAX_ENCODED);
        }
        let mut reader = Reader::new(&out);
        for entry in &entries {
            let decoded = Entry::decode(&mut reader);
            prop_assert_eq!(decoded.as_ref(), Ok(entry));
        }
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn messages_come_back_however_they_are_cut(
        sent in proptest::collection::vec(from_sender(), 0..20),
        sizes in proptest::collection::vec(1usize..50, 1..10),
    ) {
        let mut stream = Vec::new();
        sent.iter().for_each(|message| message.encode(&mut stream));
        let (messages, data) = parse(Parser::with_data(), &stream, &sizes).unwrap();
        prop_assert!(data.is_empty());
        prop_assert_eq!(messages.len(), sent.len());
        for ((kind, body), message) in messages.iter().zip(&sent) {
            prop_assert_eq!(FromSender::decode(*kind, body), Ok(*message));
            let mut longer = body.clone();
            longer.push(0);
            prop_assert!(FromSender::decode(*kind, &longer).is_err());
        }
    }

    #[test]
    fn answers_come_back(message in from_receiver()) {
        let mut stream = Vec::new();
        message.encode(&mut stream);
        let (messages, _) = parse(Parser::default(), &stream, &[3]).unwrap();
        prop_assert_eq!(FromReceiver::decode(messages[0].0, &messages[0].1), Ok(message));
    }

    #[test]
    fn decisions_come_back(sent in proptest::collection::vec(decision(), 0..20)) {
        let mut body = Vec::new();
        for (decision, count) in &sent {
            let start = body.len();
            encode_decision(&mut body, decision, *count);
            prop_assert!(body.len() - start <= MAX_DECISION);
        }
        let mut decoded = Vec::new();
        decode_decisions(&body, |decision, count| { decoded.push((decision, count)); Ok(()) }).unwrap();
        prop_assert_eq!(decoded, sent);
    }

    #[test]
    fn hellos_come_back(id: Hash, files in 0..1000u64, more in 0..1000u64, bytes in 0..=MAX_BYTES, name in "\\PC{0,60}") {
        let hello = Hello { id, files, entries: files + more, bytes, name: name.into() };
        prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
    }

    #[test]
    fn nothing_panics_on_noise(kind: u8, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Hello::decode(&bytes);
        let _ = Entry::decode(&mut Reader::new(&bytes));
        let _ = FromSender::decode(kind, &bytes);
        let _ = FromReceiver::decode(kind, &bytes);
        let _ = decode_decisions(&bytes, |_, _| Ok(()));
        let _ = parse(Parser::with_data(), &bytes, &[7, 1, 100]);
        let _ = parse(Parser::default(), &bytes, &[7, 1, 100]);
    }

    #[test]
    fn data_passes_through_between_messages(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..10),
        sizes in proptest::collection::vec(1usize..90, 1..10),
    ) {
        let mut stream = Vec::new();
        for piece in &pieces {
            FromSender::ListEnd.encode(&mut stream);
            put_data_header(&mut stream, piece.len());
            stream.extend_from_slice(piece);
        }
        let (messages, data) = parse(Parser::with_data(), &stream, &sizes).unwrap();
        prop_assert_eq!(messages.len(), pieces.len());
        prop_assert_eq!(data, pieces.concat());
    }

    #[test]
    fn times_survive_the_system_clock(seconds in -8_000_000_000i64..8_000_000_000, nanoseconds in 0..1_000_000_000u32) {
        let time = Time { seconds, nanoseconds };
        prop_assert_eq!(time.to_system().map(Time::from_system), Some(time));
    }
}

#[test]
fn codes_come_back_and_unknown_ones_are_no_error() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), *reason);
    }
    for code in FailureCode::ALL {
        assert_eq!(FailureCode::from_code(code.code()), *code);
    }
    assert_eq!(Reason::from_code(250), Reason::Other);
    assert_eq!(FailureCode::from_code(250), FailureCode::Other);
}

fn header(kind: u8, length: u32) -> Vec<u8> {
    let mut header = vec![kind];
    header.extend_from_slice(&length.to_be_bytes());
    assert_eq!(header.len(), HEADER);
    header
}

#[test]
fn a_length_over_its_limit_is_refused_before_a_byte_of_it() {
    let max = MAX_MESSAGE as u32;
    for kind in [kind::ENTRIES, kind::FILE_END, kind::DECISIONS, 0xff] {
        assert!(parse(Parser::with_data(), &header(kind, max), &[1]).is_ok());
        assert!(parse(Parser::with_data(), &header(kind, max + 1), &[1]).is_err());
        assert!(parse(Parser::with_data(), &header(kind, u32::MAX), &[5]).is_err());
    }
    let max = MAX_DATA as u32;
    assert!(parse(Parser::with_data(), &header(kind::DATA, max), &[1]).is_ok());
    for length in [0, max + 1, u32::MAX] {
        assert!(parse(Parser::with_data(), &header(kind::DATA, length), &[1]).is_err());
    }
    assert!(parse(Parser::default(), &header(kind::DATA, 1), &[1]).is_err(), "a receiver sends no data");
}

#[test]
fn zeros_up_to_the_limit_and_not_beyond() {
    for (zeros, right) in
        [(0, false), (1, true), (MAX_ZEROS, true), (MAX_ZEROS + 1, false), (u64::MAX, false)]
    {
        let mut body = Vec::new();
        put_varint(&mut body, zeros);
        assert_eq!(FromSender::decode(kind::ZEROS, &body).is_ok(), right, "{zeros}");
    }
}

fn raw_entry(kind: u8, depth: u64, name: &[u8], nanoseconds: u64, rest: &[u64]) -> Vec<u8> {
    let mut out = vec![kind];
    put_varint(&mut out, depth);
    put_varint(&mut out, name.len() as u64);
    out.extend_from_slice(name);
    put_signed(&mut out, 0);
    put_varint(&mut out, nanoseconds);
    rest.iter().for_each(|value| put_varint(&mut out, *value));
    out
}

#[test]
fn entries_that_no_sender_sends_are_refused() {
    let decode = |bytes: &[u8]| Entry::decode(&mut Reader::new(bytes));
    assert!(decode(&raw_entry(1, 0, b"file", 0, &[0o644, 5])).is_ok());
    assert!(decode(&raw_entry(1, 0, b"file", 999_999_999, &[0o777, MAX_BYTES])).is_ok());
    let deep = MAX_DEPTH as u64;
    assert!(decode(&raw_entry(2, deep, b"folder", 0, &[0])).is_ok());
    for (what, bytes) in [
        ("unknown kind", raw_entry(4, 0, b"file", 0, &[0o644, 5])),
        ("too deep", raw_entry(2, deep + 1, b"folder", 0, &[0])),
        ("deeper than can be counted", raw_entry(2, u64::MAX, b"folder", 0, &[0])),
        ("a name that is not UTF-8", raw_entry(1, 0, b"\xff", 0, &[0o644, 5])),
        ("a name over its limit", raw_entry(1, 0, &[b'a'; 256], 0, &[0o644, 5])),
        ("too many nanoseconds", raw_entry(1, 0, b"file", 1_000_000_000, &[0o644, 5])),
        ("set-user-id", raw_entry(1, 0, b"file", 0, &[0o4755, 5])),
        ("too large", raw_entry(1, 0, b"file", 0, &[0o644, MAX_BYTES + 1])),
    ] {
        assert!(decode(&bytes).is_err(), "{what}");
    }
    for name in
        ["", ".", "..", "a/b", "/", "/etc", "a\\b", "..\\a", "a\0", ".telemesh-partial", ".Telemesh-PARTIAL"]
    {
        assert!(decode(&raw_entry(1, 0, name.as_bytes(), 0, &[0o644, 5])).is_err(), "{name:?}");
    }
}

#[test]
fn a_claim_beyond_the_limits_is_refused() {
    let hello = Hello { id: [7; 32], entries: MAX_ENTRIES, files: 1, bytes: MAX_BYTES, name: "x".into() };
    assert!(Hello::decode(&hello.encode()).is_ok());
    for wrong in [
        Hello { entries: MAX_ENTRIES + 1, ..hello.clone() },
        Hello { entries: 1_000_000_000, ..hello.clone() },
        Hello { entries: 0, ..hello.clone() },
        Hello { bytes: MAX_BYTES + 1, ..hello.clone() },
        Hello { name: "x".repeat(256).into(), ..hello.clone() },
    ] {
        assert!(Hello::decode(&wrong.encode()).is_err(), "{wrong:?}");
    }
    let mut newer = hello.encode();
    newer[0] = 2;
    assert_eq!(Hello::decode(&newer), Err(Malformed("another version of the files channel")));
    let mut longer = hello.encode();
    longer.push(0);
    assert!(Hello::decode(&longer).is_err());
}

#[test]
fn decisions_that_no_receiver_sends_are_refused() {
    let decode = |body: &[u8]| decode_decisions(body, |_, _| Ok(()));
    assert!(decode(&[9]).is_err(), "unknown");
    assert!(decode(&[0, 0]).is_err(), "for no entry");
    assert!(decode(&[2, 0]).is_err(), "no points");
    let mut many = vec![2];
    put_varint(&mut many, MAX_PREFIXES as u64 + 1);
    assert!(decode(&many).is_err(), "too many points, before any of them");
    let point = |length| Prefix { length, hash: [0; 32] };
    for points in
        [vec![point(0)], vec![point(5), point(5)], vec![point(5), point(4)], vec![point(MAX_BYTES + 1)]]
    {
        let mut body = Vec::new();
        encode_decision(&mut body, &Decision::Resume(points), 1);
        assert!(decode(&body).is_err());
    }
    const { assert!(MAX_DECISION < MAX_MESSAGE / 4) };
}

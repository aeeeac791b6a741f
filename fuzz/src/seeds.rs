//! The seeds: a few inputs per target from which the fuzzer starts, so that it need not guess what a message looks like.
//!
//! They are checked in under `seeds/`, so that a change of format is seen; `cargo xtask fuzz --corpus` writes them anew.
//! Bytes of packets and messages are those of `docs/PROTOCOL.md`, the rest is made here.

use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_chat::{self as chat, ChatId, ChatKey, Content, Entry, EntryId, Fields, Text};
use telemesh_hashname::Hashname;
use telemesh_keys::{KeySet, seal};
use telemesh_link::PeerRecord;
use telemesh_wire::{
    Answer, Authority, Body, ChannelKind, CircuitId, Credential, Frame, Introduction, InviteSecret, LinkInfo,
    LinkInfoError, LinkUri, Open, PathAddress, Refusal, RefusalCode, RouterHint, Target,
};

use crate::files::{hello, message};

/// One seed: its target, its name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds, in the order in which they are written.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: &[u8]| seeds.push((target, name.to_owned(), bytes.to_vec()));
    identity(&mut add);
    messages(&mut add);
    addresses(&mut add);
    streams(&mut add);
    transfers(&mut add);
    boxes(&mut add);
    for (name, bytes) in SOCK {
        add("sock", name, bytes);
    }
    announcements(&mut add);
    requests(&mut add);
    chats(&mut add);
    for (name, actions) in ENGINE {
        add("engine", name, actions);
    }
    for (name, actions) in LINK {
        add("link", name, actions);
    }
    for (name, actions) in ROUTER {
        add("router", name, actions);
    }
    add("record", "empty", &PeerRecord::default().to_bytes());
    quic(&mut add);
    page(&mut add);
    seeds
}

type Add<'a> = &'a mut dyn FnMut(&'static str, &str, &[u8]);

fn keys() -> KeySet {
    KeySet::generate(&mut StdRng::seed_from_u64(7))
}

fn announcements(add: Add<'_>) {
    let keys = keys().public().clone();
    let paths: Vec<PathAddress> = ["udp:10.1.0.1:42424", "udp:10.1.0.1:7", "quic:10.1.0.1:443"]
        .iter()
        .filter_map(|path| path.parse().ok())
        .collect();
    let Ok(hashname) = keys.hashname() else { return };
    let announcement = telemesh_transport::Announcement { hashname, keys, paths };
    for (name, ttl) in [("announcement", 120), ("goodbye", 0)] {
        let written = telemesh_mdns::write_announcement(&announcement, &[[10, 1, 0, 1].into()], ttl);
        add("mdns", name, &written.unwrap_or_default());
    }
}

/// Frames of a chat, and entries as their sender could have signed them.
fn chats(add: Add<'_>) {
    let (Some(leader), Some(member)) = (ChatKey::from_seed(&[1; 32]), ChatKey::from_seed(&[2; 32])) else {
        return;
    };
    let chat = ChatId::of_leader(&leader.public());
    let content = Content::Text(Text::from("hello"));
    let fields =
        Fields { sender: member.public(), sequence: 0, previous: None, time: 0, after: Vec::new(), content };
    let raw = Entry::sign(&chat, &member, fields).raw().clone();
    add("chat", "entry", &raw);
    add("chat", "entries", &chat::Frame::Entries(vec![raw]).encode());
    add("chat", "want", &chat::Frame::Want(vec![EntryId::from_bytes([9; 32])]).encode());
    add(
        "chat",
        "hello",
        &chat::Frame::Hello(chat::Hello { answer: true, ..chat::Hello::default() }).encode(),
    );
    add("chat", "typing", &chat::Frame::Typing(true).encode());
}

fn identity(add: Add<'_>) {
    let keys = keys();
    add("hashname", "hashname", keys.hashname().to_string().as_bytes());
    add("hashname", "cipher-set", b"21");
    add("hashname", "bytes", keys.hashname().as_bytes());
    add("key_file", "two-sets", &keys.to_bytes());
    let mut list = Vec::new();
    for known in keys.public() {
        list.extend([known.cipher_set().number(), 32, 0]);
        list.extend(known.key().unwrap_or_default());
    }
    list.extend([0x31, 0]);
    list.extend([9; 32]);
    add("rollup", "two-keys-and-a-digest", &list);
    // Sealed by the target itself: even first byte, number, plaintext, context, no cut, two flips.
    let inside = [&[0][..], &[1; 8], &[5, 0], b"hello", &[3, 0], b"box", &[0, 0, 0], &[40, 0, 1, 90, 0, 1]];
    add("sealed", "made-here", &inside.concat());
    let mut rng = StdRng::seed_from_u64(8);
    if let Ok(envelope) = seal(&mut rng, keys.public(), &keys, b"hello", b"box") {
        add("sealed", "from-outside", &[&[1, 3, 0][..], b"box", &envelope].concat());
    }
}

fn messages(add: Add<'_>) {
    let open = Open::reliable("stream").with_header("encoding", "json").with_body("what it is for");
    let refusal = Refusal::new(RefusalCode::Busy, "come again later");
    add("open", "plain", &open.encode().unwrap_or_default());
    add("open", "delimited", &open.encode_delimited().unwrap_or_default());
    add("answer", "accepted", &Answer::Accepted.encode_delimited());
    add("answer", "refused", &Answer::Refused(refusal.clone()).encode());
    add("answer", "refused-delimited", &Answer::Refused(refusal.clone()).encode_delimited());
    add("answer", "refusal", &refusal.encode());
    let unreliable = Open { kind: ChannelKind::Unreliable, ..open };
    let frames = [
        ("open", Frame::Open { channel: 3, open: unreliable }),
        ("message", Frame::Message { channel: 3, payload: b"some bytes" }),
        ("close", Frame::Close { channel: 3, refusal: None }),
        ("refuse", Frame::Close { channel: 4, refusal: Some(refusal) }),
    ];
    let circuit = CircuitId::asked(5);
    let body = Body::Packet(bytes::Bytes::from_static(&[1, 0, 0, 0]));
    let by_hashname = Target::Hashname(Hashname::from_bytes([7; 32]));
    let by_ticket = Target::Ticket(bytes::Bytes::from_static(&[9; 68]));
    for (name, target) in [("hashname", by_hashname), ("ticket", by_ticket)] {
        let introduction = Introduction { target, circuit, body: body.clone() };
        add("introduction", name, &introduction.encode().unwrap_or_default());
    }
    for (name, frame) in frames {
        let mut bytes = Vec::new();
        if frame.encode_into(&mut bytes).is_ok() {
            add("frame", name, &bytes);
        }
    }
}

fn addresses(add: Add<'_>) {
    let keys = keys();
    let peer = format!("peer:{}", keys.hashname());
    for (name, text) in [
        ("udp", "udp:192.0.2.1:42424"),
        ("quic", "quic:[2001:db8::1]:443"),
        ("mapped", "udp:[::ffff:192.0.2.1]:42424"),
        ("peer", &peer),
        ("authority", "mesh.example.org:42424"),
    ] {
        add("path_address", name, text.as_bytes());
    }
    add("path_address", "bytes", &[192, 0, 2, 1, 0xa5, 0xb8]);

    let Ok(info) = info(&keys) else { return };
    add("link_json", "full", info.to_json().as_bytes());
    add("link_json", "unresolved", LinkInfo::unresolved(keys.hashname()).to_json().as_bytes());
    add("link_target", "json", info.to_json().as_bytes());
    add("link_target", "hashname", keys.hashname().to_string().as_bytes());
    let uri = LinkUri::new(info).with_invite(InviteSecret::from_bytes([7; 32]));
    let uri = match "mesh.example.org:4242".parse::<Authority>() {
        Ok(authority) => uri.with_authority(authority),
        Err(_) => uri,
    };
    for target in ["link_uri", "link_target"] {
        add(target, "invite", uri.to_secret_string().as_bytes());
        add(target, "no-invite", uri.to_string().as_bytes());
    }
    add("link_uri", "one-name", LinkUri::new(LinkInfo::unresolved(keys.hashname())).to_string().as_bytes());
    if let Ok(uri) = uri.with_session("a-session", None) {
        add("link_uri", "session", uri.to_secret_string().as_bytes());
    }
}

fn info(keys: &KeySet) -> Result<LinkInfo, LinkInfoError> {
    let router = LinkInfo::unresolved(Hashname::from_bytes([3; 32]));
    let ticket = Credential::new(b"a ticket".to_vec()).unwrap_or(Credential::none());
    let mut info = LinkInfo::new(keys.public().clone())?;
    for path in ["udp:192.0.2.1:42424", "quic:[2001:db8::1]:443"] {
        if let Ok(path) = path.parse::<PathAddress>() {
            info = info.with_path(path)?;
        }
    }
    info.with_path(RouterHint { router, ticket })
}

fn requests(add: Add<'_>) {
    let head = |end: u8, fields: &[(&str, &str)]| {
        let length = |part: &str| u16::try_from(part.len()).unwrap_or(0).to_be_bytes();
        let field = |(name, value): &(&str, &str)| {
            [&length(name)[..], name.as_bytes(), &length(value), value.as_bytes()].concat()
        };
        let block: Vec<u8> = fields.iter().flat_map(field).collect();
        let [.., high, low] = u32::try_from(block.len()).unwrap_or(0).to_be_bytes();
        [&[1 | end, 0, high, low][..], &block].concat()
    };
    let get = [(":method", "GET"), (":path", "/a?b=c"), (":authority", "peer.mesh"), ("accept", "*/*")];
    add("thtp", "get", &[&[1, 9][..], &head(0x80, &get)].concat());
    let post = [(":method", "POST"), (":path", "/"), ("content-length", "3"), ("te", "trailers")];
    add("thtp", "post", &[&[1, 0][..], &head(0, &post), b"\x80\0\0\x03abc"].concat());
    let upgrade = [(":method", "GET"), (":path", "/"), (":protocol", "websocket")];
    add("thtp", "upgrade", &[&[1, 255][..], &head(0x80, &upgrade)].concat());
    let response = [(":status", "200"), ("set-cookie", "a=b"), ("set-cookie", "c=d")];
    let trailers = b"\x82\0\0\x06\0\x01x\0\x01y";
    add("thtp", "response", &[&[0, 3][..], &head(0, &response), b"\0\0\0\x01a", trailers].concat());
    let smuggled =
        [(":method", "GET"), (":path", "/"), ("content-length", "1"), ("transfer-encoding", "chunked")];
    add("thtp", "smuggled", &[&[1, 0][..], &head(0x80, &smuggled)].concat());
}

/// Bytes with their length in front, in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes(), bytes].concat()
}

fn streams(add: Add<'_>) {
    let framed = |messages: &[&[u8]]| {
        let lengths = messages.iter().map(|message| u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
        lengths.zip(messages).flat_map(|(length, message)| [&length, *message].concat()).collect::<Vec<_>>()
    };
    let three = framed(&[b"", b"one", &[7; 2_000]]);
    add("messages", "in-pieces", &[&[0, 16][..], &counted(&[0, 1, 30]), &three].concat());
    add("messages", "cut", &[&[0, 16][..], &counted(&[]), three.split_at(500).0].concat());
    add("messages", "too-large", &[&[3, 0][..], &counted(&[9]), &three].concat());
    let open = Open::reliable("stream").with_body("what it is for").encode().unwrap_or_default();
    let note = b"\x0a\x04text\x10\x07\x10\x08\x1a\x02ab\x22\x03\x0a\x01x";
    add("stream", "bytes", &[&counted(&open)[..], &[0], b"any bytes"].concat());
    add("stream", "binary", &[&counted(&open)[..], &[1], &three].concat());
    add("stream", "json", &[&counted(&[])[..], &[2], &framed(&[b"{\"a\":[1,2.5,null]}", b"no"])].concat());
    add("stream", "protobuf", &[&counted(&[])[..], &[3], &framed(&[note, b"\xff"])].concat());
    let odd = Open::reliable("stream").with_header("encoding", "odd").encode().unwrap_or_default();
    add("stream", "unknown-encoding", &[&counted(&odd)[..], &[0]].concat());
}

/// Frames of a session, and what is inside a seal, see [`crate::boxes()`].
fn boxes(add: Add<'_>) {
    let (id, recipient) = ([5; 16], [6; 32]);
    let offer = [&[1], &id[..], &recipient, &9_u32.to_be_bytes()].concat();
    let part = [&[2], &id[..], &[0; 4], b"something"].concat();
    let gone = [&[3], &id[..]].concat();
    add("boxes", "session", &[&[0], &counted(&offer)[..], &counted(&part), &counted(&gone)].concat());
    let numbers =
        |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
    let header = numbers(&[7, 1, 1, 0, 0, u64::MAX]);
    add("boxes", "message", &[&[1, 1], &header[..], &[4], b"chathello"].concat());
    add("boxes", "receipt", &[&[1, 2], &numbers(&[7, 3])[..], &[0, 1], &numbers(&[5, 6])].concat());
}

/// Transfers by hand, see [`crate::files()`].
fn transfers(add: Add<'_>) {
    let file = |depth, name: &str, size| {
        [&[1, depth, name.len() as u8][..], name.as_bytes(), &[0, 0, 0xa4, 0x03, size]].concat()
    };
    let folder = |name: &str| [&[2, 0, name.len() as u8][..], name.as_bytes(), &[0, 0, 0xed, 0x03]].concat();
    let link = |depth, name: &str, target: &str| {
        let name = [&[3, depth, name.len() as u8][..], name.as_bytes()].concat();
        [&name[..], &[0, 0, target.len() as u8], target.as_bytes()].concat()
    };
    let whole = |index, content: &[u8]| {
        let end = message(0x06, blake3::hash(content).as_bytes());
        [message(0x03, &[index, 0]), message(0x04, content), end].concat()
    };
    let end = message(0x08, &[]);
    let by_hand = |existing, list: &[u8], [entries, files, bytes]: [u8; 3], messages: &[u8]| {
        let length = (list.len() as u16).to_le_bytes();
        let totals = [entries, 0, files, 0, bytes, 0, 0, 0, 0, 0, 0, 0];
        [&[1, existing], &length[..], list, &totals, messages].concat()
    };
    let one = file(0, "file", 5);
    add("files", "one-file", &by_hand(0, &one, [1, 1, 5], &[whole(0, b"hello"), end.clone()].concat()));
    let tree = [folder("d"), file(1, "f", 5), link(1, "l", "./f"), link(1, "out", "../taken")].concat();
    add("files", "tree", &by_hand(1, &tree, [4, 1, 5], &[whole(1, b"hello"), end.clone()].concat()));
    let over = [folder("folder"), link(0, "out", "f"), file(0, "taken", 5)].concat();
    add("files", "over", &by_hand(2, &over, [3, 1, 5], &[whole(2, b"hello"), end.clone()].concat()));
    let hash = blake3::hash(&[0; 5]);
    let zeros = [message(0x03, &[0, 0]), message(0x05, &[5]), message(0x06, hash.as_bytes()), end.clone()];
    add("files", "zeros", &by_hand(0, &one, [1, 1, 5], &zeros.concat()));
    let left_out = [message(0x07, &[0, 12]), end.clone()].concat();
    add("files", "left-out", &by_hand(0, &one, [1, 1, 5], &left_out));
    let body = hello(&one, 1, 1, 5);
    let listed = [message(0x01, &one), message(0x02, &[]), whole(0, b"hello"), end].concat();
    add("files", "framed", &[&[0, 0][..], &(body.len() as u16).to_le_bytes(), &body, &listed].concat());
    // Answers to the folder `sent` with the files `a` and `b`.
    let answered = |decisions: &[u8], rest: &[u8]| {
        let decisions = message(0x81, decisions);
        [&[2, 0][..], &(decisions.len() as u16).to_le_bytes(), &decisions, rest].concat()
    };
    let done = [message(0x82, &[3]), message(0x85, &[])].concat();
    add("files", "taken", &answered(&[0, 1, 1, 2], &done));
    let begun = [&[0, 1, 2, 1, 5][..], blake3::hash(b"01234").as_bytes(), &[4, 1]].concat();
    add("files", "resumed", &answered(&begun, &[message(0x83, &[1, 3]), done.clone()].concat()));
    let compared = [&[0, 1, 3][..], blake3::hash(b"0123456789").as_bytes(), &[0, 1]].concat();
    add("files", "compared", &answered(&compared, &done));
    add("files", "given-up", &answered(&[0, 1], &message(0x84, &[1])));
}

fn quic(add: Add<'_>) {
    let dial = [&[0xc0, 0, 0, 0, 1, 20][..], &[7; 20], &[8], &[9; 8]].concat();
    add("quic", "initial", &dial);
    add("quic", "handshake", &[&[0xe0, 0, 0, 0, 1, 8][..], &[7; 8], &[8]].concat());
    add("quic", "short", &[&[0x40][..], &[7; 8], &[1; 20]].concat());
    // A limit of 100 bytes, two packets of 40 and 150, and the order of their parts.
    let packets = [&[0, 100, 0, 1, 0, 40, 0][..], &[5; 40], &[150, 0], &[6; 150], &[1, 0, 0, 0]].concat();
    add("quic", "parts", &packets);
    // The second half of one packet, the first halves of two.
    add("quic", "made-up", &[1, 3, 0, 0x81, 1, 2, 2, 0, 0x42, 9, 4, 0, 0x41, 5, 6, 7]);
}

/// The blocks of hexadecimal in `docs/PROTOCOL.md`, each for the targets that read such bytes.
fn page(add: Add<'_>) {
    for block in PAGE.split("\n```hex ").skip(1) {
        let Some((name, rest)) = block.split_once('\n') else { continue };
        let lines = rest.split("\n```").next().unwrap_or_default().lines();
        let digits: Vec<u8> = lines
            .flat_map(|line| line.split('#').next().unwrap_or_default().bytes())
            .filter(u8::is_ascii_hexdigit)
            .collect();
        let bytes: Vec<u8> = digits
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let (_, short) = name.split_once('/').unwrap_or(("", name));
        let targets: &[&str] = match name {
            "link/hello" | "link/hello-reply" => &["hello"],
            "link/initiation" | "link/response" | "link/cookie" => &["packet"],
            "wire/close" | "wire/renew-initiation" | "wire/renew-response" | "wire/engine-gone" => {
                &["control"]
            }
            _ if name.starts_with("link/") && name.ends_with("-packet") => &["packet"],
            _ => &[],
        };
        for target in targets {
            add(target, short, &bytes);
        }
    }
}

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

/// Actions for the target `engine`; see `Pair::act`.
const ENGINE: [(&str, &[u8]); 4] = [
    // Open, write, finish; deliver; read at the other end.
    ("one-stream", &[7, 9, 0, 0, 0, 16, 13, 0, 0, 0, 0, 0, 0, 139, 0, 0, 0, 64]),
    // Two streams, both ways, with a loss, a double and a pause.
    (
        "faults",
        &[
            7, 127, 9, 0, 0, 0, 64, 137, 1, 0, 0, 64, 5, 1, 0, 6, 0, 0, 15, 9, 4, 2, 0, 0, 0, 0, 15, 10, 0,
            0, 139, 0, 0, 0, 64, 13, 0, 0, 14, 1, 0, 5, 0, 1, 18, 1, 18, 0, 15, 12,
        ],
    ),
    // A packet with a PING, a MAX_DATA and a STREAM frame that nobody sent.
    (
        "made-up",
        &[7, 9, 0, 0, 9, 0, 0, 0, 17, 0, 12, 0, 1, 0x10, 0x44, 0, 0x0a, 0, 4, 116, 101, 115, 116, 0, 0],
    ),
    ("changed", &[7, 9, 0, 0, 9, 3, 16, 0, 0, 2, 7, 0, 255, 20, 0, 1, 9, 0, 3, 0, 0, 0]),
];

/// Actions for the target `link`; see `World::act`.
const LINK: [(&str, &[u8]); 10] = [
    // Connect; initiation, response, confirmation; data both ways.
    ("connect", &[17, 0, 0, 0, 0, 21, 3, 149, 9, 0, 0, 23, 100, 0, 0, 23, 184, 11, 0, 0]),
    ("both-at-once", &[17, 145, 0, 0, 0, 0, 0, 0, 14, 8, 0, 0, 21, 1, 149, 1, 0, 0]),
    // The stranger initiates; and replays of everything that was taken.
    ("stranger", &[19, 0, 17, 0, 0, 0, 0, 21, 1, 0, 10, 1, 0, 10, 2, 0, 10, 3, 0, 10, 4, 0, 14, 12]),
    // A racer is faster, packets are changed, bytes are made up.
    (
        "hostile-network",
        &[
            17, 0, 0, 0, 0, 21, 4, 9, 4, 0, 14, 9, 0, 0, 11, 4, 0, 1, 20, 0, 255, 3, 0, 1, 2, 12, 1, 0, 0, 5,
            0, 1, 2, 13, 1, 4, 0, 1, 2, 3, 4, 1, 2, 0, 0, 0,
        ],
    ),
    // Restart with a slow disk, and clocks that jump.
    (
        "restart",
        &[
            17, 155, 0, 0, 156, 0, 0, 21, 1, 0, 26, 17, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 255, 127, 154, 145, 0,
            0, 0, 0, 14, 15, 0, 0,
        ],
    ),
    // A hostile peer: controls, a probe, halves, an unknown type.
    (
        "hostile-peer",
        &[
            17, 0, 0, 0, 0, 24, 5, 0, 3, 0x22, 2, 8, 3, 0, 24, 9, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 24, 6,
            0, 5, 1, 0, 0, 4, 9, 0, 24, 6, 0, 5, 1, 0, 1, 7, 8, 0, 24, 2, 0, 99, 1, 0, 24, 4, 0, 3, 10, 2, 8,
            1, 0,
        ],
    ),
    // Renewal after two minutes of use, then silence until the session is gone.
    (
        "renewal",
        &[
            17, 0, 0, 0, 0, 21, 1, 0, 14, 16, 21, 1, 0, 0, 0, 14, 16, 149, 1, 0, 0, 0, 0, 0, 14, 16, 21, 1,
            0, 0, 0, 14, 20, 0, 0, 0, 14, 22, 0, 0,
        ],
    ),
    // Both are public; more strangers than are read, then one who has to show a cookie.
    (
        "cookies",
        &[
            31, 159, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 145,
            0, 0, 0, 0, 0, 0, 149, 1, 0, 0,
        ],
    ),
    ("close", &[17, 0, 0, 0, 0, 21, 1, 0, 20, 0, 0, 0, 0, 145, 0, 0, 0, 0, 148, 1, 0, 0]),
    // More candidates than are kept, and a network that changes.
    (
        "candidates",
        &[
            17, 29, 1, 0, 29, 2, 1, 29, 3, 0, 29, 4, 1, 29, 5, 0, 29, 6, 1, 0, 0, 0, 0, 25, 1, 25, 0, 14, 9,
            0, 0, 25, 2, 0, 0, 25, 4, 88, 2, 23, 80, 4, 0, 0,
        ],
    ),
];

/// A kind, and then a message after its length, a datagram of a SOCKS client, or text.
const SOCK: [(&str, &[u8]); 5] = [
    (
        "fragments",
        b"\0\x0c\0\x11\0\x07\0\x02\x0a\0\0\x01\0\x35\x08\x0c\0\x11\0\x07\x01\x02\x0a\0\0\x01\0\x35\x09",
    ),
    ("whole", b"\0\x0a\0\x30\x03a.b\0\x35hey"),
    ("socks", b"\x01\0\0\0\x03\x03a.b\0\x35hey"),
    ("target", b"\x02[::ffff:127.1]:22"),
    ("grant", b"\x03sock:10.0.0.0/8:20-22"),
];

/// Actions for the target `router`; see `Scene::act`.
const ROUTER: [(&str, &[u8]); 6] = [
    // Asks for Alice with a packet of nobody, and for Bob with its own keys; sends on the circuits.
    (
        "circuits",
        &[
            2, 1, 0, 0, 0, 3, 0, 1, 0, 0, 2, 1, 2, 1, 2, 0, 100, 0, 5, 0, 1, 40, 0, 4, 0, 0, 0, 9, 9, 9, 9,
            0, 0, 5, 1, 1, 40, 0, 4, 0, 0, 0, 9, 9, 9, 9, 0, 0,
        ],
    ),
    // Alice accepts it; it asks for her by keys; she calls back; and all of it is repeated.
    (
        "accepted",
        &[13, 1, 2, 1, 0, 3, 2, 0, 232, 3, 10, 0, 0, 1, 0, 1, 10, 4, 0, 0, 0, 0, 0, 10, 9, 0, 1, 0, 0],
    ),
    // The two look for each other while the router ends and comes back.
    ("restart", &[11, 1, 0, 100, 0, 12, 50, 11, 0, 0, 208, 7, 12, 0, 0, 136, 19, 11, 1, 0, 0, 8]),
    // Numbers of routers, circuits to oneself and to the router, a circuit inside another one.
    (
        "wrong",
        &[
            2, 1, 0, 200, 0, 0, 0, 0, 0, 0, 0, 128, 2, 2, 1, 4, 1, 2, 2, 1, 3, 2, 2, 5, 1, 1, 16, 0, 5, 0, 0,
            0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 7, 3, 2, 4, 0, 0, 3, 0, 1, 2, 3,
        ],
    ),
    // Says where it is, and where others are; is thrown out, and comes back.
    (
        "paths",
        &[
            8, 4, 3, 1, 1, 1, 2, 2, 1, 3, 3, 0, 0, 1, 8, 0, 1, 9, 9, 1, 0, 15, 0, 255, 255, 8, 4, 1, 5, 5, 1,
            0,
        ],
    ),
    // A stranger, and what only a hostile contact seals.
    (
        "bytes",
        &[
            9, 0, 0, 4, 0, 5, 0, 0, 0, 9, 1, 0, 3, 0, 1, 0, 0, 14, 3, 0, 6, 2, 8, 14, 2, 0, 1, 1, 4, 2, 0, 1,
            0, 7,
        ],
    ),
];

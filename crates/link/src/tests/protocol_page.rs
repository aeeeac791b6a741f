//! `docs/PROTOCOL.md` against the code: its packets are the golden ones, somebody who has only the page and a Noise library
//! can make and read them, and its table of timers is the one in use.

use std::time::Duration;

use ring::{aead, digest, hmac};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use telemesh_hashname::CipherSetId;

use super::harness::{BOTH, keys};
use crate::timers::*;

/// The page, as it stands in the project.
struct Page(String);

impl Page {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
        Self(std::fs::read_to_string(path).expect("the page stands beside the crates"))
    }

    /// The lines of the block with this information behind its fence.
    fn block(&self, information: &str) -> Vec<&str> {
        let fence = format!("```{information}");
        let lines = self.0.lines().skip_while(|line| *line != fence).skip(1);
        let block: Vec<&str> = lines.take_while(|line| *line != "```").collect();
        assert!(!block.is_empty(), "the page has no block `{information}`");
        block
    }

    /// The bytes of a block in order, and as `Err` how many are left out at a place.
    fn pieces(&self, name: &str) -> Vec<Result<u8, usize>> {
        let mut pieces = Vec::new();
        for line in self.block(&format!("hex {name}")) {
            let mut words = line.split('#').next().unwrap().split_whitespace();
            while let Some(word) = words.next() {
                pieces.push(match word {
                    "…" => Err(words.next().unwrap().parse().unwrap()),
                    byte => Ok(u8::from_str_radix(byte, 16).unwrap()),
                });
            }
        }
        pieces
    }

    /// The bytes of a block that shows all of them.
    fn bytes(&self, name: &str) -> Vec<u8> {
        self.pieces(name).into_iter().map(|piece| piece.expect("no byte is left out")).collect()
    }

    /// Checks that a block shows these bytes.
    #[track_caller]
    fn assert_shows(&self, name: &str, bytes: &[u8]) {
        let mut rest = bytes;
        for piece in self.pieces(name) {
            let (taken, after) = rest.split_at(piece.err().unwrap_or(1));
            if let Ok(byte) = piece {
                assert_eq!(taken, [byte], "{name}, byte {}", bytes.len() - rest.len());
            }
            rest = after;
        }
        assert!(rest.is_empty(), "{name} goes on for {} bytes", rest.len());
    }

    fn text(&self, name: &str) -> String {
        self.block(&format!("text {name}")).concat()
    }
}

fn golden(text: &str) -> Vec<u8> {
    let text: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The packets of the page by name, and whether the initiator sends them.
fn data_packets() -> [(&'static str, Vec<u8>, bool); 5] {
    [
        ("engine", golden(include_str!("golden/engine.hex")), true),
        ("message", golden(include_str!("golden/message.hex")), true),
        ("probe", golden(include_str!("golden/probe.hex")), true),
        ("answer", golden(include_str!("golden/answer.hex")), false),
        ("control", golden(include_str!("golden/control.hex")), true),
    ]
}

#[test]
fn the_packets_on_the_page_are_those_that_are_made() {
    let page = Page::read();
    page.assert_shows("link/initiation", &golden(include_str!("golden/initiation.hex")));
    page.assert_shows("link/response", &golden(include_str!("golden/response.hex")));
    for (name, packet) in [
        ("returning", include_str!("golden/returning.hex")),
        ("cookie", include_str!("golden/cookie.hex")),
        ("proven", include_str!("golden/proven.hex")),
    ] {
        page.assert_shows(&format!("link/{name}"), &golden(packet));
    }
    for (name, packet, _) in data_packets() {
        page.assert_shows(&format!("link/{name}-packet"), &packet);
    }
    for (number, name) in [(1, "a"), (2, "b")] {
        let keys = keys(number, BOTH);
        assert_eq!(page.text(&format!("link/hashname-{name}")), keys.hashname().to_string());
        page.assert_shows(&format!("link/public-{name}"), keys.public().key(CipherSetId::CS21).unwrap());
    }
    let [issuer, bearer] = [2, 1].map(|number| keys(number, BOTH).hashname());
    page.assert_shows("link/invite-proof", &crate::prove_invite(&[7; 32], &issuer, &bearer));
}

/// snow's own primitives. It has no randomness in this build, and the handshakes here need none.
struct Plain;

impl CryptoResolver for Plain {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(NoRandomness))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct NoRandomness;

impl Random for NoRandomness {
    fn try_fill_bytes(&mut self, _dest: &mut [u8]) -> Result<(), snow::Error> {
        Err(snow::Error::Rng)
    }
}

/// The initiator of the page's handshake, from what the page says.
fn initiator(page: &Page) -> HandshakeState {
    let prologue = page.bytes("link/prologue");
    assert_eq!(prologue[..17], [b"telemesh link v1".as_slice(), &[0x21]].concat());
    assert_eq!(prologue[17..], *keys(2, BOTH).hashname().as_bytes());
    let mut secret = [1; 32];
    secret[31] = 0x21;
    Builder::with_resolver("Noise_IK_25519_AESGCM_SHA256".parse().unwrap(), Box::new(Plain))
        .local_private_key(&secret)
        .unwrap()
        .remote_public_key(&page.bytes("link/public-b"))
        .unwrap()
        .prologue(&prologue)
        .unwrap()
        .fixed_ephemeral_key_for_testing_only(&page.bytes("link/ephemeral"))
        .build_initiator()
        .unwrap()
}

fn padded(mut message: Vec<u8>, size: usize) -> Vec<u8> {
    assert_eq!(usize::from(u16::from_le_bytes([message[0], message[1]])), message.len() - 2);
    message.resize(size, 0);
    message
}

fn mac1(label: &str, material: &[u8], packet: &[u8]) -> Vec<u8> {
    let key = digest::digest(&digest::SHA256, &[label.as_bytes(), material].concat());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    hmac::sign(&key, &packet[..1_160]).as_ref()[..16].to_vec()
}

#[test]
fn who_has_only_the_page_and_a_noise_library_makes_and_reads_the_packets() {
    let page = Page::read();
    let initiation = golden(include_str!("golden/initiation.hex"));
    let response = golden(include_str!("golden/response.hex"));
    let mut noise = initiator(&page);

    let hello = page.bytes("link/hello");
    let mut message = [0; 1_151];
    noise.write_message(&padded(hello.clone(), 1_055), &mut message).unwrap();
    assert_eq!(message, initiation[9..1_160]);
    let expected = mac1("telemesh mac1 initiation v1", &page.bytes("link/public-b"), &initiation);
    assert_eq!(initiation[1_160..1_176], expected);

    let mut payload = [0; 1_099];
    noise.read_message(&response[13..1_160], &mut payload).unwrap();
    assert_eq!(payload.to_vec(), padded(page.bytes("link/hello-reply"), 1_099));
    let response_mac_key = &hello[hello.len() - 16..];
    assert_eq!(response[1_160..1_176], mac1("telemesh mac1 response v1", response_mac_key, &response));

    let (ours, theirs) = noise.dangerously_get_raw_split();
    assert_eq!(page.bytes("link/keys"), [ours, theirs].concat());
    for (name, packet, from_initiator) in data_packets() {
        let key = if from_initiator { &ours } else { &theirs };
        let plaintext = open(key, &packet);
        assert_eq!(plaintext, page.bytes(&format!("link/{name}-plain")), "{name}");
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

#[test]
fn who_has_only_the_page_makes_and_reads_return_tags_and_cookies() {
    let page = Page::read();
    let secret = page.bytes("link/keys");
    for (end, name) in ["a", "b"].into_iter().enumerate() {
        let derived = |label: &str| hmac_sha256(&secret, &[label.as_bytes(), &[end as u8]].concat());
        let tag = [&derived("telemesh return id v1")[..8], &derived("telemesh return key v1")].concat();
        assert_eq!(page.bytes(&format!("link/return-tag-{name}")), tag);
    }
    let tag = page.bytes("link/return-tag-a");
    let returning = golden(include_str!("golden/returning.hex"));
    assert_eq!(returning[1_176..1_184], tag[..8]);
    assert_eq!(returning[1_184..], hmac_sha256(&tag[8..], &returning[..1_184])[..16]);

    let cookie = golden(include_str!("golden/cookie.hex"));
    let label = [b"telemesh cookie seal v1".as_slice(), &page.bytes("link/public-b")].concat();
    let label = digest::digest(&digest::SHA256, &label);
    let key = hmac_sha256(label.as_ref(), &cookie[8..32]);
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &key).unwrap());
    let mut sealed = cookie[32..].to_vec();
    let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
    let plain = key.open_in_place(nonce, aead::Aad::from(&returning[1_160..1_176]), &mut sealed).unwrap();
    assert_eq!(plain, page.bytes("link/cookie-plain"));
    assert_eq!(cookie[4..8], returning[5..9]);
    let proven = golden(include_str!("golden/proven.hex"));
    assert_eq!(proven[1_184..], hmac_sha256(plain, &proven[..1_184])[..16]);
}

#[test]
fn the_budgets_on_the_page_are_those_in_use() {
    let page = Page::read().0.split_whitespace().collect::<Vec<_>>().join(" ");
    let thousands = |number: u32| match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    };
    let in_words = |rate: crate::Rate| {
        format!("{} per second, burst {}", thousands(rate.per_second), thousands(rate.burst))
    };
    for sentence in [
        format!("all together: {}", in_words(crate::STRANGERS)),
        format!("each address has {}", in_words(crate::STRANGERS_PER_ADDRESS)),
        format!("at most {}", in_words(crate::COOKIES)),
        format!(
            "more than {} times at once and then {} times a second",
            crate::PER_TAG.burst,
            crate::PER_TAG.per_second
        ),
        format!("changes every {} s", crate::COOKIE_SECRET_LIFE.as_secs()),
    ] {
        assert!(page.contains(&sentence), "the page does not say: {sentence}");
    }
}

/// Opens a data packet as the page says: header as associated data, counter big-endian in the nonce.
fn open(key: &[u8; 32], packet: &[u8]) -> Vec<u8> {
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).unwrap());
    let mut nonce = [0; 12];
    packet[8..16].iter().rev().zip(&mut nonce[4..]).for_each(|(from, to)| *to = *from);
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    let mut sealed = packet[16..].to_vec();
    key.open_in_place(nonce, aead::Aad::from(&packet[..16]), &mut sealed).unwrap().to_vec()
}

#[test]
fn the_timers_on_the_page_are_those_in_use() {
    let page = Page::read();
    let table: Vec<(&str, &str)> = page
        .0
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            let is_constant = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            is_constant.then_some((name, cells.next()?))
        })
        .collect();
    let ours = timers();
    let ours: Vec<(&str, &str)> = ours.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(table, ours);
    let constants = include_str!("../timers.rs").lines().filter(|line| line.contains("const ")).count();
    assert_eq!(table.len(), constants, "a constant of the table in the code is not on the page");
}

fn time(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        3_600_000 => "3,600 s".to_owned(),
        _ if millis.is_multiple_of(1_000) => format!("{} s", millis / 1_000),
        _ => format!("{millis} ms"),
    }
}

fn power(number: u64) -> String {
    assert!(number.is_power_of_two());
    format!("2^{}", number.trailing_zeros())
}

/// Every constant of `timers.rs`, in the order of the page, as the page writes it.
fn timers() -> Vec<(&'static str, String)> {
    let waits: Vec<String> = INITIATION_RESEND.iter().map(|wait| wait.as_secs_f32().to_string()).collect();
    let leaps: Vec<String> = AT_LEAPS.iter().map(|leap| (leap / 86_400_000_000).to_string()).collect();
    assert_eq!(AT_LEAP_LIMIT, 200 * 366 * 86_400_000_000);
    let mut all = vec![("INITIATION_RESEND", format!("{} s", waits.join(", ")))];
    macro_rules! rows {
        ($as:ident: $($name:ident)*) => { $(all.push((stringify!($name), $as($name)));)* };
    }
    fn count(number: impl ToString) -> String {
        number.to_string()
    }
    rows!(time: ATTEMPT_LIMIT RETRY_FIRST RETRY_MAX);
    rows!(count: COPIES_PER_ROUND MAX_PENDING);
    rows!(count: LATE_BURST);
    rows!(time: LATE_INTERVAL STALE_ANSWER_INTERVAL);
    rows!(count: ACCEPT_BURST);
    rows!(time: ACCEPT_INTERVAL);
    all.push(("AT_LEAPS", format!("{} days", leaps.join(", "))));
    rows!(count: AT_LEAP_DOUBLINGS);
    rows!(time: COOKIE_KEPT);
    all.push(("AT_LEAP_LIMIT", "200 × 366 days".to_owned()));
    rows!(time: SUSPECT_MIN SUSPECT_MAX);
    rows!(count: SUSPECT_ROUND_TRIPS DEAD_AFTER_PROBES);
    rows!(time: DEAD_PROBE_FIRST DEAD_PROBE_MAX);
    rows!(count: WIDTH_PROBES WARM_CIRCUITS);
    rows!(time: BUDGET_WAIT KEEPALIVE HEARD_CHECK);
    rows!(count: WARM_SPARES);
    rows!(time: REHANDSHAKE);
    rows!(count: MAX_CANDIDATES MAX_CIRCUIT_PATHS);
    let grouped = |number: usize| if number == 1_000 { "1,000".to_owned() } else { number.to_string() };
    all.push(("BIRTHDAY_PORTS", grouped(BIRTHDAY_PORTS)));
    rows!(count: BIRTHDAY_SOCKETS);
    rows!(time: BIRTHDAY_PACE BIRTHDAY_TICK BIRTHDAY_ANSWERS BIRTHDAY_AGAIN BIRTHDAY_PAUSE);
    rows!(time: SWITCH_MARGIN RENEW_AFTER RENEW_JITTER RENEW_OVERDUE SESSION_LIMIT RENEW_IDLE RENEW_RESEND);
    rows!(power: AES_GCM_RENEW_PACKETS AES_GCM_PACKET_LIMIT RENEW_PACKETS PACKET_LIMIT);
    rows!(time: PREVIOUS_KEPT UNCONFIRMED_KEPT);
    rows!(count: MAX_UNCONFIRMED);
    rows!(time: CROSSED_WITHIN GO_BACK_AFTER GO_BACK_HIGHER_AFTER);
    rows!(count: MAX_PINGS MAX_QUEUED);
    all
}

//! `docs/PROTOCOL.md` says how an engine starts: its seed, its connection ids, and the first packet of either side. Here they
//! are computed as the page says and made by an engine; all must agree. When a new `quinn-proto` breaks this test, the local
//! handshake has changed: that is a new engine version.
#![allow(clippy::expect_used, reason = "clippy does not see that helpers in here belong to tests")]
#![allow(clippy::disallowed_methods, reason = "a test starts from some instant")]

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use telemesh_engine::{Config, ENGINE_VERSION, Engine, Seed};
use telemesh_hashname::Hashname;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
    std::fs::read_to_string(path).expect("the page stands beside the crates")
}

/// The lines of the block with this information behind its fence, without comments.
fn block<'a>(page: &'a str, information: &str) -> Vec<&'a str> {
    let fence = format!("```{information}");
    let lines = page.lines().skip_while(|line| *line != fence).skip(1);
    let block: Vec<&str> =
        lines.take_while(|line| *line != "```").filter_map(|line| line.split('#').next()).collect();
    assert!(!block.is_empty(), "the page has no block `{information}`");
    block
}

fn bytes(page: &str, name: &str) -> Vec<u8> {
    let lines = block(page, &format!("hex engine/{name}"));
    lines
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

/// The two endpoints of the page, each with its incarnation.
fn ends(page: &str) -> [(Hashname, u64); 2] {
    [("a", 1_000), ("b", 2_000)].map(|(name, incarnation)| {
        let hashname = block(page, &format!("text link/hashname-{name}")).concat();
        (hashname.parse().expect("a hashname"), incarnation)
    })
}

#[test]
fn seed_and_connection_ids_are_what_the_page_says() {
    let page = page();
    let [(low, low_incarnation), (high, high_incarnation)] = ends(&page);
    assert!(high > low);
    let seed = hash(&[
        b"telemesh engine seed v1",
        &ENGINE_VERSION.to_le_bytes(),
        high.as_bytes(),
        &u64::to_le_bytes(high_incarnation),
        low.as_bytes(),
        &u64::to_le_bytes(low_incarnation),
        &0u64.to_le_bytes(),
    ]);
    assert_eq!(bytes(&page, "seed"), seed);
    for (side, n, packet) in [("client", 1u64, "first-from-a"), ("server", 0, "first-from-b")] {
        let derived = hash(&[&seed, format!("{side} connection ids").as_bytes()]);
        let id = hash(&[&derived, &n.to_le_bytes()]);
        assert_eq!(bytes(&page, packet)[1..5], id[..4], "{packet}");
    }
}

#[test]
fn the_first_packets_are_those_on_the_page_whatever_each_end_has_measured() {
    let page = page();
    let [a, b] = ends(&page);
    for rtt in [Duration::from_micros(70), Duration::from_millis(600)] {
        for (local, remote, name) in [(a, b, "first-from-a"), (b, a, "first-from-b")] {
            let now = Instant::now();
            let config = Config::default().with_rtt(rtt);
            let mut engine = Engine::start(&Seed::new(local, remote, 0), &config, now).expect("it starts");
            let stream = engine.open().expect("a stream is permitted");
            assert_eq!(engine.write(stream, b"hello"), Ok(5));
            let mut packet = Vec::new();
            engine.poll_transmit(now, 1, &mut packet).expect("there is something to send");
            assert_eq!(packet, bytes(&page, name), "{name}");
        }
    }
}

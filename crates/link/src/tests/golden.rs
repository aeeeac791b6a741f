//! Golden bytes: every packet type made from fixed keys, seeds and times, as checked in. A change here is a change of the
//! wire format, which old endpoints do not understand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh_wire::{CloseReason, Credential, PathAddress};

use super::harness::{BOTH, WALL, World, gate, keys};
use crate::{Admission, GateConfig, Identity, Link, LinkConfig, Peer, Rate, TagTable};

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(40).fold(String::new(), |mut text, line| {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
        text
    })
}

fn all_of(link: &mut Link, now: std::time::Instant) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut out = Vec::new();
    while link.poll_transmit(now, &mut out).is_some() {
        packets.push(std::mem::take(&mut out));
    }
    packets
}

/// What a public gate under load answers, which knows no tags.
fn cookie_for(initiation: &[u8], now: Instant, identity: &Arc<Identity>, from: PathAddress) -> Vec<u8> {
    let mut config = GateConfig::new(TagTable::new());
    config.strangers = Rate { burst: 8, per_second: 1 };
    let mut gate = gate(identity, config, now);
    gate.set_public(true);
    for _ in 0..3 {
        let admitted = gate.handle_initiation(now, from, &mut initiation.to_vec()).unwrap();
        if let Admission::Cookie { packet, .. } = admitted {
            return packet.into_vec();
        }
    }
    panic!("no cookie");
}

#[test]
fn every_packet_type_has_the_bytes_that_are_checked_in() {
    let now = World::new(0).now;
    let [left, right] =
        [1, 2].map(|number| Identity::new(keys(number, BOTH), u64::from(number) * 1_000, 1).unwrap());
    let [left_at, right_at] = ["192.0.2.1:1111", "192.0.2.2:2222"]
        .map(|text| PathAddress::Udp(text.parse::<SocketAddr>().unwrap()));
    let peer = |identity: &Identity| Peer {
        keys: Some(identity.public_keys().clone()),
        ..Peer::new(identity.hashname())
    };
    let mut a = Link::new(left.clone(), peer(&right), 5, LinkConfig::default(), [1; 32], now).unwrap();
    let mut b = Link::new(right.clone(), peer(&left), 6, LinkConfig::default(), [2; 32], now).unwrap();

    a.set_credential(Credential::new(b"let me in".to_vec()).unwrap());
    a.add_candidate(now, right_at);
    a.connect(now, WALL);
    let initiation = all_of(&mut a, now).remove(0);
    let mut first_gate = gate(&right, GateConfig::new(TagTable::new()), now);
    let admitted = first_gate.handle_initiation(now, left_at, &mut initiation.clone()).unwrap();
    let Admission::Request(request) = admitted else { panic!("a gate that is not public gave a cookie") };
    request.accept(&mut b, now, WALL + 5).unwrap();
    let record = b.record();
    b.persisted(now, &record);
    let response = all_of(&mut b, now).remove(0);
    let later = now + Duration::from_millis(30);
    a.handle_packet(later, right_at, &mut response.clone()).unwrap();
    let mut engine = Vec::new();
    a.seal_batch(later, b"@engine", 7, &mut engine).unwrap();
    let mut message = Vec::new();
    a.seal_message(later, b"message", &mut message).unwrap();
    a.ping(later).unwrap();
    let probe = all_of(&mut a, later).remove(0);
    b.handle_packet(later, left_at, &mut probe.clone()).unwrap();
    let answer = all_of(&mut b, later).remove(0);
    a.send_engine_gone(3);
    let control = all_of(&mut a, later).remove(0);
    a.close(later, CloseReason::Closed);
    all_of(&mut a, later);
    a.connect(later, WALL + 1_000);
    let returning = all_of(&mut a, later).remove(0);
    let cookie = cookie_for(&returning, now, &right, left_at);
    a.handle_packet(later, right_at, &mut cookie.clone()).unwrap();
    a.handle_timeout(later, WALL + 2_000);
    let proven = all_of(&mut a, later).remove(0);

    for (name, bytes, expected) in [
        ("initiation", initiation, include_str!("golden/initiation.hex")),
        ("response", response, include_str!("golden/response.hex")),
        ("engine", engine, include_str!("golden/engine.hex")),
        ("message", message, include_str!("golden/message.hex")),
        ("probe", probe, include_str!("golden/probe.hex")),
        ("answer", answer, include_str!("golden/answer.hex")),
        ("control", control, include_str!("golden/control.hex")),
        ("returning", returning, include_str!("golden/returning.hex")),
        ("cookie", cookie, include_str!("golden/cookie.hex")),
        ("proven", proven, include_str!("golden/proven.hex")),
    ] {
        if let Ok(folder) = std::env::var("TELEMESH_WRITE_GOLDEN") {
            // Run with this set to `src/tests/golden` after a wanted change of the format.
            std::fs::write(format!("{folder}/{name}.hex"), hex(&bytes)).unwrap();
        } else {
            assert_eq!(hex(&bytes), expected, "{name}");
        }
    }
}

//! What is read from packets, and above all what is not.

use std::net::IpAddr;

use proptest::prelude::*;
use simple_dns::rdata::{A, PTR, SRV};
use simple_dns::{CLASS, CharacterString, QCLASS, QTYPE, Question, TYPE};
use telemesh_hashname::CipherSetId;

use super::*;
use crate::announcement::{TTL, write_announcement, write_question};
use crate::names::{host_name, instance_name};

fn anywhere(_: IpAddr) -> bool {
    true
}

fn lan(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[..2] == [10, 1])
}

/// An endpoint with keys that nobody has.
pub(crate) fn endpoint(seed: u8, paths: &[&str]) -> Announcement {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[seed; 32]).unwrap();
    keys.insert_key(CipherSetId::CS21, &[seed ^ 0xff; 32]).unwrap();
    let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
    Announcement { hashname: keys.hashname().unwrap(), keys, paths }
}

fn addresses(announcement: &Announcement) -> Vec<IpAddr> {
    announcement.paths.iter().filter_map(|path| Some(path.socket_address()?.ip())).collect()
}

fn written(announcement: &Announcement, ttl: u32) -> Vec<u8> {
    write_announcement(announcement, &addresses(announcement), ttl).unwrap()
}

fn present(packet: &[u8]) -> Vec<Announcement> {
    match Message::read(packet, anywhere) {
        Ok(Message::Response(claims)) => claims
            .into_iter()
            .map(|claim| match claim {
                Claim::Present { announcement, .. } => announcement,
                Claim::Gone(_) => panic!("somebody has gone"),
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// A response with these strings in the TXT record, and everything else as it should be.
fn with_txt(hashname: &Hashname, strings: &[&[u8]]) -> Vec<u8> {
    let (instance, host) = (instance_name(hashname), host_name(hashname));
    let (instance, host) = (Name::new_unchecked(&instance), Name::new_unchecked(&host));
    let mut txt = TXT::new();
    strings.iter().for_each(|string| txt.add_char_string(CharacterString::new(string).unwrap()));
    let mut packet = Packet::new_reply(0);
    let srv = SRV { priority: 0, weight: 0, port: 42_424, target: host.clone() };
    for (name, data) in [
        (instance.clone(), RData::SRV(srv)),
        (instance, RData::TXT(txt)),
        (host, RData::A(A { address: 0x0a01_0001 })),
    ] {
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, TTL, data));
    }
    packet.build_bytes_vec_compressed().unwrap()
}

fn key_strings(announcement: &Announcement) -> Vec<Vec<u8>> {
    let string = |key: &telemesh_hashname::PublicKey| {
        format!("cs{}={}", key.cipher_set(), base32::encode(key.key().unwrap())).into_bytes()
    };
    announcement.keys.iter().map(string).collect()
}

#[test]
fn an_announcement_is_read_as_it_was_written() {
    let paths = ["udp:10.1.0.1:42424", "udp:[fd00::1]:42424", "udp:10.1.0.1:7", "quic:10.1.0.1:443"];
    let announced = endpoint(1, &paths);
    let read = present(&written(&announced, TTL));
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].hashname, &read[0].keys), (announced.hashname, &announced.keys));
    let sorted = |announcement: &Announcement| {
        let mut paths = announcement.paths.clone();
        paths.sort();
        paths
    };
    assert_eq!(sorted(&read[0]), sorted(&announced));
}

#[test]
fn paths_into_other_networks_are_left_out_and_without_any_other_nobody_is_there() {
    let announced = endpoint(1, &["udp:10.1.0.1:42424", "udp:8.8.8.8:42424", "udp:[2001:db8::1]:42424"]);
    let packet = written(&announced, TTL);
    let Ok(Message::Response(claims)) = Message::read(&packet, lan) else { panic!() };
    let Claim::Present { announcement, .. } = &claims[0] else { panic!() };
    assert_eq!(announcement.paths, ["udp:10.1.0.1:42424".parse().unwrap()]);
    assert_eq!(Message::read(&packet, |_| false), Ok(Message::Response(Vec::new())));
}

#[test]
fn keys_are_those_of_the_hashname_or_nobody_is_there() {
    let (alice, mallory) = (endpoint(1, &[]), endpoint(2, &[]));
    let strings = key_strings(&mallory);
    let all: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    assert!(present(&with_txt(&alice.hashname, &all)).is_empty(), "somebody else's keys");
    assert!(present(&with_txt(&mallory.hashname, &all[..1])).is_empty(), "a cipher set is stripped");
    assert_eq!(present(&with_txt(&mallory.hashname, &all)).len(), 1);
    assert!(present(&with_txt(&mallory.hashname, &[all[0], all[1], all[0]])).is_empty(), "one of them twice");
    assert!(present(&with_txt(&mallory.hashname, &[])).is_empty());
}

#[test]
fn a_key_may_be_shown_by_its_digest() {
    let bob = endpoint(3, &[]);
    let digest = base32::encode(bob.keys.digest(CipherSetId::CS11).unwrap().as_bytes());
    let (digest, key) = (format!("d11={digest}").into_bytes(), key_strings(&bob).remove(1));
    let read = present(&with_txt(&bob.hashname, &[&digest, &key]));
    assert_eq!(read[0].keys.key(CipherSetId::CS11), None);
    assert!(read[0].keys.key(CipherSetId::CS21).is_some());
}

#[test]
fn words_of_later_versions_are_passed_over_and_another_layout_is_not_guessed_at() {
    let bob = endpoint(3, &[]);
    let mut strings: Vec<Vec<u8>> = vec![b"txtvers=1".to_vec(), b"color=blue".to_vec(), b"csx=7".to_vec()];
    // Also what is no text at all.
    strings.extend([b"note=\xff\xfe".to_vec(), b"\xff=1".to_vec(), b"=".to_vec(), Vec::new()]);
    strings.extend(key_strings(&bob));
    let all: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    assert_eq!(present(&with_txt(&bob.hashname, &all)).len(), 1);
    strings[0] = b"txtvers=2".to_vec();
    let all: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    assert!(present(&with_txt(&bob.hashname, &all)).is_empty());
}

#[test]
fn paths_that_lead_nowhere_are_left_out() {
    let bob = endpoint(3, &[]);
    let mut strings = key_strings(&bob);
    let router = format!("path=peer:{}", bob.hashname);
    for path in
        ["path=udp:0.0.0.0:1", "path=udp:10.1.0.1:0", "path=udp:224.0.0.251:5353", "path=x", "path", &router]
    {
        strings.push(path.as_bytes().to_vec());
    }
    let all: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    assert_eq!(present(&with_txt(&bob.hashname, &all))[0].paths, ["udp:10.1.0.1:42424".parse().unwrap()]);
}

#[test]
fn as_many_paths_as_the_limit_are_taken() {
    let bob = endpoint(3, &[]);
    let mut strings = key_strings(&bob);
    strings.extend((0..MAX_CLAIM_PATHS).map(|port| format!("path=udp:10.1.0.2:{}", port + 1).into_bytes()));
    let all: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
    let paths = &present(&with_txt(&bob.hashname, &all))[0].paths;
    assert_eq!(paths.len(), MAX_CLAIM_PATHS);
}

#[test]
fn a_goodbye_is_understood() {
    let announced = endpoint(1, &["udp:10.1.0.1:42424"]);
    let read = Message::read(&written(&announced, 0), anywhere);
    assert_eq!(read, Ok(Message::Response(vec![Claim::Gone(announced.hashname)])));
}

#[test]
fn a_question_is_for_everybody_but_those_it_names_as_known() {
    let (alice, bob) = (endpoint(1, &[]).hashname, endpoint(2, &[]).hashname);
    let read = Message::read(&write_question([alice]).unwrap(), anywhere).unwrap();
    assert!(!read.asks_for(&alice) && read.asks_for(&bob), "{read:?}");

    let instance = instance_name(&alice);
    let mut packet = Packet::new_query(0);
    let name = Name::new_unchecked(&instance);
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN), true));
    let read = Message::read(&packet.build_bytes_vec().unwrap(), anywhere).unwrap();
    assert!(read.asks_for(&alice) && !read.asks_for(&bob), "{read:?}");
}

#[test]
fn what_the_asker_will_soon_forget_does_not_count_as_known() {
    let alice = endpoint(1, &[]).hashname;
    for (ttl, asks) in [(KNOWN_TTL, false), (KNOWN_TTL - 1, true)] {
        let instance = instance_name(&alice);
        let mut packet = Packet::new_query(0);
        let (service, target) = (Name::new_unchecked(SERVICE), Name::new_unchecked(&instance));
        let question = Question::new(service.clone(), QTYPE::ANY, QCLASS::ANY, false);
        packet.questions.push(question);
        packet.answers.push(ResourceRecord::new(service, CLASS::IN, ttl, RData::PTR(PTR(target))));
        let read = Message::read(&packet.build_bytes_vec().unwrap(), anywhere).unwrap();
        assert_eq!(read.asks_for(&alice), asks, "{ttl}");
    }
}

#[test]
fn packets_about_other_services_are_not_even_parsed() {
    assert_eq!(Message::read(b"", anywhere), Err(MessageError::NotOurs));
    let mut packet = Packet::new_query(0);
    let printer = Name::new_unchecked("_ipp._tcp.local");
    packet.questions.push(Question::new(printer, QTYPE::ANY, QCLASS::ANY, false));
    assert_eq!(Message::read(&packet.build_bytes_vec().unwrap(), anywhere), Err(MessageError::NotOurs));
}

#[test]
fn as_many_records_as_the_limit_are_read_and_not_one_more() {
    let announced = endpoint(1, &["udp:10.1.0.1:42424"]);
    for (records, fits) in [(MAX_RECORDS, true), (MAX_RECORDS + 1, false)] {
        let mut packet = Packet::parse(&written(&announced, TTL)).unwrap().clone().into_owned_packet();
        let filler = packet.answers[3].clone();
        while packet.answers.len() < records {
            packet.answers.push(filler.clone());
        }
        let bytes = packet.build_bytes_vec_compressed().unwrap();
        assert_eq!(Message::read(&bytes, anywhere).is_ok(), fits, "{records}");
    }
}

#[test]
fn a_header_that_promises_thousands_of_records_costs_nothing() {
    let mut packet = written(&endpoint(1, &["udp:10.1.0.1:42424"]), TTL);
    packet[4..12].fill(0xff);
    assert_eq!(Message::read(&packet, anywhere), Err(MessageError::TooLong));
}

#[test]
fn a_packet_may_be_as_long_as_the_limit() {
    let mut packet = written(&endpoint(1, &["udp:10.1.0.1:42424"]), TTL);
    // What stands behind the last record is nobody's business.
    packet.resize(MAX_PACKET, 0);
    assert_eq!(present(&packet).len(), 1);
    packet.push(0);
    assert_eq!(Message::read(&packet, anywhere), Err(MessageError::TooLong));
}

#[test]
fn names_that_point_at_themselves_or_at_each_other_end() {
    let mut header = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let at = |offset: u8| [0xc0, offset];
    for pointers in [vec![at(12)], vec![at(14), at(12)], vec![at(0)], vec![[0xff, 0xff]]] {
        let mut packet = header.clone();
        packet.extend(pointers.concat());
        packet.extend(SERVICE_LABEL);
        assert!(Message::read(&packet, anywhere).is_err(), "{pointers:?}");
    }
    // A label in front of a pointer to itself grows without end.
    header.extend(SERVICE_LABEL);
    header.extend(at(12));
    header.extend([0; 10]);
    assert_eq!(Message::read(&header, anywhere), Err(MessageError::Malformed));
}

#[test]
fn of_many_endpoints_in_one_packet_the_first_few_are_taken() {
    let mut packet = Packet::new_reply(0);
    for seed in 0..20 {
        let bytes = written(&endpoint(seed, &["udp:10.1.0.1:42424"]), TTL);
        let one = Packet::parse(&bytes).unwrap().into_owned_packet();
        packet.answers.extend(one.answers);
    }
    assert_eq!(present(&packet.build_bytes_vec_compressed().unwrap()).len(), MAX_CLAIMS);
}

/// Takes a packet from the bytes it was read from.
trait IntoOwnedPacket {
    fn into_owned_packet(self) -> Packet<'static>;
}

impl IntoOwnedPacket for Packet<'_> {
    fn into_owned_packet(self) -> Packet<'static> {
        let mut owned = Packet::new_reply(0);
        owned.answers = self.answers.into_iter().map(ResourceRecord::into_owned).collect();
        owned
    }
}

proptest! {
    #[test]
    fn any_endpoint_is_read_as_it_was_written(
        sets in proptest::collection::btree_map(any::<u8>(), proptest::collection::vec(any::<u8>(), 1..=100), 1..=4),
        hosts in proptest::collection::btree_set((any::<[u8; 2]>(), 1..=u16::MAX, any::<bool>()), 1..=MAX_CLAIM_PATHS),
    ) {
        let mut keys = PublicKeys::new();
        for (csid, key) in &sets {
            keys.insert_key(CipherSetId::new(*csid), key).unwrap();
        }
        let paths: Vec<PathAddress> = hosts
            .into_iter()
            .map(|([a, b], port, udp)| {
                let address = ([10, 1, a, b], port).into();
                if udp { PathAddress::Udp(address) } else { PathAddress::Quic(address) }
            })
            .collect();
        let announced = Announcement { hashname: keys.hashname().unwrap(), keys, paths };
        match write_announcement(&announced, &addresses(&announced), TTL) {
            Ok(packet) => {
                let read = present(&packet).remove(0);
                prop_assert_eq!((read.hashname, &read.keys), (announced.hashname, &announced.keys));
                let all = read.paths.iter().all(|path| announced.paths.contains(path));
                prop_assert!(all && read.paths.len() == announced.paths.len());
            }
            Err(error) => {
                let too_long = matches!(error, telemesh_transport::DiscoveryError::TooLong { .. });
                prop_assert!(too_long, "{}", error);
            }
        }
    }

    #[test]
    fn a_damaged_packet_is_refused_or_says_less(
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let announced = endpoint(1, &["udp:10.1.0.1:42424", "udp:[fd00::1]:42424"]);
        let mut packet = written(&announced, TTL);
        for (place, byte) in damages {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        packet.truncate(length.index(packet.len()) + 1);
        if let Ok(Message::Response(claims)) = Message::read(&packet, lan) {
            for claim in claims {
                if let Claim::Present { announcement, .. } = claim {
                    prop_assert_eq!(announcement.keys.hashname(), Ok(announcement.hashname));
                    prop_assert!(addresses(&announcement).into_iter().all(lan));
                }
            }
        }
    }

    #[test]
    fn noise_behind_the_name_of_the_service_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        // Half of the noise gets a header that lets the parser begin.
        if noise.first().is_some_and(|byte| byte % 2 == 0) && noise.len() >= 12 {
            noise[4..12].copy_from_slice(&[0, 1, 0, 2, 0, 0, 0, 1]);
        }
        noise.extend(SERVICE_LABEL);
        let _ = Message::read(&noise, anywhere);
    }
}

//! What stands in our packets, read by the parser of somebody else's library.

use super::*;
use crate::message::Message;
use telemesh_hashname::CipherSetId;

fn endpoint(paths: &[&str]) -> Announcement {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[1; 32]).unwrap();
    keys.insert_key(CipherSetId::CS21, &[2; 32]).unwrap();
    let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
    Announcement { hashname: keys.hashname().unwrap(), keys, paths }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_records_are_those_of_a_service_and_fit_one_packet() {
    let announced = endpoint(&["udp:10.1.0.1:42424", "udp:[fd00::1]:42424", "quic:10.1.0.1:443"]);
    let bytes = write_announcement(&announced, &ips(&["10.1.0.1", "fd00::1"]), TTL).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
    let (instance, host) = (instance_name(&announced.hashname), host_name(&announced.hashname));
    let records: Vec<_> = packet
        .answers
        .iter()
        .map(|record| (record.name.to_string(), record.rdata.type_code(), record.cache_flush, record.ttl))
        .collect();
    let expected = [
        (SERVICE.to_owned(), TYPE::PTR, false, TTL),
        (instance.clone(), TYPE::SRV, true, TTL),
        (instance, TYPE::TXT, true, TTL),
        (host.clone(), TYPE::A, true, TTL),
        (host, TYPE::AAAA, true, TTL),
    ];
    assert_eq!(records, expected);
    let RData::TXT(txt) = &packet.answers[2].rdata else { panic!() };
    let keys: Vec<_> = txt.iter_raw().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
    assert_eq!(keys, ["txtvers", "cs11", "cs21", "path"]);
    // The usual endpoint leaves most of the room for addresses.
    assert!(bytes.len() < 500, "{}", bytes.len());
}

#[test]
fn an_interface_tells_its_own_addresses_and_no_others() {
    let announced = endpoint(&["udp:10.1.0.1:42424", "udp:192.168.7.7:42424", "udp:203.0.113.9:42424"]);
    let bytes = write_announcement(&announced, &ips(&["192.168.7.7"]), TTL).unwrap();
    let Ok(Message::Response(claims)) = Message::read(&bytes, |_| true) else { panic!() };
    let crate::message::Claim::Present { announcement, .. } = &claims[0] else { panic!() };
    assert_eq!(announcement.paths, ["udp:192.168.7.7:42424".parse().unwrap()]);
    let elsewhere = write_announcement(&announced, &ips(&["172.16.0.1"]), TTL);
    assert!(matches!(elsewhere, Err(DiscoveryError::NoPath)));
}

#[test]
fn a_key_that_is_too_long_for_a_string_is_shown_by_its_digest() {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[1; 32]).unwrap();
    keys.insert_key(CipherSetId::new(0x31), &[3; 256]).unwrap();
    let announced = Announcement {
        hashname: keys.hashname().unwrap(),
        keys,
        paths: vec!["udp:10.1.0.1:1".parse().unwrap()],
    };
    let bytes = write_announcement(&announced, &ips(&["10.1.0.1"]), TTL).unwrap();
    let Ok(Message::Response(claims)) = Message::read(&bytes, |_| true) else { panic!() };
    let crate::message::Claim::Present { announcement, .. } = &claims[0] else { panic!() };
    assert_eq!(announcement.keys.hashname(), Ok(announced.hashname));
    assert_eq!(announcement.keys.key(CipherSetId::new(0x31)), None);
}

#[test]
fn keys_and_paths_of_any_endpoint_of_today_fit_and_what_does_not_is_said() {
    let with_sets = |sets: u8, length: usize| {
        let mut keys = PublicKeys::new();
        for set in 0..sets {
            keys.insert_key(CipherSetId::new(set), &vec![set; length]).unwrap();
        }
        let paths = (1..=16).map(|host| format!("udp:[fd00::{host}]:42424").parse().unwrap()).collect();
        Announcement { hashname: keys.hashname().unwrap(), keys, paths }
    };
    let addresses: Vec<_> = (1..=16).map(|host| format!("fd00::{host}").parse().unwrap()).collect();
    assert!(write_announcement(&with_sets(8, 32), &addresses, TTL).is_ok());
    match write_announcement(&with_sets(8, 140), &addresses, TTL) {
        Err(DiscoveryError::TooLong { length, limit }) => {
            assert!(length > limit && limit == MAX_ANNOUNCEMENT)
        }
        other => panic!("{other:?}"),
    }
}

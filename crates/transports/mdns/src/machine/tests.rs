//! Packets in, packets out: above all, none out.

use super::*;
use crate::announcement::{TTL, write_announcement, write_question};
use crate::interfaces::Interface;
use telemesh_hashname::{CipherSetId, PublicKeys};

fn endpoint(number: u32, path: &str) -> Announcement {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &number.to_be_bytes()).unwrap();
    Announcement { hashname: keys.hashname().unwrap(), keys, paths: vec![path.parse().unwrap()] }
}

fn packet(announcement: &Announcement, ttl: u32) -> Vec<u8> {
    let addresses: Vec<_> =
        announcement.paths.iter().map(|path| path.socket_address().unwrap().ip()).collect();
    write_announcement(announcement, &addresses, ttl).unwrap()
}

fn lan() -> Interface {
    Interface::for_tests(7, "10.1.0.9", 16)
}

fn near() -> IpAddr {
    "10.1.0.1".parse().unwrap()
}

fn found(machine: &mut Machine) -> Option<Announcement> {
    match machine.poll_event()? {
        DiscoveryEvent::Found(found) => Some(found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_only_listens_hears_and_sends_nothing_whatever_comes() {
    let (now, bob) = (Instant::now(), endpoint(2, "udp:10.1.0.1:1"));
    let mut machine = Machine::new(now);
    for bytes in [packet(&bob, TTL), write_question([]).unwrap(), vec![0; 100], packet(&bob, 0)] {
        machine.handle_packet(now, &bytes, near(), &lan());
        assert_eq!(machine.poll_transmit(now).map(|(due, _)| due), None);
    }
    machine.handle_packet(now, &packet(&bob, TTL), near(), &lan());
    assert_eq!(found(&mut machine).map(|found| found.hashname), Some(bob.hashname));
    // What there is to wait for is only that it is forgotten.
    assert_eq!(machine.poll_timeout(), Some(now + Duration::from_secs(120)));
    let later = now + Duration::from_secs(3_600);
    machine.handle_timeout(later);
    assert_eq!(machine.poll_transmit(later).map(|(due, _)| due), None);
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn a_question_is_answered_only_while_something_is_announced() {
    let (now, us) = (Instant::now(), endpoint(1, "udp:10.1.0.9:1"));
    let mut machine = Machine::new(now);
    machine.announce(us, now);
    let mut sent = Vec::new();
    let mut run = |machine: &mut Machine, until: Instant| {
        while let Some(at) = machine.poll_timeout().filter(|at| *at <= until) {
            while let Some((due, _)) = machine.poll_transmit(at) {
                sent.push(due);
            }
        }
        std::mem::take(&mut sent)
    };
    run(&mut machine, now + Duration::from_secs(20));
    let asked = now + Duration::from_secs(20);
    machine.handle_packet(asked, &write_question([]).unwrap(), near(), &lan());
    assert_eq!(run(&mut machine, asked + Duration::from_secs(1)), [Due::Announce]);

    assert!(machine.withdraw().is_some());
    let after = asked + Duration::from_secs(5);
    machine.handle_packet(after, &write_question([]).unwrap(), near(), &lan());
    assert!(run(&mut machine, after + Duration::from_secs(3_600)).is_empty());
    assert!(machine.withdraw().is_none());
}

#[test]
fn our_own_words_and_those_of_somebody_who_pretends_to_be_us_are_not_heard() {
    let (now, us) = (Instant::now(), endpoint(1, "udp:10.1.0.9:1"));
    let mut machine = Machine::new(now);
    machine.announce(us.clone(), now);
    machine.handle_packet(now, &packet(&us, TTL), near(), &lan());
    machine.handle_packet(now, &packet(&endpoint(1, "udp:10.1.66.6:6"), TTL), near(), &lan());
    machine.handle_packet(now, &packet(&us, 0), near(), &lan());
    assert!(machine.poll_event().is_none());
    assert_eq!(machine.announcement().map(|ours| ours.hashname), Some(us.hashname));
}

#[test]
fn packets_from_other_networks_are_not_read() {
    let (now, bob) = (Instant::now(), endpoint(2, "udp:10.1.0.1:1"));
    let mut machine = Machine::new(now);
    machine.handle_packet(now, &packet(&bob, TTL), "8.8.8.8".parse().unwrap(), &lan());
    assert!(machine.poll_event().is_none());
    // Over IPv6 packets come from the link-local address.
    machine.handle_packet(now, &packet(&bob, TTL), "fe80::1".parse().unwrap(), &lan());
    assert!(machine.poll_event().is_some());
}

#[test]
fn a_flood_is_read_within_its_budget_and_others_are_heard_after_it() {
    let now = Instant::now();
    let mut machine = Machine::new(now);
    for number in 0..2_000 {
        machine.handle_packet(now, &packet(&endpoint(number, "udp:10.1.0.1:1"), TTL), near(), &lan());
    }
    let heard = std::iter::from_fn(|| machine.poll_event()).count();
    assert_eq!(heard, usize::try_from(PACKETS_AT_ONCE).unwrap());
    let later = now + Duration::from_secs(1);
    let bob = endpoint(5_000, "udp:10.1.0.1:1");
    machine.handle_packet(later, &packet(&bob, TTL), near(), &lan());
    assert_eq!(found(&mut machine).map(|found| found.hashname), Some(bob.hashname));
}

#[test]
fn packets_about_other_services_cost_nothing_of_the_budget() {
    let (now, bob) = (Instant::now(), endpoint(2, "udp:10.1.0.1:1"));
    let mut machine = Machine::new(now);
    for _ in 0..10_000 {
        machine.handle_packet(now, b"something about a printer", near(), &lan());
    }
    machine.handle_packet(now, &packet(&bob, TTL), near(), &lan());
    assert!(machine.poll_event().is_some());
}

#[test]
fn the_budget_is_not_lost_in_small_steps() {
    let start = Instant::now();
    let mut budget = Budget { left: 0, since: start };
    let mut taken = 0;
    for step in 1..=1_000 {
        taken += u32::from(budget.take(start + Duration::from_millis(3 * step)));
    }
    assert_eq!(taken, 3 * PACKETS_PER_SECOND);
}

//! Scenarios with floods: what strangers can make an endpoint do, who comes in all the same, and cookies.

use std::net::{Ipv4Addr, SocketAddr};

use telemesh_hashname::CipherSetId;
use telemesh_wire::PathAddress;

use super::harness::{BOTH, Datagram, World, keys, millis, secs};
use super::hostile::stranger;
use crate::mac::{self, Mac1Key};
use crate::packet::{Initiation, NOISE_1_SIZE};
use crate::{Admission, COOKIE_SIZE, COOKIES, DropReason, Rate, STRANGERS, State};

/// Two initiations at once are load, and it lasts for more than a second.
const SOON_LOADED: Rate = Rate { burst: 8, per_second: 1 };

/// The `number`th packet of a flood: its sender knows the public key of node 1 and is nobody. mac1 is right, so that it
/// takes Diffie-Hellman to find out.
fn flood_packet(world: &World, number: u32) -> Vec<u8> {
    let mut noise = [0x55; NOISE_1_SIZE];
    noise[..4].copy_from_slice(&number.to_le_bytes());
    let mut packet = Initiation::write(CipherSetId::CS21, number, &noise);
    let public = world.nodes[1].identity.public_keys().key(CipherSetId::CS21).unwrap();
    Mac1Key::for_initiations_to(public).write(&mut packet);
    packet.into_vec()
}

/// A forged source address for each number, in network 1 like all the rest.
fn forged(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, 1, a.wrapping_add(b).wrapping_add(1), c), 1_000 + u16::from(b)))
}

/// Gives node 1 packets of a flood, each from another address.
fn flood(world: &mut World, numbers: std::ops::Range<u32>) {
    let to = world.nodes[1].addresses[&1];
    for number in numbers {
        let bytes = flood_packet(world, number);
        world.deliver(Datagram { from: forged(number), to, bytes });
    }
}

fn dropped(world: &World, reason: DropReason) -> u64 {
    world.nodes[1].gate.dropped().of(reason)
}

/// What the gate of node 1 says to a packet from somewhere.
fn gate_says(world: &mut World, from: SocketAddr, packet: &[u8]) -> Result<Admission, DropReason> {
    let now = world.now;
    world.nodes[1].gate.handle_initiation(now, PathAddress::Udp(from), &mut packet.to_vec())
}

/// The first initiation of node 0's next attempt, which gets lost.
fn initiation(world: &mut World) -> Vec<u8> {
    let (to, before) = (world.nodes[1].addresses[&1], world.log.len());
    world.blocked.insert(to);
    world.connect(0);
    world.blocked.remove(&to);
    world.log[before..].iter().find(|sent| sent.bytes[0] == 1).unwrap().bytes.clone()
}

#[test]
fn a_flood_is_read_up_to_the_budget_and_is_answered_by_nobody() {
    let mut world = World::pair(1);
    flood(&mut world, 0..5_000);
    assert_eq!(dropped(&world, DropReason::Authentication), u64::from(STRANGERS.burst));
    assert_eq!(dropped(&world, DropReason::Overload), 4_000);
    world.run(secs(100));
    assert!(world.log.is_empty());
}

#[test]
fn an_endpoint_that_is_not_public_gives_no_cookie_whatever_the_load() {
    let mut world = World::pair(1);
    let known = initiation(&mut world);
    world.log.clear();
    for number in 0..3_000u32 {
        let (from, packet) = if number % 3 == 0 {
            (forged(number), known.clone())
        } else {
            (forged(number / 7), flood_packet(&world, number))
        };
        let admitted = gate_says(&mut world, from, &packet);
        assert!(!matches!(admitted, Ok(Admission::Cookie { .. })), "packet {number}");
    }
    assert_eq!(world.nodes[1].gate.cookies_given(), 0);
    assert!(dropped(&world, DropReason::Overload) > 1_000);
}

#[test]
fn who_had_a_session_comes_in_through_a_flood_that_keeps_the_others_out() {
    let mut world = World::connected(1);
    world.close(0);
    let newcomer = world.add_node(keys(3, BOTH));
    world.introduce(newcomer, 1);
    world.introduce(1, newcomer);
    world.run(secs(1));
    world.log.clear();
    // Slow to fill up again, so that no chance decides who gets what flows in.
    world.limit_strangers(1, Rate { per_second: 1, ..STRANGERS });
    world.connect(0);
    world.connect(newcomer);
    for millisecond in 0..100 {
        flood(&mut world, 1_000 * millisecond..1_000 * (millisecond + 1));
        world.run(millis(1));
    }
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert_ne!(world.nodes[newcomer].link().state(), State::Up);
    let answered: Vec<_> = world.log.iter().filter(|sent| sent.bytes[0] == 2).map(|sent| sent.to).collect();
    assert_eq!(answered, [world.nodes[0].addresses[&1]]);
    world.run(secs(10));
    assert_eq!(world.nodes[newcomer].link().state(), State::Up, "when it is over everybody comes in");
}

#[test]
fn a_flood_from_one_address_keeps_nobody_out() {
    let mut world = World::pair(1);
    let to = world.nodes[1].addresses[&1];
    for number in 0..10_000 {
        let bytes = flood_packet(&world, number);
        world.deliver(Datagram { from: stranger(), to, bytes });
    }
    assert_eq!(dropped(&world, DropReason::Authentication), 126 + 5);
    assert_eq!(dropped(&world, DropReason::AddressLimit), 10_000 - 126 - 5);
    world.connect(0);
    world.run(millis(100));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

/// A pair whose second end is public and under load; the first has no tag.
fn loaded(public: bool) -> World {
    let mut world = World::pair(1);
    world.limit_strangers(1, SOON_LOADED);
    world.nodes[1].gate.set_public(public);
    flood(&mut world, 0..2);
    assert_eq!(world.nodes[1].gate.cookies_given(), 0, "there was no load yet");
    world
}

#[test]
fn under_load_a_newcomer_proves_its_address_to_a_public_endpoint_and_gets_in() {
    let mut world = loaded(true);
    world.connect(0);
    world.run(millis(45));
    let cookies = world.sent_of_type(3);
    assert_eq!(cookies.len(), 1);
    assert_eq!((cookies[0].to, cookies[0].bytes.len()), (world.nodes[0].addresses[&1], COOKIE_SIZE));
    let initiations = world.sent_of_type(1);
    assert_eq!(initiations.len(), 2, "the second one at once");
    let [first, second] = [0, 1].map(|place| Initiation::parse(&initiations[place].bytes).unwrap());
    assert_eq!((first.return_id, second.return_id), (0, 0));
    assert_eq!((*first.mac2 == [0; 16], *second.mac2 == [0; 16]), (true, false));
    assert_ne!(first.noise, second.noise, "and it is fresh");
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert_eq!(world.nodes[1].link().dropped().total() + dropped(&world, DropReason::Unproven), 0);
}

#[test]
fn every_packet_that_proves_nothing_gets_one_cookie_and_costs_no_diffie_hellman() {
    let mut world = loaded(true);
    for number in 10..110 {
        let packet = flood_packet(&world, number);
        let Ok(Admission::Cookie { to, packet }) = gate_says(&mut world, forged(number), &packet) else {
            panic!("packet {number} got no cookie")
        };
        assert_eq!((to, packet.len()), (PathAddress::Udp(forged(number)), COOKIE_SIZE));
        assert_eq!(packet[4..8], number.to_le_bytes());
    }
    assert_eq!(dropped(&world, DropReason::Authentication), 2);
}

#[test]
fn there_are_so_many_cookies_and_not_one_more() {
    let mut world = loaded(true);
    let packet = flood_packet(&world, 10);
    let given = |world: &mut World| {
        let tries = (0..COOKIES.burst + 1).map(|number| gate_says(world, forged(number), &packet));
        tries.filter(|admitted| matches!(admitted, Ok(Admission::Cookie { .. }))).count()
    };
    assert_eq!(given(&mut world), 1_000);
    assert_eq!(dropped(&world, DropReason::Unproven), 1);
    world.now += millis(100);
    assert_eq!(given(&mut world), 200);
}

#[test]
fn only_who_knows_the_public_key_and_shows_no_tag_gets_a_cookie() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    world.limit_strangers(1, SOON_LOADED);
    world.nodes[1].gate.set_public(true);
    flood(&mut world, 0..2);
    let tagged = initiation(&mut world);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = tagged.clone();
        change(&mut packet);
        packet
    };
    let wrong_mac1 = with(&|packet| packet[1_160] ^= 1);
    assert_eq!(gate_says(&mut world, stranger(), &wrong_mac1).unwrap_err(), DropReason::Mac1);
    let wrong_mac2 = with(&|packet| packet[1_184] ^= 1);
    assert_eq!(gate_says(&mut world, stranger(), &wrong_mac2).unwrap_err(), DropReason::ReturnTag);
    let unknown_id = with(&|packet| packet[1_176] ^= 1);
    assert!(matches!(gate_says(&mut world, stranger(), &unknown_id), Ok(Admission::Cookie { .. })));
    assert!(matches!(gate_says(&mut world, stranger(), &tagged), Ok(Admission::Request(_))), "from anywhere");
    assert_eq!(gate_says(&mut world, stranger(), &tagged).unwrap_err(), DropReason::Duplicate);
    world.nodes[1].gate.set_public(false);
    assert!(matches!(gate_says(&mut world, stranger(), &unknown_id), Ok(Admission::Request(_))));
}

#[test]
fn a_cookie_proves_its_own_address_until_its_secret_is_the_last_but_one() {
    for (after, good) in [(1, true), (119, true), (121, true), (239, true), (241, false)] {
        let mut world = loaded(true);
        world.connect(0);
        world.run(millis(45));
        let (proven, mine) = (world.sent_of_type(1).pop().unwrap().bytes, world.nodes[0].addresses[&1]);
        world.run(secs(after) - millis(45));
        flood(&mut world, 100..102);
        let cookie = |admitted| matches!(admitted, Ok(Admission::Cookie { .. }));
        assert!(cookie(gate_says(&mut world, stranger(), &proven)), "from another address");
        assert_eq!(cookie(gate_says(&mut world, mine, &proven)), !good, "after {after} s");
    }
}

/// Node 0 initiates, and the response of node 1 to it does not get through. Returns the cookie that would come instead.
fn with_cookie(world: &mut World) -> Datagram {
    world.nodes[1].gate.set_public(true);
    world.limit_strangers(1, SOON_LOADED);
    flood(world, 0..2);
    let (from, to) = (world.nodes[1].addresses[&1], world.nodes[0].addresses[&1]);
    let packet = initiation(world);
    let Ok(Admission::Cookie { packet, .. }) = gate_says(world, to, &packet) else { panic!("no cookie") };
    Datagram { from, to, bytes: packet.into_vec() }
}

#[test]
fn a_flipped_bit_anywhere_in_a_cookie_makes_it_worthless_and_the_right_one_still_counts() {
    let mut world = World::pair(1);
    let cookie = with_cookie(&mut world);
    let sent = world.log.len();
    for bit in 0..cookie.bytes.len() * 8 {
        let mut changed = cookie.clone();
        changed.bytes[bit / 8] ^= 1 << (bit % 8);
        world.deliver(changed);
        world.run(millis(0));
        assert_eq!(world.log.len(), sent, "bit {bit}");
    }
    let drops = world.nodes[0].link().dropped().clone();
    // 24 bits of reserved zeros and 8 of the type never reach the link, and 20 of the index name another one.
    assert_eq!((drops.of(DropReason::UnknownIndex), drops.of(DropReason::Authentication)), (12, 56 * 8));
    world.deliver(cookie);
    world.run(millis(0));
    assert_eq!(world.log.len(), sent + 1);
}

#[test]
fn cookies_for_dead_indexes_are_dropped() {
    let mut world = World::pair(1);
    let cookie = with_cookie(&mut world);
    world.run(secs(2));
    assert_eq!(world.nodes[0].link().state(), State::Up, "the attempt is over");
    let sent = world.log.len();
    world.deliver(cookie.clone());
    for index in [0u32, 0x1fff, u32::MAX] {
        let mut other = cookie.clone();
        other.bytes[4..8].copy_from_slice(&index.to_le_bytes());
        world.deliver(other);
    }
    world.run(millis(0));
    assert_eq!(world.log.len(), sent);
    assert!(world.nodes[0].link().dropped().of(DropReason::UnknownIndex) >= 1);
}

#[test]
fn however_many_cookies_come_one_initiation_of_an_attempt_goes_out_at_once() {
    let mut world = World::pair(1);
    let cookie = with_cookie(&mut world);
    world.faults(1).dead = true;
    let before = world.sent_of_type(1).len();
    for _ in 0..100 {
        world.deliver(cookie.clone());
    }
    world.run(millis(1));
    assert_eq!(world.sent_of_type(1).len(), before + 1);
    world.run(secs(29));
    assert_eq!(world.sent_of_type(1).len(), before + 1 + 5, "and the rounds as ever");
}

/// Whether an initiation shows nothing, a tag or a cookie.
fn shows(sent: &Datagram) -> &'static str {
    let initiation = Initiation::parse(&sent.bytes).unwrap();
    match (initiation.return_id, *initiation.mac2 == [0; 16]) {
        (0, true) => "nothing",
        (0, false) => "cookie",
        _ => "tag",
    }
}

#[test]
fn a_cookie_is_shown_for_two_minutes() {
    let mut world = World::pair(1);
    let cookie = with_cookie(&mut world);
    world.faults(1).dead = true;
    world.deliver(cookie);
    let from = world.now;
    let mut seen = 0;
    for _ in 0..300 {
        let sent = world.log.len();
        let now = world.now;
        world.run(secs(1));
        for initiation in world.log[sent..].iter().filter(|sent| sent.bytes[0] == 1) {
            seen += 1;
            let expected = if now < from + secs(119) { "cookie" } else { "nothing" };
            assert_ne!(now, from + secs(119), "the seed has none in the second in which it ends");
            assert_eq!(shows(initiation), expected, "{:?}", now - from);
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn a_forged_cookie_does_not_take_the_tags_turn() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    // An observer answers the initiation in the name of node 1, whose public key it knows.
    let packet = initiation(&mut world);
    let read = Initiation::parse(&packet).unwrap();
    let public = world.nodes[1].identity.public_keys().key(CipherSetId::CS21).unwrap();
    let mut observer = crate::cookie::CookieMaker::new([66; 32], world.now);
    let from = PathAddress::Udp(world.nodes[0].addresses[&1]);
    let cookie = observer.packet(world.now, &from, public, read.sender_index, read.mac1).unwrap();
    let (from, to) = (world.nodes[1].addresses[&1], world.nodes[0].addresses[&1]);
    world.faults(1).dead = true;
    world.log.clear();
    world.deliver(Datagram { from, to, bytes: cookie.into_vec() });
    world.run(secs(29));
    let shown: Vec<_> = world.sent_of_type(1).iter().map(shows).collect();
    assert_eq!(shown, ["cookie", "cookie", "tag", "cookie", "tag", "cookie"]);
    world.faults(1).dead = false;
    world.close_to_strangers(1);
    world.run(secs(10));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[test]
fn a_tag_that_is_shown_too_often_is_worth_as_much_as_none() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    let tag = world.nodes[0].link().record().tags.present.unwrap();
    let mut recordings = (0..40).map(|number| {
        let mut packet = flood_packet(&world, number);
        mac::write_mac2(tag.key(), tag.id().get(), &mut packet);
        packet
    });
    let recordings: Vec<_> = recordings.by_ref().collect();
    world.limit_strangers(1, Rate { burst: 3, per_second: 1 });
    let results: Vec<_> =
        recordings.iter().map(|packet| gate_says(&mut world, stranger(), packet).unwrap_err()).collect();
    assert!(
        results[..27].iter().all(|reason| *reason == DropReason::Authentication),
        "24, and the 3 of strangers"
    );
    assert!(results[27..].iter().all(|reason| *reason == DropReason::Overload), "{results:?}");
}

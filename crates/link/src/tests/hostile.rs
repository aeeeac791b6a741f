//! Scenarios with strangers, liars, replays and damaged packets: nothing may come of them, least of all an answer.

use proptest::prelude::*;
use telemesh_hashname::{CipherSetId, Hashname};
use telemesh_wire::{Credential, Hello, KeyDigests, PathAddress, ResponseMacKey};
use zeroize::Zeroizing;

use super::harness::{BOTH, Datagram, World, address, keys, millis, secs};
use crate::mac::Mac1Key;
use crate::noise::{Handshake, Prologue, StaticShared};
use crate::packet::{Initiation, NOISE_1_SIZE, PAYLOAD_1_SIZE};
use crate::{Admission, DropReason, Event, Identity, State, payload};

/// An initiation from the holder of `from` to `to`, with a hello that may be a lie.
pub(super) fn forge(
    from: &Identity,
    to: &Identity,
    csid: CipherSetId,
    change: impl FnOnce(&mut Hello),
) -> Vec<u8> {
    let peer: [u8; 32] = to.public_keys().key(csid).unwrap().try_into().unwrap();
    let secret = from.secret(csid).unwrap().agree(&peer).unwrap();
    let shared = std::sync::Arc::new(StaticShared { csid, peer, secret });
    let from = {
        // The handshake needs the identity behind an `Arc`; the tests have it as a reference.
        let secrets = from
            .cipher_sets()
            .iter()
            .map(|&csid| (csid, telemesh_keys::SecretKey::from_bytes(&test_secret(from, csid))));
        Identity::new(telemesh_keys::KeySet::from_secrets(secrets).unwrap(), 7, 1).unwrap()
    };
    let mut hello = from.hello(super::harness::WALL, Credential::none(), ResponseMacKey::from_bytes([1; 16]));
    change(&mut hello);
    forge_raw(&from, &shared, to.hashname(), &hello.encode())
}

/// The secrets of the harness are made from a small number.
fn test_secret(identity: &Identity, csid: CipherSetId) -> [u8; 32] {
    (1..=9)
        .map(|number| {
            let mut bytes = [number; 32];
            bytes[31] = csid.number();
            bytes
        })
        .find(|bytes| {
            Some(telemesh_keys::SecretKey::from_bytes(bytes).public().as_slice())
                == identity.public_keys().key(csid)
        })
        .unwrap()
}

fn forge_raw(
    from: &std::sync::Arc<Identity>,
    shared: &std::sync::Arc<StaticShared>,
    to: Hashname,
    hello: &[u8],
) -> Vec<u8> {
    let mut noise = Handshake::initiator(from, shared, to, &Prologue::Link).unwrap();
    let body = payload::pad::<PAYLOAD_1_SIZE>(hello).unwrap();
    let mut message = [0; NOISE_1_SIZE];
    noise.write(Zeroizing::new([5; 32]), body.as_ref(), &mut message).unwrap();
    let mut packet = Initiation::write(shared.csid, 99, &message);
    Mac1Key::for_initiations_to(&shared.peer).write(&mut packet);
    packet.into_vec()
}

pub(super) fn stranger() -> std::net::SocketAddr {
    address(1, 66, 6)
}

/// What the gate of node 1 says to a packet.
fn gate_says(world: &mut World, packet: &[u8]) -> Result<(), DropReason> {
    let (now, from) = (world.now, PathAddress::Udp(stranger()));
    let mut packet = packet.to_vec();
    world.nodes[1].gate.handle_initiation(now, from, &mut packet).map(|_| ())
}

/// Gives node 1 a packet from a stranger's address.
fn from_stranger(world: &mut World, bytes: Vec<u8>) {
    let to = world.nodes[1].addresses[&1];
    world.deliver(Datagram { from: stranger(), to, bytes });
}

fn first_initiation(world: &mut World) -> Vec<u8> {
    world.blocked.insert(world.nodes[1].addresses[&1]);
    world.connect(0);
    world.blocked.clear();
    world.sent_of_type(1)[0].bytes.clone()
}

#[test]
fn an_unwanted_initiation_gets_no_byte_in_return() {
    let mut world = World::pair(1);
    world.nodes[1].accepts = false;
    world.connect(0);
    world.run(secs(120));
    assert!(world.nodes[1].gate_results.len() >= 12, "they arrive and are read");
    assert_eq!(world.nodes[1].sent, 0);
    assert!(world.nodes[1].events.is_empty());
}

#[test]
fn a_flipped_bit_at_any_offset_of_an_initiation_makes_it_worthless() {
    let mut world = World::pair(1);
    let packet = first_initiation(&mut world);
    for place in 0..packet.len() {
        let mut changed = packet.clone();
        changed[place] ^= 1 << (place % 8);
        from_stranger(&mut world, changed);
        let covered = place < 1_176; // Without a return tag, what follows mac1 says nothing.
        if covered {
            assert_eq!(world.nodes[1].sent, 0, "offset {place}");
        }
    }
}

#[test]
fn a_flipped_bit_at_any_offset_of_a_response_makes_no_session_and_the_right_one_still_does() {
    let mut world = World::pair(1);
    world.connect(0);
    world.blocked.insert(world.nodes[0].addresses[&1]);
    world.run(millis(15));
    let response = world.sent_of_type(2)[0].clone();
    for place in 0..1_176 {
        let mut changed = response.clone();
        changed.bytes[place] ^= 1 << (place % 8);
        world.deliver(changed);
        assert_ne!(world.nodes[0].link().state(), State::Up, "offset {place}");
    }
    world.deliver(response);
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[test]
fn a_flipped_bit_at_any_offset_of_a_data_packet_drops_it_and_the_right_one_still_opens() {
    let mut world = World::connected(1);
    world.blocked.insert(world.nodes[1].addresses[&1]);
    world.send(0, b"payload");
    let data = world.log.last().unwrap().clone();
    for bit in 0..data.bytes.len() * 8 {
        let mut changed = data.clone();
        changed.bytes[bit / 8] ^= 1 << (bit % 8);
        world.deliver(changed);
        assert!(world.nodes[1].received.is_empty(), "bit {bit}");
    }
    world.deliver(data);
    assert_eq!(world.nodes[1].received.len(), 1);
}

#[cfg(not(any(feature = "danger-no-at-check", feature = "danger-no-replay-window")))]
#[test]
fn replays_of_every_packet_type_get_no_answer_and_change_nothing() {
    let mut world = World::connected(1);
    world.send(0, b"once");
    world.send(1, b"once");
    world.run(secs(1));
    world.nodes.iter_mut().for_each(|node| node.received.clear());
    let sessions = world.nodes[0].link().current_session_for_test();
    let sent = world.log.len();
    for replayed in world.log.clone() {
        for from in [replayed.from, stranger()] {
            world.deliver(Datagram { from, ..replayed.clone() });
        }
    }
    assert_eq!(world.log.len(), sent, "no answer");
    assert!(world.nodes.iter().all(|node| node.received.is_empty()));
    assert_eq!(world.nodes[0].link().current_session_for_test(), sessions);
    let drops = |world: &mut World, place: usize, reason| world.nodes[place].link().dropped().of(reason);
    assert_eq!(drops(&mut world, 1, DropReason::Stale), 2);
    assert_eq!(drops(&mut world, 0, DropReason::UnknownIndex), 2);
    assert!(drops(&mut world, 1, DropReason::Duplicate) >= 2);
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_replayed_initiation_makes_a_link_that_is_down_initiate_on_its_own_paths_only_now_and_then() {
    let mut world = World::connected(1);
    let initiation = world.sent_of_type(1)[0].bytes.clone();
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
    world.nodes[0].accepts = false;
    world.run(secs(1));
    world.log.clear();
    for _ in 0..600 {
        from_stranger(&mut world, initiation.clone());
        world.run(millis(100));
    }
    let answers: Vec<_> = world.log.iter().filter(|sent| sent.from == world.nodes[1].addresses[&1]).collect();
    assert!(
        answers.iter().all(|sent| sent.to == world.nodes[0].addresses[&1]),
        "never to where the replay came from"
    );
    assert!((6..=20).contains(&answers.len()), "{} initiations in a minute", answers.len());
}

#[test]
fn an_initiation_that_was_never_answered_can_be_delivered_late_and_is_no_session_by_itself() {
    let mut world = World::pair(1);
    let initiation = first_initiation(&mut world);
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
    world.run(secs(100));
    from_stranger(&mut world, initiation);
    world.run(secs(100));
    assert_ne!(world.nodes[1].link().state(), State::Up);
    assert!(!world.nodes[1].events.iter().any(|event| matches!(event, Event::Up(_) | Event::PeerRestarted)));
}

#[test]
fn a_key_that_does_not_belong_to_the_claimed_hashname_is_refused() {
    let mut world = World::pair(1);
    let (liar, to) = (Identity::new(keys(5, BOTH), 1, 1).unwrap(), world.nodes[1].identity.clone());
    let honest = forge(&liar, &to, CipherSetId::CS21, |_| ());
    assert_eq!(gate_says(&mut world, &honest), Ok(()));
    let victim = KeyDigests::of(world.nodes[0].identity.public_keys()).unwrap();
    let lie = forge(&liar, &to, CipherSetId::CS21, |hello| hello.keys = victim);
    assert_eq!(gate_says(&mut world, &lie), Err(DropReason::Hashname));
}

#[test]
fn a_weaker_set_than_both_have_is_refused_and_so_is_a_list_without_the_strong_one() {
    let mut world = World::pair(1);
    let (from, to) = (Identity::new(keys(5, BOTH), 1, 1).unwrap(), world.nodes[1].identity.clone());
    let weak = forge(&from, &to, CipherSetId::CS11, |_| ());
    assert_eq!(gate_says(&mut world, &weak), Err(DropReason::Downgrade));
    // Stripping the strong set from the list makes it another hashname: the pair is not who it claims to be.
    let stripped = keys(5, &[CipherSetId::CS11]);
    let list = KeyDigests::of(stripped.public()).unwrap();
    let packet = forge(&from, &to, CipherSetId::CS11, |hello| hello.keys = list);
    let (now, from_path) = (world.now, PathAddress::Udp(stranger()));
    let admitted = world.nodes[1].gate.handle_initiation(now, from_path, &mut packet.clone()).unwrap();
    let Admission::Request(request) = admitted else { panic!("not public") };
    assert_ne!(request.claim().hashname, from.hashname());
}

#[test]
fn our_own_keys_and_our_own_packets_are_refused() {
    let mut world = World::pair(1);
    let ours = world.nodes[1].identity.clone();
    let packet = forge(&ours, &ours, CipherSetId::CS21, |_| ());
    assert_eq!(gate_says(&mut world, &packet), Err(DropReason::Ourselves));

    let mut world = World::connected(1);
    world.send(0, b"x");
    world.send(1, b"y");
    world.run(secs(1));
    let (before, received) =
        (world.log.len(), [world.nodes[0].received.len(), world.nodes[1].received.len()]);
    for packet in world.log.clone() {
        // Everything comes back to who sent it, as from the peer.
        world.deliver(Datagram { from: packet.to, to: packet.from, bytes: packet.bytes });
    }
    assert_eq!(world.log.len(), before);
    assert_eq!([world.nodes[0].received.len(), world.nodes[1].received.len()], received);
}

#[test]
fn who_does_not_know_our_public_key_makes_us_do_nothing() {
    let mut world = World::pair(1);
    let packet = first_initiation(&mut world);
    let mut wrong = packet.clone();
    wrong[1_160] ^= 1;
    assert_eq!(gate_says(&mut world, &wrong), Err(DropReason::Mac1));
    let mut other_set = packet;
    other_set[4] = 0x31;
    assert_eq!(gate_says(&mut world, &other_set), Err(DropReason::CipherSet));
}

#[test]
fn a_hello_that_does_not_parse_is_refused() {
    let mut world = World::pair(1);
    let from = Identity::new(keys(5, BOTH), 1, 1).unwrap();
    let csid = CipherSetId::CS21;
    let to = world.nodes[1].identity.clone();
    let peer: [u8; 32] = to.public_keys().key(csid).unwrap().try_into().unwrap();
    let secret = from.secret(csid).unwrap().agree(&peer).unwrap();
    let shared = std::sync::Arc::new(StaticShared { csid, peer, secret });
    for hello in [&[][..], &[0xff; 100], &[0; 1_053]] {
        let packet = forge_raw(&from, &shared, to.hashname(), hello);
        assert_eq!(gate_says(&mut world, &packet), Err(DropReason::Malformed));
    }
}

#[test]
fn a_peer_that_initiates_all_the_time_is_slowed_down_and_costs_no_memory() {
    let mut world = World::pair(1);
    let (from, to) = (world.nodes[0].identity.clone(), world.nodes[1].identity.clone());
    for number in 0..1_000 {
        let packet = forge(&from, &to, CipherSetId::CS21, |hello| hello.at += 1_000 + number);
        from_stranger(&mut world, packet);
    }
    assert!(world.sent_of_type(2).len() <= 21);
    let by_link = world.nodes[1].link().dropped().of(DropReason::TooOften);
    let by_gate = world.nodes[1].gate.dropped().of(DropReason::AddressLimit);
    assert!(by_link > 50 && by_link + by_gate > 900, "{by_link} by the link, {by_gate} by the gate");
    world.run(secs(30));
    world.connect(0);
    world.run(secs(20));
    assert_eq!(world.nodes[0].link().state(), State::Up, "it can still come in");
}

#[test]
fn a_future_at_is_taken_from_the_peer_itself_and_does_not_lock_it_out_later() {
    let mut world = World::pair(1);
    world.nodes[0].settings.skew = 31_000_000_000_000_000; // A thousand years.
    world.connect(0);
    world.run(secs(1));
    assert_eq!(world.nodes[1].link().state(), State::Up);
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
    world.nodes[0].settings.skew = 0;
    world.connect(0);
    world.run(secs(1));
    assert_eq!(world.nodes[1].link().state(), State::Up, "its stored record keeps it ahead");
}

#[test]
fn responses_and_data_for_dead_indexes_are_dropped() {
    let mut world = World::connected(1);
    let data = {
        world.send(0, b"x");
        world.log.last().unwrap().clone()
    };
    let before = world.log.len();
    for index in [0u32, 0xfff, u32::MAX] {
        let mut packet = data.clone();
        packet.bytes[4..8].copy_from_slice(&index.to_le_bytes());
        world.deliver(packet);
        let mut response = world.sent_of_type(2)[0].clone();
        response.bytes[9..13].copy_from_slice(&index.to_le_bytes());
        world.deliver(response);
    }
    assert_eq!(world.log.len(), before);
    assert!(world.nodes[1].received.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_stranger_sends_nothing_goes_out(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_300),
        kind in 0u8..7,
        exact: bool,
    ) {
        let mut world = World::pair(1);
        let mut bytes = bytes;
        if exact {
            bytes.resize(1_200, 0);
        }
        if let Some(head) = bytes.first_chunk_mut() {
            *head = [kind, 0, 0, 0];
        }
        from_stranger(&mut world, bytes);
        world.run(secs(100));
        prop_assert!(world.log.is_empty());
    }

    #[test]
    fn whatever_an_authenticated_peer_puts_into_a_packet_is_no_panic(
        plaintext in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0u8..8,
    ) {
        let mut world = World::connected(1);
        let mut plaintext = plaintext;
        if let Some(first) = plaintext.first_mut() {
            *first = kind;
        }
        let sent = world.log.len();
        let now = world.now;
        let packet = world.nodes[0].link().seal_raw_for_test(&plaintext);
        let to = PathAddress::Udp(world.nodes[1].addresses[&1]);
        let _ = now;
        world.post(0, to, packet);
        world.run(secs(1));
        prop_assert!(world.log.len() - sent <= 10);
    }
}

#[test]
fn sizes_at_the_extremes_are_dropped() {
    let mut world = World::connected(1);
    let before = world.log.len();
    for size in [0, 1, 2, 3, 4, 15, 16, 31, 32, 1_199, 1_200, 1_201, 65_507] {
        for kind in 0..=6 {
            let mut bytes = vec![0; size];
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            from_stranger(&mut world, bytes);
        }
    }
    assert_eq!(world.log.len(), before);
}

#[test]
fn debug_output_shows_no_secret() {
    let mut world = World::connected(1);
    let identity = world.nodes[0].identity.clone();
    let now = world.now;
    let text = format!("{identity:?} {:?} {:?}", world.nodes[0].gate, world.nodes[0].settings.config)
        + &format!("{:?} {:?}", world.nodes[0].links, world.nodes[0].links[&1].record());
    let secret = test_secret(&identity, CipherSetId::CS21);
    for window in secret.windows(4) {
        assert!(!text.contains(&format!("{window:?}").replace(['[', ']'], "")), "{text}");
    }
    assert!(world.nodes[0].link().explain(now).to_string().starts_with("up\nudp:10.1.0.2:4242 Proven"));
}

//! Handshakes that should succeed, and what brings them back on their feet.

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_wire::{Credential, PathAddress};

use super::harness::{World, keys, millis, secs};
use crate::{DownReason, DropReason, Event, Link, LinkConfig, LinkError, Missing, Peer, State, prove_invite};

fn assert_up_and_talking(world: &mut World) {
    for (from, to) in [(0, 1), (1, 0)] {
        assert!(world.send(from, b"are you there"), "node {from} cannot send");
        world.run(secs(1));
        assert_eq!(world.nodes[to].received.pop().as_deref(), Some(b"are you there".as_slice()));
    }
}

#[test]
fn two_endpoints_connect_and_talk_with_either_cipher_set() {
    for csids in [&[CipherSetId::CS11][..], &[CipherSetId::CS21], &[CipherSetId::CS11, CipherSetId::CS21]] {
        let mut world = World::pair_with(1, csids, csids);
        world.connect(0);
        world.run(millis(100));
        assert_up_and_talking(&mut world);
        let used = world.sent_of_type(1)[0].bytes[4];
        assert_eq!(used, csids.last().unwrap().number(), "the strongest set is used");
    }
}

#[test]
fn a_link_is_up_after_one_round_trip_and_the_responder_half_a_round_trip_later() {
    let mut world = World::pair(1);
    world.connect(0);
    world.run(millis(20));
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert_ne!(world.nodes[1].link().state(), State::Up);
    assert!(!world.send(1, b"too early"), "no data before the initiator has shown that it is there now");
    world.run(millis(10));
    assert_eq!(world.nodes[1].link().state(), State::Up);
    assert_eq!(world.nodes[0].link().rtt(), Some(millis(20)));
}

#[test]
fn the_responder_learns_of_the_session_although_another_address_is_dead() {
    let mut world = World::pair(1);
    let nobody = super::harness::address(1, 77, 4242);
    let now = world.now;
    world.nodes[0].link().add_candidate(now, PathAddress::Udp(nobody));
    world.connect(0);
    // Nothing but what confirms the session: the application sends no data.
    world.run(millis(30));
    assert_eq!(world.nodes[1].link().state(), State::Up);
}

#[test]
fn endpoints_that_share_only_the_weaker_set_use_it() {
    let mut world = World::pair_with(1, &[CipherSetId::CS11, CipherSetId::CS21], &[CipherSetId::CS11]);
    world.connect(1);
    world.run(secs(1));
    assert_up_and_talking(&mut world);
}

#[test]
fn endpoints_without_a_common_set_say_so_and_send_nothing() {
    let mut world = World::pair_with(1, &[CipherSetId::CS11], &[CipherSetId::CS21]);
    world.connect(0);
    world.run(secs(60));
    assert_eq!(world.nodes[0].link().state(), State::Down(DownReason::NoSharedCipherSet));
    assert!(world.log.is_empty());
}

#[test]
fn a_link_without_key_or_path_is_unresolved_and_connects_when_they_come() {
    let mut world = World::pair(1);
    let peer = Peer::new(world.nodes[1].identity.hashname());
    let identity = world.nodes[0].identity.clone();
    let link = Link::new(identity, peer, 1, LinkConfig::default(), [1; 32], world.now).unwrap();
    world.nodes[0].links.insert(1, link);
    world.connect(0);
    assert_eq!(world.nodes[0].link().state(), State::Unresolved(Missing::Key));

    let (now, all) = (world.now, world.nodes[1].identity.public_keys().clone());
    let mut weak_only = PublicKeys::new();
    weak_only.insert_key(CipherSetId::CS11, all.key(CipherSetId::CS11).unwrap()).unwrap();
    assert_eq!(world.nodes[0].link().set_keys(now, weak_only.clone()), Err(LinkError::Keys));
    weak_only.insert_digest(CipherSetId::CS21, all.digest(CipherSetId::CS21).unwrap()).unwrap();
    world.nodes[0].link().set_keys(now, weak_only).unwrap();
    assert_eq!(
        world.nodes[0].link().state(),
        State::Unresolved(Missing::Key),
        "no fall-back to the weaker set"
    );

    world.nodes[0].link().set_keys(now, all).unwrap();
    assert_eq!(world.nodes[0].link().state(), State::Unresolved(Missing::Path));
    let to = PathAddress::Udp(world.nodes[1].addresses[&1]);
    world.nodes[0].link().add_candidate(now, to);
    world.run(secs(1));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[test]
fn the_responder_learns_the_keys_it_needs_to_initiate_later() {
    let mut world = World::pair(1);
    let peer = Peer::new(world.nodes[0].identity.hashname());
    let identity = world.nodes[1].identity.clone();
    let link = Link::new(identity, peer, 0, LinkConfig::default(), [1; 32], world.now).unwrap();
    world.nodes[1].links.insert(0, link);
    world.connect(0);
    world.run(secs(1));
    assert_eq!(world.nodes[1].link().state(), State::Up);
    assert!(world.nodes[1].link().keys().unwrap().key(CipherSetId::CS21).is_some());
}

#[test]
fn a_lost_initiation_or_response_is_made_up_for_by_a_fresh_one() {
    for kind in [1, 2] {
        let mut world = World::pair(1);
        world.connect(0);
        if kind == 1 {
            world.blocked.insert(world.nodes[1].addresses[&1]);
        }
        world.run(millis(5));
        world.blocked.insert(world.nodes[0].addresses[&1]);
        world.run(millis(100));
        world.blocked.clear();
        world.run(millis(700));
        assert_eq!(world.nodes[0].link().state(), State::Up);
        let initiations = world.sent_of_type(1);
        assert_eq!(initiations.len(), 2);
        assert_ne!(initiations[0].bytes, initiations[1].bytes);
        assert_ne!(initiations[0].bytes[9..41], initiations[1].bytes[9..41], "the ephemeral key is fresh");
        assert_up_and_talking(&mut world);
    }
}

#[test]
fn an_attempt_is_six_initiations_and_then_down_and_is_repeated_with_back_off_while_wanted() {
    let mut world = World::pair(1);
    world.nodes[1].alive = false;
    world.connect(0);
    world.run(secs(29));
    assert_eq!(world.log.len(), 6);
    assert!(!world.nodes[0].events.contains(&Event::Down(DownReason::TimedOut)));
    world.run(millis(1_100));
    assert!(world.nodes[0].events.contains(&Event::Down(DownReason::TimedOut)));
    world.run(secs(600));
    let downs = world.nodes[0].events.iter().filter(|event| matches!(event, Event::Down(_))).count();
    assert!((8..=16).contains(&downs), "{downs} attempts in ten minutes");
    world.nodes[1].alive = true;
    let now = world.now;
    world.nodes[0].link().network_changed(now);
    world.run(millis(100));
    assert_eq!(world.nodes[0].link().state(), State::Up, "a network change tries at once");
}

#[test]
fn both_ends_start_at_once_and_agree_on_one_session() {
    for seed in 0..20 {
        let mut world = World::pair(seed);
        world.connect(0);
        world.run(millis(seed));
        world.connect(1);
        world.run(millis(300));
        assert_up_and_talking(&mut world);
        world.log.clear();
        let (now, mut out) = (world.now, Vec::new());
        for place in [0, 1] {
            assert!(world.nodes[place].link().seal_batch(now, &[0x40], 1, &mut out).is_some());
        }
        let indexes: Vec<_> =
            [0, 1].iter().map(|&place| world.nodes[place].link().current_session_for_test()).collect();
        assert_eq!(indexes[0].0, indexes[1].1, "seed {seed}: both send under the same session");
        assert_eq!((world.nodes[0].ups(), world.nodes[1].ups()), (1, 1));
    }
}

#[test]
fn a_response_waits_until_its_record_is_stored() {
    let mut world = World::pair(1);
    world.nodes[1].stores = false;
    world.connect(0);
    world.run(millis(300));
    assert!(world.sent_of_type(2).is_empty());
    let stale = world.nodes[1].stored.get(&0).cloned().unwrap_or_default();
    let record = world.nodes[1].link().record();
    let now = world.now;
    world.nodes[1].link().persisted(now, &stale);
    world.flush();
    assert!(world.sent_of_type(2).is_empty(), "a record without the `at` releases nothing");
    world.nodes[1].link().persisted(now, &record);
    world.flush();
    assert_eq!(world.sent_of_type(2).len(), 1);
    world.run(millis(100));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[test]
fn the_credential_arrives_and_is_confirmed_by_the_first_data_packet_only() {
    let mut world = World::pair(1);
    let issuer = world.nodes[1].identity.hashname();
    let bearer = world.nodes[0].identity.hashname();
    let proof = prove_invite(&[9; 32], &issuer, &bearer);
    let credential = Credential::new(proof.to_vec()).unwrap();
    world.nodes[0].link().set_credential(credential.clone());
    let confirmed = Event::Confirmed { credential };
    world.connect(0);
    world.run(millis(25));
    assert!(!world.nodes[1].events.contains(&confirmed));
    world.run(millis(25));
    assert!(world.nodes[1].events.contains(&confirmed));
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_restored_backup_or_a_clock_that_went_back_does_not_lock_anybody_out() {
    for (skew, record_kept) in [(-40_000_000_000_000, false), (-40_000_000_000_000, true), (0, false)] {
        let mut world = World::connected(1);
        let now = world.now;
        world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
        world.run(secs(1));
        world.nodes[0].settings.skew = skew;
        if !record_kept {
            world.nodes[0].stored.clear();
        }
        world.restart(0, keys(1, super::harness::BOTH));
        world.connect(0);
        world.run(secs(1));
        assert_eq!(world.nodes[0].link().state(), State::Up, "skew {skew}: the other end initiates instead");
        assert_up_and_talking(&mut world);
    }
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_peer_that_lost_its_store_is_helped_also_while_its_old_session_seems_up() {
    let mut world = World::connected(1);
    world.run(secs(10));
    world.nodes[0].stored.clear();
    world.nodes[0].settings.skew = -40_000_000_000_000;
    world.restart(0, keys(1, super::harness::BOTH));
    world.connect(0);
    world.run(secs(1));
    assert!(world.nodes[1].gate_results.contains(&Err(DropReason::Stale)));
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert!(world.nodes[1].events.contains(&Event::PeerRestarted));
    assert_up_and_talking(&mut world);
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_leap_of_at_heals_what_the_other_end_cannot() {
    let mut world = World::connected(1);
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
    world.run(secs(1));
    world.nodes[0].stored.clear();
    world.nodes[0].settings.skew = -30_000_000_000_000; // Most of a year.
    world.restart(0, keys(1, super::harness::BOTH));
    // Node 1 does not know where node 0 is now: it can only wait for an `at` that it takes for new.
    let moved = super::harness::address(1, 77, 4242);
    world.nodes[0].addresses.insert(1, moved);
    world.connect(0);
    world.run(secs(10));
    assert_ne!(world.nodes[0].link().state(), State::Up);
    assert!(world.nodes[1].gate_results.contains(&Err(DropReason::Stale)));
    world.run(secs(15));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_lead_of_a_century_is_made_up_for_in_minutes() {
    // Whoever could not reach us for hours leaps with every attempt, and then its store is gone.
    let mut world = World::pair(1);
    world.nodes[0].settings.skew = 100 * 31_557_600_000_000;
    world.connect(0);
    world.run(secs(1));
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::Closed);
    world.run(secs(1));
    world.nodes[0].stored.clear();
    world.nodes[0].settings.skew = 0;
    world.restart(0, keys(1, super::harness::BOTH));
    world.nodes[0].addresses.insert(1, super::harness::address(1, 77, 4242));
    world.connect(0);
    world.run(secs(10));
    assert_ne!(world.nodes[0].link().state(), State::Up);
    world.run(secs(360));
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert_up_and_talking(&mut world);
}

#[test]
fn the_answer_to_any_copy_of_the_last_two_rounds_makes_a_link_also_when_it_comes_late() {
    let mut world = World::new(1);
    for number in 1..=2 {
        let place = world.add_node(keys(number, super::harness::BOTH));
        for network in 1..=8 {
            let host = number;
            world.nodes[place].addresses.insert(network, super::harness::address(network, host, 4242));
            world.faults(network).delay = millis(350);
        }
    }
    world.introduce(0, 1);
    world.introduce(1, 0);
    world.connect(0);
    // The second round reaches the peer after it has answered the first, and before anything comes under that.
    world.run(millis(750));
    assert_eq!(world.sent_of_type(1).len(), 16);
    assert_eq!(world.nodes[0].link().state(), State::Up);
    assert!(world.send(0, b"at once"));
    world.run(millis(400));
    assert_eq!(world.nodes[1].received.pop().as_deref(), Some(b"at once".as_slice()));
}

#[test]
fn a_busy_link_that_comes_back_late_in_an_attempt_stays_up() {
    let mut world = World::connected(1);
    // Something is nearly always on its way that was sent after the last packet came in.
    world.faults(1).delay = millis(20);
    let busy = |world: &mut World, time: u64| {
        for _ in 0..time * 100 {
            world.send(0, b"there");
            world.send(1, b"back");
            world.run(millis(10));
        }
    };
    world.faults(1).dead = true;
    busy(&mut world, 36);
    assert_eq!(world.nodes.iter().map(|node| node.received.len()).sum::<usize>(), 0);
    world.faults(1).dead = false;
    busy(&mut world, 30);
    for node in &mut world.nodes {
        assert_eq!(node.link().state(), State::Up);
        assert!(!node.events.iter().any(|event| matches!(event, Event::Down(_))), "{:?}", node.events);
        assert!(node.received.len() > 2_900, "{} arrived", node.received.len());
    }
}

#[test]
fn clocks_a_year_off_either_way_do_not_matter() {
    const YEAR: i64 = 31_557_600_000_000;
    for skew in [YEAR, -YEAR] {
        let mut world = World::pair(1);
        world.nodes[0].settings.skew = skew;
        world.connect(0);
        world.run(secs(1));
        assert_up_and_talking(&mut world);
        world.nodes[0].settings.skew = -skew;
        world.nodes[1].settings.skew = skew;
        world.run(secs(400));
        assert_up_and_talking(&mut world);
    }
}

#[test]
fn an_endpoint_has_no_link_with_itself() {
    let world = World::pair(1);
    let identity = world.nodes[0].identity.clone();
    let made = Link::new(
        identity.clone(),
        Peer::new(identity.hashname()),
        0,
        LinkConfig::default(),
        [0; 32],
        world.now,
    );
    assert_eq!(made.err(), Some(LinkError::Ourselves));
}

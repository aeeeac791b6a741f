//! Scenarios with lost memory: processes that start anew, stores that go back, clocks that jump, and what an observer who
//! has recorded everything can make of it. Also the two ends' choice between sessions that were made at the same time.

use telemesh_wire::CloseReason;

use super::harness::{BOTH, Datagram, World, keys, millis, secs};
use super::hostile::stranger;
use crate::timers::{AES_GCM_PACKET_LIMIT, AES_GCM_RENEW_PACKETS};
use crate::{DropReason, Event, State};

const YEAR: i64 = 31_557_600_000_000;

fn talks(world: &mut World) -> bool {
    world.nodes.iter_mut().for_each(|node| node.received.clear());
    let sent = world.send(0, b"x") & world.send(1, b"y");
    world.run(millis(100));
    sent && world.nodes.iter().all(|node| node.received.len() == 1)
}

fn restart(world: &mut World, place: usize) {
    world.restart(place, keys(u8::try_from(place).unwrap() + 1, BOTH));
}

/// Everything that was ever sent to node 1 comes again, from an address of the observer's.
fn replay_to_responder(world: &mut World) {
    for sent in world.log.clone() {
        if sent.to == world.nodes[1].addresses[&1] {
            world.deliver(Datagram { from: stranger(), ..sent });
        }
    }
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn after_an_explicit_close_a_recorded_initiation_causes_nothing() {
    for reason in [CloseReason::Closed, CloseReason::NotTrusted] {
        let mut world = World::connected(1);
        let now = world.now;
        world.nodes[1].link().close(now, reason);
        world.run(secs(1));
        world.nodes[0].alive = false;
        let sent = world.nodes[1].sent;
        for _ in 0..100 {
            replay_to_responder(&mut world);
            world.run(secs(1));
        }
        assert_eq!(world.nodes[1].sent, sent);
        assert!(world.nodes[1].link().dropped().of(DropReason::Stale) >= 100);
        // It is the application's wish and no more: the peer may still come.
        world.nodes[0].alive = true;
        world.connect(0);
        world.run(secs(2));
        assert!(talks(&mut world));
    }
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn after_a_close_the_peers_own_session_or_a_connect_brings_the_help_for_lost_stores_back() {
    for by_peer in [true, false] {
        let mut world = World::connected(1);
        world.close(1);
        world.run(secs(1));
        world.connect(if by_peer { 0 } else { 1 });
        world.run(secs(2));
        world.nodes[0].stored.clear();
        world.nodes[0].settings.skew = -YEAR;
        restart(&mut world, 0);
        world.connect(0);
        world.run(secs(2));
        assert!(talks(&mut world), "{by_peer}");
    }
}

#[cfg(not(feature = "danger-no-at-check"))]
#[test]
fn a_responder_that_starts_anew_with_its_store_answers_no_recording() {
    for second_session in [false, true] {
        let mut world = World::connected(1);
        if second_session {
            // This one's initiation shows a tag.
            world.close(0);
            world.run(secs(1));
            world.connect(0);
            world.run(secs(1));
        }
        world.nodes[0].alive = false;
        restart(&mut world, 1);
        let before = world.log.len();
        for _ in 0..60 {
            replay_to_responder(&mut world);
            world.run(secs(1));
        }
        let sent: Vec<_> = world.log[before..].iter().filter(|sent| sent.from != stranger()).collect();
        let home = world.nodes[0].addresses[&1];
        assert!(sent.iter().all(|sent| sent.to == home), "nothing goes to the replayer");
        assert!(sent.iter().all(|sent| sent.bytes[0] == 1), "and nothing is answered");
        assert!((1..=18).contains(&sent.len()), "{} initiations in a minute", sent.len());
    }
}

#[test]
fn a_clock_that_jumps_a_year_either_way_locks_nobody_out() {
    for (place, skew) in [(0, YEAR), (0, -YEAR), (1, YEAR), (1, -YEAR)] {
        for with_store in [true, false] {
            for connects in [0, 1] {
                let mut world = World::connected(1);
                world.nodes[place].settings.skew = skew;
                if !with_store {
                    world.nodes[place].stored.clear();
                }
                restart(&mut world, place);
                world.close(connects);
                world.connect(connects);
                world.run(secs(40));
                assert!(talks(&mut world), "{place} by {skew}, store {with_store}, {connects} connects");
                world.nodes[place].settings.skew = 0;
                world.close(connects);
                world.run(secs(1));
                world.connect(1 - connects);
                world.run(secs(40));
                assert!(talks(&mut world), "and back");
            }
        }
    }
}

#[test]
fn an_endpoint_restored_from_a_backup_links_again_and_is_known_again() {
    for place in [0, 1] {
        for connects in [0, 1] {
            let mut world = World::connected(1);
            let backup = world.nodes[place].stored.clone();
            for _ in 0..5 {
                world.close(0);
                world.run(secs(60));
                world.connect(0);
                world.run(secs(60));
            }
            world.nodes[place].stored = backup;
            restart(&mut world, place);
            world.close(connects);
            world.connect(connects);
            world.run(secs(30));
            assert!(talks(&mut world), "backup at {place}, {connects} connects");
            (0..2).for_each(|place| world.close_to_strangers(place));
            world.close(1 - connects);
            world.run(secs(1));
            world.connect(connects);
            world.run(secs(1));
            assert!(talks(&mut world), "their tags are the same again");
        }
    }
}

#[test]
fn a_late_packet_of_a_process_that_is_gone_does_not_bring_its_session_back() {
    let mut world = World::pair(1);
    let to = world.nodes[1].addresses[&1];
    world.connect(0);
    world.run(millis(15));
    // The confirmation of the first process is held up on its way.
    world.blocked.insert(to);
    world.run(millis(10));
    world.send(0, b"from the old process");
    world.blocked.clear();
    let late: Vec<_> = world.sent_of_type(4);
    assert_eq!(late.len(), 2);
    restart(&mut world, 0);
    world.connect(0);
    world.run(secs(1));
    assert!(talks(&mut world));
    let events = world.nodes[1].events.len();
    world.nodes[1].received.clear();
    for packet in late {
        world.deliver(packet);
    }
    world.run(secs(1));
    assert!(world.nodes[1].received.is_empty());
    assert_eq!(world.nodes[1].events[events..], []);
    assert!(world.nodes[1].link_drops.contains(&DropReason::SessionExpired));
    assert!(talks(&mut world));
}

#[test]
fn at_the_packet_limit_a_session_is_renewed_at_once_again_and_again() {
    for seed in 0..4 {
        for place in [0, 1] {
            let mut world = World::connected(seed);
            for round in 0..10 {
                // Either end may be the one that has sealed so much, and the session is far younger than five seconds.
                let place = if round % 3 == 2 { 1 - place } else { place };
                let before = world.nodes[place].link().current_session_for_test();
                world.nodes[place].link().set_sealed_for_test(AES_GCM_RENEW_PACKETS);
                world.send(place, b"over the limit");
                world.run(millis(100));
                let [left, right] = [0, 1].map(|place| world.nodes[place].link().current_session_for_test());
                assert_eq!((left.0, left.1), (right.1, right.0), "both use the same one");
                assert_ne!(world.nodes[place].link().current_session_for_test(), before, "round {round}");
            }
            world.nodes[place].link().set_sealed_for_test(AES_GCM_PACKET_LIMIT);
            assert!(!world.send(place, b"refused"), "the limit itself stands");
        }
    }
}

#[test]
fn two_ends_that_use_different_sessions_meet_in_one_and_do_not_pass_each_other() {
    for swapped in [0, 1] {
        let mut world = World::pair(1);
        world.connect(0);
        world.connect(1);
        world.run(secs(1));
        let now = world.now;
        // Both have just changed over, one of them twice, so that both would follow the other at the same moment.
        for place in [0, 1, 1 - swapped] {
            assert!(world.nodes[place].link().swap_sessions_for_test(now), "their initiations crossed");
        }
        let mut used = Vec::new();
        for _ in 0..200 {
            assert!(world.send(0, b"x") & world.send(1, b"y"));
            world.run(millis(50));
            let [left, right] = [0, 1].map(|place| world.nodes[place].link().current_session_for_test());
            used.push((left, (left.0, left.1) == (right.1, right.0)));
        }
        assert!(!used[0].1 && used[100].1, "they agree after some seconds");
        assert!(used[100..].iter().all(|session| *session == used[100]), "and stay with it");
        assert_eq!(world.nodes.iter().map(|node| node.received.len()).sum::<usize>(), 400, "nothing is lost");
    }
}

#[test]
fn renewals_by_both_ends_at_once_end_in_one_session_for_both() {
    for seed in 0..20 {
        let mut world = World::connected(seed);
        for place in [0, 1] {
            world.nodes[place].link().set_sealed_for_test(AES_GCM_RENEW_PACKETS);
            world.send(place, b"both at the limit");
            world.run(millis(seed));
        }
        world.run(millis(200));
        let mut sessions = Vec::new();
        for _ in 0..50 {
            assert!(talks(&mut world), "seed {seed}");
            let [left, right] = [0, 1].map(|place| world.nodes[place].link().current_session_for_test());
            assert_eq!((left.0, left.1), (right.1, right.0), "seed {seed}");
            sessions.push(left);
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 1, "seed {seed}: and they stay with it");
        let downs = |event: &&Event| matches!(event, Event::Down(_));
        assert_eq!(world.nodes.iter().flat_map(|node| &node.events).filter(downs).count(), 0);
        assert_eq!(world.nodes[0].link().state(), State::Up);
    }
}

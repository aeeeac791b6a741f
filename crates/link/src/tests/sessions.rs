//! Scenarios about sessions: renewal, late packets, restarts, limits, closing, messages.

use telemesh_wire::CloseReason;

use super::harness::{BOTH, Datagram, World, keys, millis, secs};
use crate::timers::{AES_GCM_PACKET_LIMIT, AES_GCM_RENEW_PACKETS};
use crate::{DownReason, Event, MessageError, State};

#[test]
fn a_link_in_use_renews_its_session_every_two_minutes_and_loses_nothing() {
    let mut world = World::connected(1);
    let mut sessions = vec![world.nodes[0].link().current_session_for_test()];
    for number in 0u32..6_000 {
        for place in [0, 1] {
            assert!(world.send(place, &number.to_le_bytes()), "at {:?}", world.now - world.start);
        }
        world.run(millis(100));
        let session = world.nodes[0].link().current_session_for_test();
        if sessions.last() != Some(&session) {
            sessions.push(session);
        }
    }
    assert!((5..=7).contains(&sessions.len()), "{} sessions in ten minutes", sessions.len());
    for node in &world.nodes {
        let expected: Vec<_> = (0u32..6_000).map(|number| number.to_le_bytes().to_vec()).collect();
        assert_eq!(node.received, expected);
        assert_eq!(node.ups(), 1);
    }
    assert_eq!(world.sent_of_type(1).len(), 1, "nothing of it can be seen from outside");
}

#[test]
fn a_link_that_carries_only_keepalives_is_renewed_after_an_hour() {
    let mut world = World::connected(1);
    let first = world.nodes[0].link().current_session_for_test();
    world.run(secs(3_500));
    assert_eq!(world.nodes[0].link().current_session_for_test(), first);
    world.run(secs(300));
    assert_ne!(world.nodes[0].link().current_session_for_test(), first);
    assert_eq!(world.sent_of_type(1).len(), 1);
    // Use after a long idle time is not held up, and leads to a renewal at once.
    world.run(secs(600));
    let idle = world.nodes[1].link().current_session_for_test();
    assert!(world.send(1, b"after a long time"));
    assert!(world.send(0, b"after a long time"));
    world.run(secs(1));
    assert_eq!(world.nodes[0].received.len(), 1);
    assert_ne!(world.nodes[1].link().current_session_for_test(), idle);
}

#[test]
fn renewal_gets_through_when_its_messages_are_lost() {
    for seed in 0..10 {
        let mut world = World::connected(seed);
        world.faults(1).loss = 30;
        for _ in 0..2_000 {
            world.send(0, &[0; 10]);
            world.run(millis(200));
        }
        assert_eq!(world.nodes[0].link().state(), State::Up);
        let down = |event: &Event| matches!(event, Event::Down(_));
        assert!(!world.nodes[0].events.iter().any(down), "seed {seed}");
    }
}

#[test]
fn late_packets_of_the_previous_session_are_opened_once() {
    let mut world = World::connected(1);
    let (from, to) = (world.nodes[0].addresses[&1], world.nodes[1].addresses[&1]);
    world.blocked.insert(to);
    world.send(0, b"late");
    let late = world.log.last().unwrap().clone();
    world.blocked.clear();
    let old = world.nodes[1].link().current_session_for_test();
    for _ in 0..1_250 {
        world.send(0, b"use");
        world.run(millis(100));
        if world.nodes[1].link().current_session_for_test() != old {
            break;
        }
    }
    assert_ne!(world.nodes[1].link().current_session_for_test(), old);
    world.nodes[1].received.clear();
    for _ in 0..2 {
        world.deliver(Datagram { from, to, bytes: late.bytes.clone() });
    }
    let expected = if cfg!(feature = "danger-no-replay-window") { 2 } else { 1 };
    assert_eq!(world.nodes[1].received.len(), expected);
    world.run(secs(40));
    world.deliver(Datagram { from, to, bytes: late.bytes });
    assert_eq!(world.nodes[1].received.len(), expected, "the previous session is gone");
}

#[test]
fn a_restarted_peer_is_noticed_and_its_old_session_is_dropped_at_once() {
    for restarts in [0, 1] {
        let mut world = World::connected(1);
        let other = 1 - restarts;
        let (from, to) = (world.nodes[restarts].addresses[&1], world.nodes[other].addresses[&1]);
        world.blocked.insert(to);
        world.send(restarts, b"from the old process");
        let old = world.log.last().unwrap().clone();
        world.blocked.clear();
        let number = u8::try_from(restarts).unwrap() + 1;
        world.restart(restarts, keys(number, BOTH));
        world.connect(restarts);
        world.run(secs(1));
        let events: Vec<_> = world.nodes[other]
            .events
            .iter()
            .filter(|event| matches!(event, Event::PeerRestarted | Event::Up(_) | Event::Down(_)))
            .collect();
        assert!(matches!(events[..], [Event::Up(_), Event::PeerRestarted, Event::Up(_)]), "{events:?}");
        world.nodes[other].received.clear();
        world.deliver(Datagram { from, to, bytes: old.bytes });
        assert!(world.nodes[other].received.is_empty());
        assert!(world.send(other, b"new") && world.send(restarts, b"new"));
        world.run(secs(1));
        assert_eq!(world.nodes[other].received.len(), 1);
    }
}

#[test]
fn under_aes_gcm_the_packet_limits_are_kept() {
    let mut world = World::connected(1);
    let before = world.nodes[0].link().current_session_for_test();
    world.nodes[0].link().set_sealed_for_test(AES_GCM_RENEW_PACKETS - 1);
    world.send(0, b"one below the limit");
    world.send(0, b"at the limit");
    world.run(secs(1));
    assert_ne!(world.nodes[0].link().current_session_for_test(), before, "renewed at 2^22 packets");
    assert_eq!(world.nodes[1].received.len(), 2);

    world.blocked.insert(world.nodes[1].addresses[&1]);
    world.nodes[0].link().set_sealed_for_test(AES_GCM_PACKET_LIMIT - 1);
    let (now, mut out) = (world.now, vec![7]);
    assert!(world.nodes[0].link().seal_batch(now, &[0x40; 4], 2, &mut out).is_none(), "only one was left");
    assert_eq!(out, [7], "nothing of a batch that fails is left behind");
    assert!(!world.send(0, b"refused at 2^23"));
}

#[test]
fn closing_tells_the_peer_and_a_lost_close_does_not_keep_the_two_apart() {
    let mut world = World::connected(1);
    let now = world.now;
    world.nodes[0].link().close(now, CloseReason::ShuttingDown);
    world.run(millis(50));
    assert_eq!(world.nodes[0].link().state(), State::Down(DownReason::Closed(CloseReason::ShuttingDown)));
    assert_eq!(
        world.nodes[1].link().state(),
        State::Down(DownReason::ClosedByPeer(CloseReason::ShuttingDown))
    );
    let before = world.log.len();
    world.run(secs(1_000));
    assert_eq!(world.log.len(), before);

    for opener in [0, 1] {
        let mut world = World::connected(1);
        world.blocked.insert(world.nodes[opener].addresses[&1]);
        let now = world.now;
        world.nodes[opener].link().close(now, CloseReason::Closed);
        world.flush();
        world.blocked.clear();
        world.connect(opener);
        for _ in 0..30 {
            world.send(0, b"x");
            world.send(1, b"y");
            world.run(millis(100));
        }
        world.nodes.iter_mut().for_each(|node| node.received.clear());
        assert!(world.send(0, b"x") && world.send(1, b"y"));
        world.run(millis(100));
        assert_eq!((world.nodes[0].received.len(), world.nodes[1].received.len()), (1, 1), "opener {opener}");
    }
}

#[test]
fn a_close_that_arrives_late_does_not_end_the_session_that_came_after_it() {
    // The peer closes and connects again at once, and the network delivers the close after the n-th packet that follows.
    for late_by in 0..5 {
        let mut world = World::connected(1);
        let (now, target) = (world.now, world.nodes[1].addresses[&1]);
        let before = world.log.len();
        world.blocked.insert(target);
        world.nodes[0].link().close(now, CloseReason::Closed);
        world.flush();
        world.blocked.clear();
        let close = world.log[before].clone();
        world.connect(0);
        world.flush();
        let mut delivered = false;
        for _ in 0..100 {
            if !delivered && world.log.len() > before + late_by {
                world.deliver(close.clone());
                delivered = true;
            }
            world.run(millis(5));
        }
        assert!(delivered, "late by {late_by}");
        for place in [0, 1] {
            assert_eq!(world.nodes[place].link().state(), State::Up, "node {place}, late by {late_by}");
        }
        world.nodes.iter_mut().for_each(|node| node.received.clear());
        assert!(world.send(0, b"x") && world.send(1, b"y"));
        world.run(millis(100));
        assert_eq!(
            (world.nodes[0].received.len(), world.nodes[1].received.len()),
            (1, 1),
            "late by {late_by}"
        );
    }
}

#[test]
fn messages_arrive_whole_or_in_two_halves_up_to_the_limit() {
    let mut world = World::connected(1);
    let (whole, max) = {
        let link = world.nodes[0].link();
        (link.max_whole_message(), link.max_message())
    };
    assert_eq!((whole, max), (1_199, 2_391));
    for length in [0, 1, whole - 1, whole, whole + 1, max - 1, max] {
        let message: Vec<u8> = (0..length).map(|place| place.to_le_bytes()[0]).collect();
        let (now, mut out) = (world.now, Vec::new());
        let batch = world.nodes[0].link().seal_message(now, &message, &mut out).unwrap();
        let packets: Vec<_> = out.chunks(batch.segment).map(<[u8]>::to_vec).collect();
        assert_eq!(packets.len(), if length > whole { 2 } else { 1 });
        for packet in packets {
            assert!(packet.len() <= 1_232);
            world.post(0, batch.to, packet);
        }
        world.run(millis(50));
        assert_eq!(world.nodes[1].received.pop(), Some(message), "{length} bytes");
    }
    let (now, mut out) = (world.now, Vec::new());
    let refused = world.nodes[0].link().seal_message(now, &vec![0; max + 1], &mut out);
    assert_eq!(refused, Err(MessageError::TooLarge { max }));
    assert!(out.is_empty());
}

#[test]
fn a_batch_is_sealed_into_consecutive_packets_without_growing_a_large_enough_buffer() {
    let mut world = World::connected(1);
    let payloads = [0x55; 10 * 1_000 + 300];
    let mut out = Vec::with_capacity(payloads.len() + 32 * 11);
    let capacity = out.capacity();
    let now = world.now;
    let batch = world.nodes[0].link().seal_batch(now, &payloads, 1_000, &mut out).unwrap();
    assert_eq!((batch.segment, out.len(), out.capacity()), (1_032, payloads.len() + 32 * 11, capacity));
    let counters: Vec<_> = out.chunks(1_032).map(|packet| packet[8]).collect();
    assert!(counters.windows(2).all(|pair| pair[1] == pair[0] + 1));
    for packet in out.chunks(1_032) {
        world.post(0, batch.to, packet.to_vec());
    }
    world.run(millis(50));
    assert_eq!(
        world.nodes[1].received.iter().map(|payload| payload.len() + 1).sum::<usize>(),
        payloads.len()
    );
}

#[test]
fn control_messages_for_the_mesh_arrive() {
    let mut world = World::connected(1);
    world.nodes[0].link().send_engine_gone(7);
    world.run(millis(50));
    assert!(world.nodes[1].events.contains(&Event::EngineGone { number: 7 }));
}

#[test]
fn an_idle_link_is_small() {
    let size = std::mem::size_of::<crate::Link>();
    let session = std::mem::size_of::<crate::session::Session>();
    let path = std::mem::size_of::<crate::path::Path>();
    assert!(size <= 1_100, "a link has {size} bytes");
    assert!(session <= 1_400, "a session has {session} bytes");
    assert!(path <= 300, "a path has {path} bytes");
}

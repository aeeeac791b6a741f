//! Scenarios with return tags: who had a session once comes in again while strangers do not, whatever was lost on the way.

use std::collections::BTreeSet;

use telemesh_hashname::CipherSetId;

use super::harness::{BOTH, Datagram, World, address, keys, millis, secs};
use crate::packet::Initiation;
use crate::{DropReason, Event, State};

fn return_id(datagram: &Datagram) -> u64 {
    Initiation::parse(&datagram.bytes).unwrap().return_id
}

fn talks(world: &mut World) -> bool {
    world.nodes.iter_mut().for_each(|node| node.received.clear());
    let sent = world.send(0, b"x") & world.send(1, b"y");
    world.run(millis(100));
    sent && world.nodes.iter().all(|node| node.received.len() == 1)
}

/// Both ends read nothing from strangers any more.
fn close_both_to_strangers(world: &mut World) {
    (0..world.nodes.len()).for_each(|place| world.close_to_strangers(place));
}

#[test]
fn an_initiation_shows_the_tag_that_the_session_before_has_left() {
    for csid in [CipherSetId::CS11, CipherSetId::CS21] {
        let mut world = World::pair_with(1, &[csid], &[csid]);
        let mut ids = BTreeSet::new();
        // Either end initiates, and what one showed the other never does.
        for (round, place) in [0, 0, 1, 0, 1, 1].into_iter().enumerate() {
            world.log.clear();
            world.connect(place);
            world.run(secs(1));
            assert!(talks(&mut world));
            let shown: Vec<_> = world.sent_of_type(1).iter().map(return_id).collect();
            assert_eq!(shown.len(), 1, "round {round}");
            assert_eq!(shown[0] == 0, round == 0, "round {round}");
            assert!(ids.insert(shown[0]), "a tag is used for one session");
            world.close(place);
            world.run(secs(1));
        }
        let recognized: u64 = world.nodes.iter().map(|node| node.gate.recognized()).sum();
        assert_eq!(recognized, 5);
    }
}

#[test]
fn the_gate_knows_one_tag_per_link_and_none_when_the_link_is_gone() {
    let mut world = World::connected(1);
    world.run(secs(1));
    for _ in 0..10 {
        world.close(0);
        world.run(secs(1));
        world.connect(0);
        world.run(secs(1));
        assert_eq!([0, 1].map(|place| world.nodes[place].settings.config.tags.len()), [1, 1]);
    }
    world.nodes[1].links.clear();
    assert!(world.nodes[1].settings.config.tags.is_empty());
    let now = world.now;
    world.nodes[0].link().close(now, telemesh_wire::CloseReason::NotTrusted);
    assert!(
        world.nodes[0].settings.config.tags.is_empty(),
        "a peer that is not trusted any more is a stranger"
    );
}

#[test]
fn a_tag_is_accepted_until_the_new_session_is_confirmed_and_then_it_is_spent() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    close_both_to_strangers(&mut world);
    let tag = world.nodes[0].link().record().tags.present.unwrap();
    let accepted = |world: &World| world.nodes[1].links[&0].record().tags.accepted;
    assert_eq!(accepted(&world), std::slice::from_ref(&tag));
    world.connect(0);
    world.run(millis(15));
    let during = accepted(&world);
    assert_eq!((during.len(), &during[0]), (2, &tag), "the response is on its way");
    world.run(millis(100));
    let after = accepted(&world);
    assert_eq!((after.len(), &after[0]), (1, &during[1]));
    assert_eq!(world.nodes[0].link().record().tags.present, after.first().cloned());

    let initiation = world.sent_of_type(1).pop().unwrap();
    world.nodes[1].gate_results.clear();
    world.deliver(Datagram { from: address(1, 66, 6), ..initiation });
    assert_eq!(world.nodes[1].gate_results, [Err(DropReason::Overload)], "its tag opens nothing any more");
}

#[test]
fn copies_of_an_initiation_whose_tag_is_not_spent_cost_nothing() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    world.blocked.insert(world.nodes[0].addresses[&1]);
    world.deaf.insert(world.nodes[0].addresses[&1]);
    world.blocked.clear();
    world.connect(0);
    world.run(millis(100));
    let initiation = world.sent_of_type(1).pop().unwrap();
    world.nodes[1].gate_results.clear();
    for _ in 0..1_000 {
        world.deliver(Datagram { from: address(1, 66, 6), ..initiation.clone() });
    }
    assert!(world.nodes[1].gate_results.iter().all(|result| *result == Err(DropReason::Duplicate)));
    world.deaf.clear();
    world.run(secs(1));
    assert!(talks(&mut world), "and they do not stand in the peer's way");
}

/// The packets that the next handshake after a session consists of: initiation, response, confirmation, answer.
const STEPS: usize = 4;

#[test]
fn a_packet_that_is_lost_at_any_point_locks_nobody_out() {
    for initiator in [0, 1] {
        for lost_from in 0..=STEPS {
            for next in [0, 1] {
                let mut world = World::connected(1);
                world.close(initiator);
                world.run(secs(1));
                close_both_to_strangers(&mut world);
                world.log.clear();
                world.connect(initiator);
                // Let so many packets through, and then nothing more.
                while world.log.len() < lost_from + 1 && world.now < world.start + secs(4) {
                    world.run(millis(1));
                }
                world.faults(1).dead = true;
                world.run(millis(60));
                // Both give up what they had, and one of them tries again when the network works.
                for place in [0, 1] {
                    world.close(place);
                }
                world.run(secs(100));
                world.faults(1).dead = false;
                world.connect(next);
                world.run(secs(2));
                assert!(
                    talks(&mut world),
                    "{initiator} began, lost from {lost_from} on, then {next} initiated"
                );
            }
        }
    }
}

#[test]
fn processes_that_start_anew_know_each_other_by_what_they_stored() {
    for restarts in [&[0][..], &[1], &[0, 1]] {
        for connects in [0, 1] {
            let mut world = World::connected(1);
            world.run(secs(1));
            for &place in restarts {
                world.restart(place, keys(u8::try_from(place).unwrap() + 1, BOTH));
            }
            close_both_to_strangers(&mut world);
            // The end that is still there would notice by itself after a while.
            world.close(connects);
            world.connect(connects);
            world.run(secs(2));
            assert!(talks(&mut world), "{restarts:?} restarted, {connects} connects");
        }
    }
}

#[test]
fn ends_whose_initiations_crossed_know_each_other_afterwards() {
    for seed in 0..20 {
        for next in [0, 1] {
            let mut world = World::pair(seed);
            world.connect(0);
            world.run(millis(seed));
            world.connect(1);
            world.run(secs(2));
            assert!(talks(&mut world));
            close_both_to_strangers(&mut world);
            world.close(1 - next);
            world.run(secs(1));
            world.connect(next);
            world.run(secs(2));
            assert!(talks(&mut world), "seed {seed}, {next}");
            world.close(next);
            world.run(secs(1));
            world.connect(1 - next);
            world.run(secs(2));
            assert!(talks(&mut world), "seed {seed}, {next}, and the other way round");
        }
    }
}

#[test]
fn a_link_that_was_renewed_for_long_still_has_the_tags_of_its_initiation() {
    let mut world = World::connected(1);
    let tag = world.nodes[0].link().record().tags;
    for _ in 0..500 {
        world.send(0, b"use");
        world.send(1, b"use");
        world.run(secs(1));
    }
    assert_eq!(world.sent_of_type(1).len(), 1, "renewed inside, four times");
    assert_eq!(world.nodes[0].link().record().tags.present, tag.present);
    close_both_to_strangers(&mut world);
    world.close(0);
    world.run(secs(1));
    world.connect(1);
    world.run(secs(1));
    assert!(talks(&mut world));
}

#[test]
fn every_copy_on_eight_paths_is_answered_and_the_session_of_any_of_them_works() {
    let mut world = World::new(1);
    for number in [1, 2] {
        let place = world.add_node(keys(number, BOTH));
        world.nodes[place].addresses =
            (1..=8).map(|network| (network, address(network, number, 1))).collect();
    }
    world.introduce(0, 1);
    world.introduce(1, 0);
    for _ in 0..5 {
        world.connect(0);
        world.run(secs(1));
        assert!(talks(&mut world));
        close_both_to_strangers(&mut world);
        world.close(0);
        world.run(secs(1));
        world.connect(1);
        world.run(secs(1));
        assert!(talks(&mut world));
        world.close(1);
        world.run(secs(1));
    }
    assert_eq!(world.sent_of_type(1).len(), 80, "eight each time: nothing had to be repeated");
}

#[test]
fn a_tag_shown_by_somebody_else_gets_nobody_in() {
    let mut world = World::connected(1);
    let tag = world.nodes[0].link().record().tags.present.unwrap();
    // A third endpoint that node 1 trusts too, to which node 0 has given its tag.
    let third = world.add_node(keys(3, BOTH));
    world.introduce(third, 1);
    world.introduce(1, third);
    world.blocked.insert(world.nodes[1].addresses[&1]);
    world.log.clear();
    world.connect(third);
    world.blocked.clear();
    let mut borrowed = world.sent_of_type(1).pop().unwrap();
    crate::mac::write_mac2(tag.key(), tag.id().get(), &mut borrowed.bytes);
    world.nodes[1].gate_results.clear();
    world.deliver(borrowed);
    assert_eq!(world.nodes[1].gate_results, [Err(DropReason::ReturnTag)]);
    assert_eq!(world.sent_of_type(2).len(), 0);
}

#[test]
fn an_unknown_return_id_is_a_strangers_and_a_known_one_with_a_wrong_mac2_is_dropped() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    world.blocked.insert(world.nodes[1].addresses[&1]);
    world.log.clear();
    world.connect(0);
    world.blocked.clear();
    let initiation = world.sent_of_type(1).pop().unwrap();
    let mut wrong = initiation.clone();
    wrong.bytes[1_199] ^= 1;
    let mut unknown = initiation.clone();
    unknown.bytes[1_176] ^= 1;
    world.nodes[1].gate_results.clear();
    let recognized = world.nodes[1].gate.recognized();
    world.deliver(wrong);
    assert_eq!(world.nodes[1].gate_results, [Err(DropReason::ReturnTag)]);
    world.deliver(unknown);
    assert_eq!(world.nodes[1].gate_results[1..], [Ok(())], "read, as it is that of a stranger");
    assert_eq!(world.nodes[1].gate.recognized(), recognized);
    world.run(secs(2));
    assert_eq!(world.nodes[0].link().state(), State::Up);
}

#[test]
fn records_with_tags_are_stored_before_the_response_goes_out() {
    let mut world = World::connected(1);
    world.close(0);
    world.run(secs(1));
    world.nodes[1].stores = false;
    world.nodes[1].events.clear();
    world.connect(0);
    world.run(millis(15));
    let persisted = world.nodes[1].events.iter().rev().find_map(|event| match event {
        Event::Persist(record) => Some(record.tags.accepted.len()),
        _ => None,
    });
    assert_eq!((persisted, world.sent_of_type(2).len()), (Some(2), 1), "one response is from before");
}

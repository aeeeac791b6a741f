//! The link on virtual time: what each fault does, that flows share a bottleneck, that a seed decides everything.

use std::time::Duration;

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn model(ways: Ways) -> Model {
    Model::new(ways, false, 7).unwrap()
}

/// All that arrives from now on.
fn rest(model: &mut Model) -> Vec<Arrived> {
    let mut arrived = Vec::new();
    while let Some(at) = model.next_at() {
        arrived.extend(std::iter::from_fn(|| model.take(at)));
    }
    arrived
}

#[test]
fn each_way_has_its_own_delay() {
    let there = Conditions::new().delay(ms(30));
    let back = Conditions::new().delay(ms(70));
    let mut model = model(Ways { there, back });
    let flow = model.open().unwrap();
    model.send(ms(1), flow, Way::There, b"question");
    assert_eq!(model.take(ms(31) - Duration::from_nanos(1)), None, "not a nanosecond early");
    let question = model.take(ms(31)).unwrap();
    assert_eq!((question.at, question.flow, question.way), (ms(31), flow, Way::There));
    assert_eq!(question.payload, b"question");
    model.send(ms(31), flow, Way::Back, b"answer");
    assert_eq!(model.next_at(), Some(ms(101)));
    assert_eq!(rest(&mut model).pop().unwrap().way, Way::Back);
}

#[test]
fn loss_is_as_asked_for_and_only_on_its_way() {
    let mut model = model(Ways { there: Conditions::new().loss(0.05), back: Conditions::new() });
    let flow = model.open().unwrap();
    for _ in 0..20_000 {
        model.send(ms(0), flow, Way::There, b"x");
        model.send(ms(0), flow, Way::Back, b"x");
    }
    rest(&mut model);
    let lost = model.counts(Way::There).dropped(telemesh_simnet::DropReason::Loss);
    // 1,000 are expected; five standard deviations are 154.
    assert!((846..=1_154).contains(&lost), "{lost} of 20,000 were lost");
    assert_eq!(model.counts(Way::Back).delivered, 20_000);
}

#[test]
fn flows_share_rate_and_queue_and_what_does_not_fit_is_dropped() {
    // One packet of 1,000 bytes (972 and IPv4's headers) takes 1 ms; five may wait.
    let narrow = Conditions::new().rate(1_000_000, 5_000);
    let mut model = model(Ways::both(narrow));
    let (one, other) = (model.open().unwrap(), model.open().unwrap());
    for _ in 0..4 {
        model.send(ms(0), one, Way::There, &[0; 972]);
        model.send(ms(0), other, Way::There, &[0; 972]);
    }
    let arrived = rest(&mut model);
    let times: Vec<u128> = arrived.iter().map(|arrived| arrived.at.as_millis()).collect();
    assert_eq!(times, [1, 2, 3, 4, 5]);
    assert_eq!(arrived.iter().filter(|arrived| arrived.flow == one).count(), 3);
    assert_eq!(model.counts(Way::There).dropped(telemesh_simnet::DropReason::QueueFull), 3);
}

#[test]
fn ipv6_headers_count_for_the_mtu() {
    let small = Ways::both(Conditions::new().mtu(1_280));
    for (ipv6, most) in [(false, 1_252), (true, 1_232)] {
        let mut model = Model::new(small, ipv6, 7).unwrap();
        let flow = model.open().unwrap();
        model.send(ms(0), flow, Way::There, &vec![0; most]);
        model.send(ms(0), flow, Way::There, &vec![0; most + 1]);
        assert_eq!(rest(&mut model).len(), 1);
    }
}

#[test]
fn a_closed_flow_gets_nothing_and_its_number_is_used_again() {
    let mut model = model(Ways::both(Conditions::new().delay(ms(10))));
    let flow = model.open().unwrap();
    model.send(ms(0), flow, Way::There, b"late");
    model.close(flow);
    model.send(ms(1), flow, Way::There, b"dropped");
    assert_eq!(rest(&mut model), []);
    assert_eq!(model.open(), Some(flow));
}

#[test]
fn there_are_as_many_flows_as_promised_and_no_more() {
    let mut model = model(Ways::both(Conditions::new()));
    for _ in 0..MAX_FLOWS {
        let flow = model.open().unwrap();
        model.send(ms(0), flow, Way::There, &flow.0.to_be_bytes());
    }
    assert_eq!(model.open(), None);
    for arrived in rest(&mut model) {
        assert_eq!(arrived.payload, arrived.flow.0.to_be_bytes());
    }
}

#[test]
fn conditions_may_change_while_datagrams_are_on_their_way() {
    let mut model = model(Ways::both(Conditions::new().delay(ms(50))));
    let flow = model.open().unwrap();
    model.send(ms(0), flow, Way::There, b"slow");
    model.set_ways(Ways::both(Conditions::new().loss(1.0)));
    model.send(ms(0), flow, Way::There, b"lost");
    assert_eq!(rest(&mut model).len(), 1);
}

#[test]
fn the_same_seed_treats_the_same_datagrams_alike() {
    let bad = Conditions::new().delay(ms(20)).jitter(ms(10)).loss(0.1).reorder(0.1, ms(5)).duplicate(0.05);
    let run = |seed| {
        let mut model = Model::new(Ways::both(bad), false, seed).unwrap();
        let flow = model.open().unwrap();
        for at in 0..500u64 {
            model.send(ms(at), flow, Way::There, &at.to_be_bytes());
        }
        rest(&mut model).into_iter().map(|arrived| (arrived.at, arrived.payload)).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

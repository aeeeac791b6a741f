//! Tests of one attempt: how much it sends, where to, and for how long.

use telemesh_wire::ExtraSocket;

use super::*;
use crate::timers::BIRTHDAY_SOCKETS;

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "virtual time has to start from some instant")]
    Instant::now()
}

fn target() -> SocketAddr {
    "192.0.2.7:40000".parse().unwrap()
}

fn attempt(now: Instant) -> Birthday {
    let mut birthday = Birthday::new(now, target());
    let sockets = u32::try_from(BIRTHDAY_SOCKETS).unwrap();
    let extra = |number| PathAddress::Extra(ExtraSocket { to: target(), number });
    birthday.send_from((0..sockets).map(extra).collect());
    birthday
}

/// Runs an attempt that is looked after every so often to its end: what went where, and how long it took.
fn run(every: Duration) -> (Vec<PathAddress>, Duration, usize) {
    let begin = start();
    let mut birthday = attempt(begin);
    let mut random = LinkRandom::new([7; 32]);
    let (mut sent, mut most, mut now) = (Vec::new(), 0, begin);
    while let Some(to) = birthday.on_timeout(now, &mut random) {
        most = most.max(to.len());
        sent.extend(to);
        now += every;
    }
    (sent, now - begin, most)
}

#[test]
fn every_socket_sends_once_and_every_port_is_tried_once() {
    let (sent, took, most) = run(BIRTHDAY_TICK);
    assert_eq!(took, Duration::from_secs(12));
    assert!(most <= 12, "no bursts: {most}");
    let all: BTreeSet<_> = sent.iter().collect();
    assert_eq!((sent.len(), all.len()), (BIRTHDAY_PORTS + BIRTHDAY_SOCKETS, sent.len()));
    let (extra, plain): (Vec<PathAddress>, Vec<PathAddress>) =
        sent.into_iter().partition(|to| matches!(to, PathAddress::Extra(extra) if extra.to == target()));
    assert_eq!((extra.len(), plain.len()), (BIRTHDAY_SOCKETS, BIRTHDAY_PORTS));
    for to in plain {
        let to = to.socket_address().unwrap();
        assert!(to.ip() == target().ip() && to.port() >= FIRST_PORT, "{to}");
    }
}

#[test]
fn late_timers_make_no_bursts_and_no_longer_attempt() {
    let (sent, took, most) = run(Duration::from_secs(1));
    assert!(took <= Duration::from_secs(13), "{took:?}");
    assert!(most <= 2 * MOST_AT_ONCE, "{most}");
    assert!(sent.len() < BIRTHDAY_PORTS, "what did not get its time is not tried");
}

#[test]
fn nothing_is_sent_before_its_time_or_after_the_end() {
    let begin = start();
    let (mut birthday, mut random) = (attempt(begin), LinkRandom::new([7; 32]));
    assert!(!birthday.on_timeout(begin, &mut random).unwrap().is_empty());
    assert_eq!(birthday.on_timeout(begin + BIRTHDAY_TICK / 2, &mut random), Some(Vec::new()));
    birthday.end(BirthdayOutcome::Direct(Duration::from_secs(2)));
    assert_eq!(birthday.on_timeout(begin + Duration::from_secs(60), &mut random), Some(Vec::new()));
    assert_eq!((birthday.next_timeout(), birthday.is_running()), (None, false));
    assert_eq!(
        birthday.status().to_string(),
        "1 ports of 192.0.2.7 tried, 1 sockets opened: direct after 2.0 s"
    );
}

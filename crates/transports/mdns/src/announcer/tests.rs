//! The timers, on a clock that the tests move.

use super::*;

fn start(byte: u8) -> (Announcer, Instant) {
    let now = Instant::now();
    (Announcer::new(&Hashname::from_bytes([byte; 32]), now), now)
}

/// What happens within this time, and when, in milliseconds.
fn run(announcer: &mut Announcer, start: Instant, time: Duration) -> Vec<(u128, Due)> {
    let mut happened = Vec::new();
    loop {
        let at = announcer.next_timeout();
        if at > start + time {
            return happened;
        }
        while let Some(due) = announcer.poll(at) {
            happened.push(((at - start).as_millis(), due));
        }
    }
}

#[test]
fn two_minutes_of_discover_mode_are_a_dozen_announcements_and_three_questions() {
    let (mut announcer, now) = start(0);
    let happened = run(&mut announcer, now, Duration::from_secs(120));
    let times =
        |wanted| -> Vec<_> { happened.iter().filter(|(_, due)| *due == wanted).map(|(at, _)| *at).collect() };
    assert_eq!(
        times(Due::Announce),
        [0, 1_000, 3_000, 7_000, 15_000, 31_000, 47_000, 63_000, 79_000, 95_000, 111_000]
    );
    assert_eq!(times(Due::Ask), [20, 1_020, 3_020]);
}

#[test]
fn an_answer_comes_soon_and_however_many_ask_only_once_a_second() {
    let (mut announcer, begun) = start(0xff);
    run(&mut announcer, begun, Duration::from_secs(40));
    let asked = begun + Duration::from_secs(40);
    for _ in 0..1_000 {
        announcer.asked(asked);
    }
    let happened = run(&mut announcer, begun, Duration::from_millis(40_900));
    assert_eq!(happened, [(40_120, Due::Announce)]);
    announcer.asked(begun + Duration::from_millis(40_200));
    let happened = run(&mut announcer, begun, Duration::from_secs(46));
    assert_eq!(happened, [(41_120, Due::Announce)]);
}

#[test]
fn an_announcement_that_is_due_is_the_answer() {
    let (mut announcer, now) = start(0);
    announcer.asked(now);
    let happened = run(&mut announcer, now, Duration::from_millis(900));
    assert_eq!(happened, [(0, Due::Announce), (20, Due::Ask)]);
}

#[test]
fn on_a_new_network_it_begins_anew() {
    let (mut announcer, begun) = start(0);
    run(&mut announcer, begun, Duration::from_secs(40));
    let changed = begun + Duration::from_secs(40);
    announcer.restart(changed);
    let happened = run(&mut announcer, changed, Duration::from_secs(1));
    assert_eq!(happened, [(0, Due::Announce), (20, Due::Ask), (1_000, Due::Announce)]);
}

//! One controller on a line that is a formula: what it does with losses that are the line's, and with those that it causes.
#![allow(clippy::disallowed_methods, reason = "a test starts from some instant")]

use super::*;

const PACKET: u64 = 1_200;

/// A line with a round trip, a rate, a queue, and losses of its own: one packet in so many.
struct Line {
    controller: Tolerant,
    now: Instant,
    rtt: Duration,
    /// Bytes a second.
    rate: f64,
    /// Bytes that wait before more is dropped.
    queue: f64,
    one_in: Option<u64>,
    sent: u64,
    delivered: u64,
}

impl Line {
    fn new(rtt: u64, queue: f64, one_in: Option<u64>) -> Self {
        let controller = Tolerant::new(1_200);
        let rtt = Duration::from_millis(rtt);
        Self { controller, now: Instant::now(), rtt, rate: 12.5e6, queue, one_in, sent: 0, delivered: 0 }
    }

    /// Bytes that the line holds without a queue.
    fn holds(&self) -> f64 {
        self.rate * self.rtt.as_secs_f64()
    }

    /// A window is sent, and heard of one round trip later: what the line lost by itself, and what no queue had room for.
    fn round(&mut self) {
        let window = self.controller.window();
        let waiting = (window as f64 - self.holds()).max(0.0);
        let fits = (self.holds() + self.queue) as u64;
        let rtt = self.rtt + Duration::from_secs_f64(waiting.min(self.queue) / self.rate);
        let sent = self.now;
        self.controller.on_sent(sent, window, 0);
        self.now += rtt;
        let (mut lost, mut arrived) = (window.saturating_sub(fits), 0);
        for _ in 0..window.min(fits) / PACKET {
            self.sent += 1;
            if self.one_in.is_some_and(|one_in| self.sent.is_multiple_of(one_in)) {
                lost += PACKET;
            } else {
                arrived += PACKET;
                self.controller.acknowledged(self.now, sent, PACKET, false, rtt);
            }
        }
        if lost > 0 {
            self.controller.on_congestion_event(self.now, sent, false, lost);
        }
        self.delivered += arrived;
        // The next window leaves later than anything that was heard of.
        self.now += Duration::from_micros(1);
    }

    /// The share of the line that is used, over this many round trips.
    fn used(&mut self, rounds: u32) -> f64 {
        let (begin, before) = (self.now, self.delivered);
        for _ in 0..rounds {
            self.round();
        }
        (self.delivered - before) as f64 / (self.now - begin).as_secs_f64() / self.rate
    }
}

#[test]
fn random_losses_leave_most_of_a_line_in_use() {
    // CUBIC would have fewer than forty packets in flight at 1%, of the thousand that this line holds, and six at 12%.
    for (one_in, least) in [(100, 0.8), (20, 0.6), (8, 0.4)] {
        let mut line = Line::new(100, 1.25e6, Some(one_in));
        line.used(50);
        let used = line.used(200);
        assert!(used > least, "one in {one_in} lost, {used:.2} of the line in use");
    }
}

#[test]
fn slow_start_goes_on_through_random_losses_until_the_line_is_full() {
    let mut line = Line::new(100, 1.25e6, Some(50));
    line.used(9);
    let window = line.controller.window() as f64;
    assert!(window > line.holds() / 2.0, "{window} of {} bytes after nine round trips", line.holds());
}

#[test]
fn a_full_queue_is_congestion_and_the_window_falls_as_cubics_does() {
    let mut line = Line::new(100, 1.25e6, None);
    line.used(30);
    let mut falls = 0;
    for _ in 0..400 {
        let before = line.controller.window();
        line.round();
        let after = line.controller.window();
        if after < before {
            falls += 1;
            let share = after as f64 / before as f64;
            assert!((0.69..0.71).contains(&share), "from {before} to {after}");
        }
    }
    assert!(falls > 2, "the queue was never full");
}

#[test]
fn where_nothing_queues_what_is_sent_in_vain_is_bounded() {
    // A policer: what exceeds the rate is dropped at once, and round trips tell nothing.
    let mut line = Line::new(100, 0.0, None);
    for round in 0..400 {
        line.round();
        let window = line.controller.window() as f64;
        assert!(
            round < 20 || window < line.holds() * 1.4,
            "{window} in flight, the line holds {}",
            line.holds()
        );
    }
}

#[test]
fn marks_and_persistent_congestion_are_never_taken_for_random_losses() {
    let mut line = Line::new(100, 1.25e6, Some(50));
    line.used(40);
    let (before, later) = (line.controller.window(), line.now + Duration::from_micros(1));
    line.controller.on_congestion_event(later, later, false, 0);
    assert_eq!(line.controller.window(), (before as f64 * BETA) as u64);
    let later = later + Duration::from_micros(1);
    line.controller.on_congestion_event(later, later, true, PACKET);
    assert_eq!(line.controller.window(), LEAST_PACKETS * PACKET);
}

#[test]
fn losses_of_one_round_trip_are_one_event() {
    let mut line = Line::new(100, 1.25e6, None);
    line.used(3);
    let sent = line.now;
    line.now += Duration::from_millis(300);
    line.controller.delivery.last = Some(Duration::from_millis(300));
    line.controller.on_congestion_event(line.now, sent, false, PACKET);
    let once = line.controller.window();
    line.controller.on_congestion_event(line.now, sent, false, PACKET);
    assert_eq!(line.controller.window(), once);
}

//! Congestion control: CUBIC (RFC 9438) that does not take every loss for congestion.
//!
//! CUBIC alone falls to a few packets in flight where a radio, or a bad line, loses packets at random: at 5% loss and a
//! round trip of 100 ms it uses less than a hundredth of a line of 100 Mbit/s. What tells such losses from congestion is
//! what reaches the other side, and how long it takes: a full queue makes round trips longer, and more in flight then
//! brings no more there. So, when something is lost while round trips show no queue,
//! - the window does not become less than what was delivered in the last round trips needs (as TCP Westwood does: Mascolo
//!   et al., "TCP Westwood: Bandwidth Estimation for Enhanced Transport over Wireless Links", 2001), and somewhat more
//!   ([`TOLERANCE`]), which makes up for the lost share;
//! - slow start goes on as long as each round trip delivers clearly more than the one before, as BBR's startup does.
//!
//! Where round trips do show a queue, a loss is what it is for CUBIC. ECN marks always are. So this controller shares a
//! bottleneck with CUBIC as CUBIC does, unless its queue is shorter than a sixteenth of the round trip ([`QUIET`]).

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory};

/// Multiplicative decrease (RFC 9438, section 4.6).
const BETA: f64 = 0.7;

/// Aggressiveness of growth in packets per second cubed (RFC 9438, section 5).
const C: f64 = 0.4;

/// Packets a round trip by which a window grows that is at least as fast as Reno's (RFC 9438, section 4.3).
const RENO_FRIENDLY: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The least window in packets: with fewer in flight a loss is seen by a timer only, since three later ones must have
/// arrived to show it.
const LEAST_PACKETS: u64 = 4;

/// Bytes in flight at the start (RFC 9002, section 7.2, with packets of 1,200 bytes).
const INITIAL_WINDOW: u64 = 12_000;

/// By how much a window may exceed what was delivered a round trip, where nothing shows a queue. It makes up for losses of
/// up to one in six; BBR has 1.25 for its probes. Behind a policer that drops without a queue, it is the share of what we
/// send in vain.
const TOLERANCE: f64 = 1.2;

/// A round trip shows no queue if the quickest packet of it took longer than the quickest of all by less than this share. The
/// quickest, since others may have waited for a processor or for their acknowledgement.
const QUIET: f64 = 1.0 / 16.0;

/// By how much each round trip of slow start must deliver more than the one before. Undisturbed it is twice as much.
const GROWTH: f64 = 1.25;

/// Round trips that are remembered: the best of them counts, since single ones are short of luck.
const ROUNDS: usize = 3;

/// Makes controllers for the state machine.
#[derive(Debug, Default)]
pub(crate) struct TolerantConfig;

impl ControllerFactory for TolerantConfig {
    fn build(self: Arc<Self>, _now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Tolerant::new(current_mtu))
    }
}

/// See the module.
#[derive(Debug, Clone)]
struct Tolerant {
    /// Bytes that may be in flight.
    window: u64,
    /// Below this, slow start.
    threshold: u64,
    packet: u64,
    /// Losses of what was sent up to here belong to an event that was heard.
    heard: Option<Instant>,
    /// The window does not grow for what was sent up to here: it was too much.
    recovering: Option<Instant>,
    curve: Curve,
    delivery: Delivery,
}

impl Tolerant {
    fn new(packet: u16) -> Self {
        Self {
            window: INITIAL_WINDOW,
            threshold: u64::MAX,
            packet: packet.into(),
            heard: None,
            recovering: None,
            curve: Curve::default(),
            delivery: Delivery::default(),
        }
    }

    fn least(&self) -> u64 {
        LEAST_PACKETS * self.packet
    }

    /// Bytes that were sent then have arrived; `rtt` is the smoothed round trip.
    fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: Duration) {
        self.delivery.acknowledged(now, sent, bytes);
        if app_limited || self.recovering.is_some_and(|until| sent <= until) {
            return;
        }
        if self.window < self.threshold {
            self.window += bytes;
        } else {
            self.window += self.curve.growth(now, bytes, self.window, self.packet, rtt);
        }
    }
}

impl Controller for Tolerant {
    fn on_sent(&mut self, now: Instant, _bytes: u64, _last_packet_number: u64) {
        self.delivery.sent(now);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.acknowledged(now, sent, bytes, app_limited, rtt.get());
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        if self.heard.is_some_and(|until| sent <= until) {
            return;
        }
        self.heard = Some(now);
        let is_mark = lost_bytes == 0;
        let is_quiet = self.delivery.is_quiet() && !is_mark && !is_persistent;
        if is_quiet && self.window < self.threshold && self.delivery.is_growing() {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "windows are far below 2^52 bytes")]
        let before = self.window as f64;
        let kept = if is_quiet { self.delivery.needed() * TOLERANCE } else { 0.0 };
        let after = (before * BETA).max(kept).min(before);
        if !is_quiet {
            self.recovering = Some(now);
        }
        self.window = bytes(after).max(self.least());
        self.threshold = self.window;
        if after < before {
            self.curve.restart(now, before, after, self.packet);
        }
        if is_persistent {
            self.window = self.least();
            self.recovering = None;
            self.curve = Curve::default();
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.packet = new_mtu.into();
        self.window = self.window.max(self.least());
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// CUBIC's curve from one loss to the next (RFC 9438, section 4.2), in packets.
#[derive(Debug, Clone, Copy, Default)]
struct Curve {
    /// When it began; it begins with the first growth where no loss came before.
    since: Option<Instant>,
    /// Where the window was before the loss, lowered where it had not come back to the one before that (section 4.7).
    plateau: f64,
    /// Seconds until it is there again.
    until_plateau: f64,
    /// What Reno would have by now.
    reno: f64,
    /// Growth in bytes that does not yet make a whole one.
    rest: f64,
}

impl Curve {
    /// A new curve, after the window went from `before` to `after` bytes.
    fn restart(&mut self, now: Instant, before: f64, after: f64, packet: u64) {
        let packet = per(packet);
        let (before, after) = (before / packet, after / packet);
        let plateau = if before < self.plateau { before * (1.0 + BETA) / 2.0 } else { before };
        let until_plateau = ((plateau - after).max(0.0) / C).cbrt();
        *self = Self { since: Some(now), plateau: plateau.max(after), until_plateau, reno: after, rest: 0.0 };
    }

    /// By how many bytes the window grows for `acknowledged` ones.
    fn growth(&mut self, now: Instant, acknowledged: u64, window: u64, packet: u64, rtt: Duration) -> u64 {
        #[allow(clippy::cast_precision_loss, reason = "windows are far below 2^52 bytes")]
        let (acknowledged, window) = (acknowledged as f64, window as f64);
        let size = per(packet);
        let current = window / size;
        let since = *self.since.get_or_insert_with(|| {
            (self.plateau, self.until_plateau, self.reno) = (current, 0.0, current);
            now
        });
        let time = now.saturating_duration_since(since) + rtt;
        let cubic = C * (time.as_secs_f64() - self.until_plateau).powi(3) + self.plateau;
        let pace = if self.reno < self.plateau { RENO_FRIENDLY } else { 1.0 };
        self.reno += pace * acknowledged / window;
        // No more than half as much again a round trip (section 4.4).
        let target = cubic.max(self.reno).clamp(current, current * 1.5);
        self.rest += (target - current) / current * acknowledged;
        let whole = bytes(self.rest);
        self.rest -= self.rest.trunc();
        whole
    }
}

/// How much reaches the other side and how quickly, round trip by round trip.
#[derive(Debug, Clone, Copy, Default)]
struct Delivery {
    /// When the current round trip began: it ends with the acknowledgement of something sent later.
    begun: Option<Instant>,
    bytes: u64,
    /// The quickest packet of the current round trip, of the last one, and of all.
    current: Option<Duration>,
    last: Option<Duration>,
    shortest: Option<Duration>,
    /// Bytes a second of the last round trips, the latest first.
    rates: [f64; ROUNDS],
}

impl Delivery {
    fn sent(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
    }

    fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.bytes += bytes;
        let took = now.saturating_duration_since(sent);
        self.current = Some(self.current.map_or(took, |least| least.min(took)));
        self.shortest = Some(self.shortest.map_or(took, |least| least.min(took)));
        let Some(begun) = self.begun.filter(|begun| sent >= *begun) else { return };
        let time = now.saturating_duration_since(begun).as_secs_f64();
        if time <= 0.0 {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a round trip carries far fewer than 2^52 bytes")]
        let rate = self.bytes as f64 / time;
        self.rates.rotate_right(1);
        if let Some(latest) = self.rates.first_mut() {
            *latest = rate;
        }
        self.last = self.current.take();
        self.begun = Some(now);
        self.bytes = 0;
    }

    /// Whether the last round trip shows no queue.
    fn is_quiet(&self) -> bool {
        let both = self.last.zip(self.shortest);
        both.is_some_and(|(last, shortest)| last.saturating_sub(shortest) < shortest.mul_f64(QUIET))
    }

    /// The window in bytes that needs what was delivered in the best of the last round trips.
    fn needed(&self) -> f64 {
        let best = self.rates.into_iter().fold(0.0, f64::max);
        best * self.shortest.unwrap_or_default().as_secs_f64()
    }

    /// Whether the last one delivered clearly more than those before.
    fn is_growing(&self) -> bool {
        let [latest, before @ ..] = self.rates;
        latest >= before.into_iter().fold(0.0, f64::max) * GROWTH
    }
}

fn per(packet: u64) -> f64 {
    u32::try_from(packet.max(1)).map_or(f64::from(u32::MAX), f64::from)
}

/// Whole bytes of a number that is neither negative nor larger than any window.
fn bytes(value: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as it should")]
    let whole = value as u64;
    whole
}

#[cfg(test)]
mod tests;

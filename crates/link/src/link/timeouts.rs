//! Time: what is due, and when something will be.

use std::time::Instant;

use super::Link;
use crate::state::DownReason;
use crate::timers::REHANDSHAKE;

impl Link {
    /// Does what is due. Call it when [`Link::poll_timeout`] says so; earlier does no harm.
    ///
    /// `wall` is the wall clock in microseconds since 1970; it goes into initiations and is used for nothing else.
    pub fn handle_timeout(&mut self, now: Instant, wall: u64) {
        if self.sessions.expire(now) && self.status.up {
            self.go_down(now, DownReason::SessionExpired);
        }
        if self.status.up {
            self.run_renewal(now);
            if self.paths.unheard_since().is_some_and(|since| now >= since + REHANDSHAKE) {
                self.start_attempt(now, true);
            }
            let due = self.paths.on_timeout(now);
            if !due.is_empty() && self.paths.is_lost() {
                self.need_path();
            }
            for address in due {
                self.queue_probe(now, address);
            }
            self.ask_for_width(now);
            self.run_birthday(now);
        }
        self.run_attempt(now, wall);
        self.timeout = self.next_timeout();
    }

    /// The earliest time at which something is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.next_timeout();
        let connecting = self.connecting.next_timeout();
        let mut times = [sessions, connecting, None, None, None, None];
        if self.status.up {
            let silence = self.paths.unheard_since().filter(|_| !self.connecting.is_trying());
            times = [
                sessions,
                connecting,
                self.renewal_timeout(),
                self.paths.next_timeout(),
                silence.map(|since| since + REHANDSHAKE),
                self.paths.birthday.as_ref().and_then(|birthday| birthday.next_timeout()),
            ];
        }
        times.into_iter().flatten().min()
    }

    /// The peer has closed the link.
    pub(super) fn close_by_peer(&mut self, now: Instant, reason: DownReason) {
        self.connecting.closed_by_peer(now);
        self.go_down(now, reason);
    }
}

//! Birthday probing by a link: when it may begin, what it sends, and how it ends.

use std::time::Instant;

use telemesh_wire::PathAddress;

use super::Link;
use super::transmit::Outgoing;
use crate::birthday::{Birthday, BirthdayOutcome, BirthdayRefusal};
use crate::state::Event;
use crate::timers::BIRTHDAY_AGAIN;

impl Link {
    /// Begins to try many ports of the peer's address, since nothing but a router leads to it. Where the peer is it must have
    /// said in an authenticated message just now, and be about to do the same. [`Event::BirthdayOver`] says that it is over.
    ///
    /// For its other half, give it paths from extra sockets with [`Link::use_extra_sockets`].
    ///
    /// # Errors
    ///
    /// Why it does not begin; it must not be asked for by the peer more often than the budget has it.
    pub fn begin_birthday(&mut self, now: Instant, to: PathAddress) -> Result<(), BirthdayRefusal> {
        let routed = self.paths.active().is_some_and(|active| !active.address.is_direct());
        if !self.status.up || !routed {
            return Err(BirthdayRefusal::NotNeeded);
        }
        let PathAddress::Udp(address) = to.canonical() else { return Err(BirthdayRefusal::Unusable) };
        if !address.is_ipv4() {
            return Err(BirthdayRefusal::Unusable);
        }
        let last = self.paths.birthday.as_ref().map(|birthday| birthday.began);
        if last.is_some_and(|began| now < began + BIRTHDAY_AGAIN)
            || !self.config.budget.take_birthday(now, &to)
        {
            return Err(BirthdayRefusal::TooSoon);
        }
        self.paths.birthday = Some(Box::new(Birthday::new(now, address)));
        self.wake_at(now);
        Ok(())
    }

    /// Lets the attempt that has begun send from these paths, too: [`PathAddress::Extra`], one for each extra socket.
    pub fn use_extra_sockets(&mut self, extra: Vec<PathAddress>) {
        if let Some(birthday) = self.paths.birthday.as_mut().filter(|birthday| birthday.is_running()) {
            birthday.send_from(extra);
        }
    }

    /// Whether anything came from the peer on this path and it is one still: otherwise its extra socket is of no use.
    #[must_use]
    pub fn needs_extra_socket(&self, path: &PathAddress) -> bool {
        self.is_birthday_running() || self.is_heard_on(path)
    }

    /// Whether many ports are being tried.
    #[must_use]
    pub fn is_birthday_running(&self) -> bool {
        self.paths.birthday.as_ref().is_some_and(|birthday| birthday.is_running())
    }

    pub(super) fn run_birthday(&mut self, now: Instant) {
        let Some(birthday) = &mut self.paths.birthday else { return };
        match birthday.on_timeout(now, &mut self.random) {
            Some(all) => all.into_iter().for_each(|to| self.queue(Outgoing::Knock { to })),
            None => self.end_birthday(BirthdayOutcome::Unanswered),
        }
    }

    /// Data goes straight to the peer, whatever has brought that about.
    pub(super) fn birthday_succeeded(&mut self, now: Instant) {
        if let Some(birthday) = &self.paths.birthday {
            let took = now.saturating_duration_since(birthday.began);
            self.end_birthday(BirthdayOutcome::Direct(took));
        }
    }

    pub(super) fn end_birthday(&mut self, outcome: BirthdayOutcome) {
        if let Some(birthday) = self.paths.birthday.as_mut().filter(|birthday| birthday.is_running()) {
            birthday.end(outcome);
            self.emit(Event::BirthdayOver(outcome));
        }
    }
}

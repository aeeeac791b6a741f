//! Sending: what waits to go out, the batch that data is sealed into, and messages of unreliable channels.

use std::time::Instant;

use telemesh_wire::{CloseReason, Control, NoiseMessage, PathAddress, socket_address_to_bytes};

use super::Link;
use crate::counters::DropReason;
use crate::fragment::{self, FRAGMENT_HEADER_SIZE, MAX_HALF};
use crate::packet::{
    CIRCUIT_HEADER_SIZE, DATA_MAX_SIZE, DATA_OVERHEAD, HANDSHAKE_SIZE, Inner, circuit_header,
};
use crate::state::PingId;
use crate::timers::{BUDGET_WAIT, MAX_QUEUED};

/// Plaintext of a probe on a proven path: type, token, and room for an IPv6 address and port in the answer.
const PROBE_SIZE: usize = 1 + 8 + 18;

/// Plaintext of a probe that asks whether the engine's smallest packets pass whole: as long as one of them.
const WIDTH_PROBE_SIZE: usize = 1_200;

/// Where a batch of sealed packets goes, and the size of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Destination of all of them.
    pub to: PathAddress,
    /// Size of each packet in bytes; the last one may be shorter.
    pub segment: usize,
}

/// Why a message was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// There is no session, or no path.
    #[error("the link is down")]
    Down,
    /// It does not fit two packets.
    #[error("a message on this path has at most {max} bytes")]
    TooLarge {
        /// The longest message.
        max: usize,
    },
}

/// A packet that waits for the caller.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Complete as it is: handshakes, and a close whose session is gone by now.
    Ready {
        to: PathAddress,
        packet: Box<[u8]>,
    },
    Probe {
        to: PathAddress,
        ping: Option<PingId>,
    },
    /// As large as the engine's smallest packets, see [`Width`](crate::path::Width).
    WidthProbe {
        to: PathAddress,
    },
    /// `room` is the size of the probe: the answer is not larger, so that it cannot be aimed at anybody.
    ProbeAnswer {
        to: PathAddress,
        token: [u8; 8],
        room: usize,
    },
    /// Nothing, to an address that is no path yet: so that the NATs in between know it, and the peer hears of us.
    Knock {
        to: PathAddress,
    },
    /// Goes on the path in use.
    Control(Vec<u8>),
}

impl Link {
    /// Appends the next packet that the link itself has to send to `out`, and returns where it goes. Call it until it
    /// returns `None`, after every other call that takes `now`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<PathAddress> {
        while let Some(outgoing) = self.queues.outgoing.pop_front() {
            if let Some(to) = self.write(now, outgoing, out) {
                return Some(to);
            }
        }
        if std::mem::take(&mut self.status.confirm_due) {
            // Nothing else went out under the new session. A probe rather than an empty packet, because its answer says
            // that the peer has the session too; without one it is repeated like any probe.
            let to = self.paths.active()?.address;
            return self.write(now, Outgoing::Probe { to, ping: None }, out);
        }
        None
    }

    /// One packet, in a circuit packet if it goes into a circuit.
    fn write(&mut self, now: Instant, outgoing: Outgoing, out: &mut Vec<u8>) -> Option<PathAddress> {
        let to = match &outgoing {
            Outgoing::Ready { to, .. }
            | Outgoing::Probe { to, .. }
            | Outgoing::WidthProbe { to }
            | Outgoing::Knock { to }
            | Outgoing::ProbeAnswer { to, .. } => *to,
            Outgoing::Control(_) => self.paths.active()?.address,
        };
        let start = out.len();
        write_circuit(&to, out);
        let written = self.write_inner(now, to, outgoing, out);
        if written.is_none() {
            out.truncate(start);
        }
        written.map(|()| to)
    }

    fn write_inner(
        &mut self,
        now: Instant,
        to: PathAddress,
        outgoing: Outgoing,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match outgoing {
            Outgoing::Ready { packet, .. } => out.extend_from_slice(&packet),
            Outgoing::Probe { ping, .. } => {
                let token: [u8; 8] = self.random.bytes();
                // Full size the first time, so that the answer proves that the path carries it.
                let proven = self.paths.get(&to)?.was_proven();
                let size = if proven { PROBE_SIZE } else { HANDSHAKE_SIZE - DATA_OVERHEAD };
                let mut body = token.to_vec();
                body.resize(size - 1, 0);
                self.sessions.current_mut()?.seal(&[Inner::PROBE], &body, out).ok()?;
                self.paths.probing(now, &to, token);
                if let Some(id) = ping {
                    self.remember_ping(id, token);
                }
                self.sent_under_session(now, &to);
            }
            Outgoing::WidthProbe { .. } => {
                let token: [u8; 8] = self.random.bytes();
                let mut body = token.to_vec();
                body.resize(WIDTH_PROBE_SIZE - 1, 0);
                self.sessions.current_mut()?.seal(&[Inner::PROBE], &body, out).ok()?;
                self.paths.probing_width(now, &to, token);
                self.paths.sent_unasked(now, &to);
            }
            Outgoing::ProbeAnswer { token, room, .. } => {
                let mut body = token.to_vec();
                let observed = to.socket_address().map(socket_address_to_bytes).unwrap_or_default();
                if 1 + body.len() + observed.len() <= room {
                    body.extend(observed);
                }
                self.sessions.current_mut()?.seal(&[Inner::PROBE_ANSWER], &body, out).ok()?;
                self.paths.sent_unasked(now, &to);
                self.status.confirm_due = false;
            }
            Outgoing::Knock { .. } => self.sessions.current_mut()?.seal(&[], &[], out).ok()?,
            Outgoing::Control(message) => {
                self.sessions.current_mut()?.seal(&[Inner::CONTROL], &message, out).ok()?;
                self.paths.sent_unasked(now, &to);
                self.status.confirm_due = false;
            }
        }
        Some(())
    }

    /// Something went out under the current session that the peer will answer, if it arrives.
    fn sent_under_session(&mut self, now: Instant, to: &PathAddress) {
        // On a path that was never tried it may not: the peer learns of the session by what takes the path in use.
        if self.paths.active().is_none_or(|path| path.address == *to) {
            self.status.confirm_due = false;
        }
        let next = self.next_timeout();
        if let Some(at) = next {
            self.wake_at(at.max(now));
        }
    }

    /// Seals engine packets: the hot path.
    ///
    /// `payloads` holds packets of `segment` bytes each (the last may be shorter). For each one header, ciphertext and
    /// tag are appended to `out`: one copy, no allocation when `out` has the room
    /// (`payloads.len() + 44 * number of packets`). Their counters are consecutive. On a path that
    /// [is narrow](Link::is_narrow) a single packet is taken, and goes in two halves.
    ///
    /// `None`, and `out` as before, when there is no confirmed session or no path, or a packet would be too large.
    pub fn seal_batch(
        &mut self,
        now: Instant,
        payloads: &[u8],
        segment: usize,
        out: &mut Vec<u8>,
    ) -> Option<Batch> {
        if payloads.is_empty() || segment == 0 || segment.min(payloads.len()) > DATA_MAX_SIZE - DATA_OVERHEAD
        {
            return None;
        }
        if self.is_narrow() {
            return self.seal_halves(now, payloads, out);
        }
        let chunks = payloads.chunks(segment).map(|chunk| ([].as_slice(), chunk));
        self.seal_all(now, chunks, out).map(|to| Batch { to, segment: packet_size(&to, segment) })
    }

    /// Whether the engine's packets may be too large for the path in use, so that [`Link::seal_batch`] takes one at a time.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.paths.is_narrow()
    }

    /// Seals a plaintext as two halves, of which the second is never the longer one.
    fn seal_halves(&mut self, now: Instant, plaintext: &[u8], out: &mut Vec<u8>) -> Option<Batch> {
        let (first, second) = plaintext.split_at_checked(plaintext.len().div_ceil(2))?;
        if first.len() > MAX_HALF || second.is_empty() {
            return None;
        }
        let number = self.fragments.next_number;
        self.fragments.next_number = number.wrapping_add(1);
        let heads = [fragment::header(number, false), fragment::header(number, true)];
        let [head, tail] = &heads;
        let parts = [(head.as_slice(), first), (tail.as_slice(), second)];
        let to = self.seal_all(now, parts.into_iter(), out)?;
        Some(Batch { to, segment: packet_size(&to, FRAGMENT_HEADER_SIZE + first.len()) })
    }

    /// Seals one message of an unreliable channel, in two halves if it does not fit the path.
    ///
    /// # Errors
    ///
    /// [`MessageError`] when the link is down or the message too long.
    pub fn seal_message(
        &mut self,
        now: Instant,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Batch, MessageError> {
        let max = self.max_message();
        if payload.len() > max {
            return Err(MessageError::TooLarge { max });
        }
        if payload.len() <= self.max_whole_message() {
            let parts = std::iter::once(([Inner::MESSAGE].as_slice(), payload));
            let to = self.seal_all(now, parts, out).ok_or(MessageError::Down)?;
            return Ok(Batch { to, segment: packet_size(&to, 1 + payload.len()) });
        }
        let plaintext = [&[Inner::MESSAGE], payload].concat();
        self.seal_halves(now, &plaintext, out).ok_or(MessageError::Down)
    }

    /// The longest message that [`Link::seal_message`] takes, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        let half = (self.max_plaintext() - FRAGMENT_HEADER_SIZE).min(MAX_HALF);
        self.max_whole_message().max(2 * half - 1)
    }

    /// The longest message that goes out in one packet, in bytes.
    #[must_use]
    pub fn max_whole_message(&self) -> usize {
        self.max_plaintext() - 1
    }

    /// The longest plaintext that one packet takes on the path in use.
    fn max_plaintext(&self) -> usize {
        let circuit = self.paths.active().is_some_and(|path| !path.address.is_direct());
        let header = if circuit { CIRCUIT_HEADER_SIZE } else { 0 };
        self.config.max_datagram - header - DATA_OVERHEAD
    }

    /// Seals packets for the path in use, each from the two parts of its plaintext.
    fn seal_all<'a>(
        &mut self,
        now: Instant,
        parts: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut Vec<u8>,
    ) -> Option<PathAddress> {
        let session = self.sessions.current_mut().filter(|session| !session.is_over(now))?;
        let to = self.paths.active()?.address;
        let start = out.len();
        for (head, body) in parts {
            write_circuit(&to, out);
            if session.seal(head, body, out).is_err() {
                out.truncate(start);
                return None;
            }
        }
        let first_use = !session.is_used();
        session.used(now);
        let renewal = (first_use || session.packets_due()).then(|| session.renew_at());
        self.status.confirm_due = false;
        if let Some(at) = renewal {
            self.wake_at(at.max(now));
        }
        if let Some(at) = self.paths.data_sent(now) {
            self.wake_at(at);
        }
        Some(to)
    }

    pub(super) fn queue(&mut self, outgoing: Outgoing) {
        if self.queues.outgoing.len() >= MAX_QUEUED {
            self.dropped.count(DropReason::QueueFull);
            return;
        }
        self.queues.outgoing.push_back(outgoing);
    }

    /// Queues a probe, unless one is queued already or the budget for unproven addresses is used up.
    pub(super) fn queue_probe(&mut self, now: Instant, to: PathAddress) {
        let queued =
            |outgoing: &Outgoing| matches!(outgoing, Outgoing::Probe { to: other, .. } if *other == to);
        if self.queues.outgoing.iter().any(queued) {
            return;
        }
        let proven = self.paths.get(&to).is_some_and(|path| path.was_proven());
        if proven || self.config.budget.take(now, &to) {
            self.queue(Outgoing::Probe { to, ping: None });
        } else {
            self.paths.postpone(now, &to);
            self.wake_at(now + BUDGET_WAIT);
        }
    }

    pub(super) fn probe_all(&mut self, now: Instant) {
        for address in self.paths.all_unprobed(now) {
            self.queue_probe(now, address);
        }
    }

    pub(super) fn queue_control(&mut self, control: &Control) {
        self.queue(Outgoing::Control(control.encode()));
    }

    /// Seals a close at once, because its session is about to go.
    pub(super) fn seal_close(&mut self, now: Instant, reason: CloseReason) {
        let message = Control::Close { reason }.encode();
        let mut packet = Vec::new();
        let Some(to) = self.paths.active().map(|path| path.address) else { return };
        if self.write_inner(now, to, Outgoing::Control(message), &mut packet).is_some() {
            self.queue(Outgoing::Ready { to, packet: packet.into_boxed_slice() });
        }
    }
}

/// What stands in front of a packet that goes into a circuit.
fn write_circuit(to: &PathAddress, out: &mut Vec<u8>) {
    if let PathAddress::Circuit(circuit) = to {
        out.extend_from_slice(&circuit_header(circuit.id));
    }
}

/// The size of the datagram that carries a plaintext of this size.
fn packet_size(to: &PathAddress, plaintext: usize) -> usize {
    let circuit = matches!(to, PathAddress::Circuit(_));
    plaintext + DATA_OVERHEAD + if circuit { CIRCUIT_HEADER_SIZE } else { 0 }
}

/// A Noise message for a control message.
pub(super) fn noise_message(bytes: &[u8]) -> Option<NoiseMessage> {
    NoiseMessage::new(bytes.to_vec()).ok()
}

//! Receiving: responses and data packets whose slot is this link's.

use std::ops::Range;
use std::time::Instant;

use telemesh_wire::{Control, PathAddress, socket_address_from_bytes};

use super::Link;
use super::transmit::Outgoing;
use crate::counters::DropReason;
use crate::packet::{self, DATA_HEADER_SIZE, DataMut, Inner, PacketKind};
use crate::sessions::Opened;
use crate::state::{DownReason, Event};

/// What a packet held for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// An engine packet, decrypted in place: this range of the packet's bytes.
    Engine(Range<usize>),
    /// A message of an unreliable channel, decrypted in place: this range of the packet's bytes.
    Message(Range<usize>),
    /// An engine packet that came in two halves.
    WholeEngine(Vec<u8>),
    /// A message of an unreliable channel that came in two halves.
    WholeMessage(Vec<u8>),
    /// Nothing: the link itself has dealt with it.
    Nothing,
}

impl Link {
    /// Handles a response, a cookie or a data packet (types 2, 3 and 4) whose receiver index has this link's slot.
    ///
    /// # Errors
    ///
    /// Why the packet was dropped; counted already. Its bytes are undefined then.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        from: PathAddress,
        packet: &mut [u8],
    ) -> Result<Received, DropReason> {
        let result = match packet::classify(packet) {
            Ok(PacketKind::Data) => self.receive_data(now, from, packet),
            Ok(PacketKind::Response) => self.receive_response(now, from, packet).map(|()| Received::Nothing),
            Ok(PacketKind::Cookie) => self.receive_cookie(now, packet).map(|()| Received::Nothing),
            Ok(PacketKind::Initiation | PacketKind::Circuit) => Err(DropReason::UnknownType),
            Err(error) => Err(error.into()),
        };
        if let Err(reason) = result {
            self.dropped.count(reason);
        }
        result
    }

    fn receive_data(
        &mut self,
        now: Instant,
        from: PathAddress,
        packet: &mut [u8],
    ) -> Result<Received, DropReason> {
        let mut data = DataMut::parse(packet)?;
        let index = data.receiver_index;
        let opened = self.sessions.open(now, &mut data);
        if opened == Err(DropReason::Duplicate) {
            self.paths.on_duplicate(now, &from);
        }
        let (opened, length) = opened?;
        match opened {
            Opened::Current if self.status.tag_unspent => self.follow_tags(),
            Opened::Current => {}
            Opened::Previous => {
                if self.sessions.heard_previous(now, self.we_are_higher()) {
                    self.follow_tags();
                }
            }
            Opened::Unconfirmed(place) => self.confirm(now, place)?,
        }
        let end = DATA_HEADER_SIZE + length;
        let plaintext = packet.get(DATA_HEADER_SIZE..end).unwrap_or_default();
        let inner = plaintext.first().map(|&first| Inner::of(first));
        let data = matches!(inner, Some(Some(Inner::Engine | Inner::Message | Inner::Fragment)));
        self.heard_from(now, from, data);
        let Some(inner) = inner else { return Ok(Received::Nothing) };
        match inner.ok_or(DropReason::UnknownInner)? {
            Inner::Engine => {
                self.received_use(now);
                Ok(Received::Engine(DATA_HEADER_SIZE..end))
            }
            Inner::Message => {
                self.received_use(now);
                Ok(Received::Message(DATA_HEADER_SIZE + 1..end))
            }
            Inner::Fragment => self.receive_fragment(now, plaintext),
            Inner::Probe => self.receive_probe(from, plaintext),
            Inner::ProbeAnswer => self.receive_probe_answer(now, plaintext),
            Inner::Control => self.receive_control(now, index, plaintext),
        }
    }

    /// Something other than a keepalive came in under the current session, so the time of its renewal is known now.
    fn received_use(&mut self, now: Instant) {
        let Some(session) = self.sessions.current_mut() else { return };
        if !session.is_used() {
            session.used(now);
            let at = session.renew_at();
            self.wake_at(at.max(now));
        }
    }

    fn receive_fragment(&mut self, now: Instant, plaintext: &[u8]) -> Result<Received, DropReason> {
        self.received_use(now);
        let reassembly = self.fragments.reassembly.get_or_insert_default();
        let whole = reassembly.take(plaintext).map_err(|_| DropReason::Fragment)?;
        let Some(mut whole) = whole else { return Ok(Received::Nothing) };
        match whole.first().copied().and_then(Inner::of) {
            Some(Inner::Engine) => Ok(Received::WholeEngine(whole)),
            Some(Inner::Message) => {
                whole.remove(0);
                Ok(Received::WholeMessage(whole))
            }
            // The link's own messages always fit.
            _ => Err(DropReason::Fragment),
        }
    }

    fn receive_probe(&mut self, from: PathAddress, plaintext: &[u8]) -> Result<Received, DropReason> {
        // What follows the token is padding.
        let (token, _) =
            plaintext.get(1..).and_then(<[u8]>::split_first_chunk).ok_or(DropReason::Malformed)?;
        self.queue(Outgoing::ProbeAnswer { to: from, token: *token, room: plaintext.len() });
        Ok(Received::Nothing)
    }

    fn receive_probe_answer(&mut self, now: Instant, plaintext: &[u8]) -> Result<Received, DropReason> {
        let (token, observed): (&[u8; 8], _) =
            plaintext.get(1..).and_then(<[u8]>::split_first_chunk).ok_or(DropReason::Malformed)?;
        if self.paths.answered_width(token) {
            return Ok(Received::Nothing);
        }
        let (path, rtt, change) = self.paths.answered(now, token).ok_or(DropReason::UnknownProbe)?;
        self.emit_change(now, change);
        if let Some(place) = self.queues.pings.iter().position(|(_, waiting)| waiting == token) {
            let (id, _) = self.queues.pings.remove(place);
            self.emit(Event::Pong { id, rtt, path });
        }
        if let Ok(address) = socket_address_from_bytes(observed) {
            self.observed(path, address);
        }
        if change.is_some() {
            self.wake_at(now);
        }
        Ok(Received::Nothing)
    }

    fn receive_control(
        &mut self,
        now: Instant,
        index: u32,
        plaintext: &[u8],
    ) -> Result<Received, DropReason> {
        let message = plaintext.get(1..).unwrap_or_default();
        match Control::decode(message).map_err(|_| DropReason::Malformed)? {
            Control::Close { .. } if self.sessions.is_outlived(index) => self.sessions.forget_previous(),
            Control::Close { reason } => {
                // Sessions that the peer has begun after it closed this one stay: it is about to use one of them.
                self.sessions.clear_used();
                self.close_by_peer(now, DownReason::ClosedByPeer(reason));
            }
            Control::RenewInitiation { sender_index, noise } => {
                self.receive_renewal(now, index, sender_index, noise.as_bytes())?;
            }
            Control::RenewResponse { sender_index, receiver_index, noise } => {
                self.receive_renewal_answer(now, sender_index, receiver_index, noise.as_bytes())?;
            }
            Control::EngineGone { number } => self.emit(Event::EngineGone { number }),
            _ => return Err(DropReason::UnknownInner),
        }
        Ok(Received::Nothing)
    }
}

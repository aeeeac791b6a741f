//! Circuit packets as they come in: forwarded in whole runs by a router, taken out of their circuit by an endpoint.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use telemesh_channel::{Body, Introduction, Joined, Target};
use telemesh_hashname::Hashname;
use telemesh_link::{CIRCUIT_HEADER_SIZE, PacketKind, circuit_id, classify, set_circuit_id};
use telemesh_transport::Received;
use telemesh_wire::{Circuit, CircuitId, PathAddress};

use crate::clock;
use crate::link::Link;
use crate::outlet::Sent;
use crate::receive::Run;
use crate::shared::Shared;

/// The grant of those for whom this endpoint is a router.
pub(crate) const ROUTER_GRANT: &str = "router";

impl Shared {
    /// Takes a run of packets apart: those of circuits go on together, the others to their links.
    pub(crate) fn take_run(self: &Arc<Self>, received: Received, run: &mut Run) {
        let Received { source, stride, mut contents, .. } = received;
        let stride = if stride == 0 { contents.len().max(1) } else { stride };
        loop {
            let (length, circuit) = leading(&contents, stride);
            let rest = contents.split_off(length);
            match circuit {
                Some(id) => self.take_circuit(source, id, stride, contents, run),
                None => self.dispatch(source, contents, run),
            }
            if rest.is_empty() {
                return;
            }
            contents = rest;
        }
    }

    /// A run of packets of one circuit, from whoever is at this address.
    fn take_circuit(
        self: &Arc<Self>,
        source: PathAddress,
        id: CircuitId,
        stride: usize,
        mut packets: BytesMut,
        run: &mut Run,
    ) {
        // In the order of arrival, as for all packets of a link.
        let Some(from) = self.core.ways.whereabouts.at(&source) else { return self.dropped.no_link() };
        if self.forward(&from, id, stride, &mut packets) {
            return;
        }
        let from = PathAddress::Circuit(Circuit { router: from, id });
        while !packets.is_empty() {
            let mut packet = packets.split_to(stride.min(packets.len()));
            packet.advance(CIRCUIT_HEADER_SIZE.min(packet.len()));
            // Circuits never lead into circuits.
            match classify(&packet) {
                Ok(PacketKind::Circuit) | Err(_) => self.dropped.not_a_packet(),
                Ok(_) => self.dispatch(from, packet, run),
            }
        }
    }

    /// As a router: sends packets on to the other end of their circuit, without a look inside. Whether it is a circuit of ours.
    fn forward(&self, from: &Hashname, id: CircuitId, stride: usize, packets: &mut [u8]) -> bool {
        let to = {
            let mut bridge = self.bridge.lock();
            let Some(bridge) = bridge.as_mut().filter(|bridge| bridge.knows(from, id)) else { return false };
            let size = (u64::try_from(packets.len().div_ceil(stride)), u64::try_from(packets.len()));
            let size = (size.0.unwrap_or(u64::MAX), size.1.unwrap_or(u64::MAX));
            bridge.forward(clock::now(), from, id, size)
        };
        let Some((to, id)) = to else { return true };
        // A link without a direct path is none that circuits could lead to.
        let Some(address) = self.core.ways.whereabouts.of(&to) else { return true };
        packets.chunks_mut(stride).for_each(|packet| set_circuit_id(packet, id));
        if let Sent::Part(sent) = self.core.send(address, stride, packets) {
            // Lost, as on the way: whoever fills our buffers has to notice.
            let lost = packets.len().saturating_sub(sent).div_ceil(stride);
            self.dropped.blocked(u64::try_from(lost).unwrap_or(u64::MAX));
        }
        true
    }

    /// As a router: joins the asker to whom it asks for, if either is one for whom this endpoint is a router. `None` is silence,
    /// whatever the reason.
    pub(crate) fn join(&self, asker: &Hashname, introduction: &Introduction) -> Option<Joined> {
        if let Body::Seen { who, .. } = &introduction.body {
            return (who == asker).then(|| self.show(asker, introduction.circuit))?;
        }
        let trust = &self.core.trust;
        let (target, may) = match &introduction.target {
            // Whoever is no contact is led only to whom it has a ticket for.
            Target::Hashname(target) => {
                let granted = trust.has_grant(asker, ROUTER_GRANT) || trust.has_grant(target, ROUTER_GRANT);
                (*target, granted && trust.contact(asker).is_some())
            }
            Target::Ticket(ticket) => {
                let target = self.ticket_holder(ticket)?;
                (target, trust.has_grant(&target, ROUTER_GRANT))
            }
        };
        let target = &target;
        let shown = match &introduction.body {
            Body::Keys(info) => info.hashname() == *asker,
            Body::Packet(_) | Body::Sealed(_) | Body::Seen { .. } => true,
        };
        // Whoever is reached through a circuit is no end for another one.
        let whereabouts = &self.core.ways.whereabouts;
        if !may || !shown || whereabouts.of(asker).is_none() || whereabouts.of(target).is_none() {
            return None;
        }
        let cell = self.table.read().find(target)?.clone();
        let (now, number) = (clock::now(), introduction.circuit);
        let joined = {
            let mut bridge = self.bridge.lock();
            let bridge = bridge.as_mut()?;
            match trust.contact(asker) {
                Some(_) => bridge.join(now, asker, number, target),
                None => bridge.join_guest(now, asker, number, target),
            }
        };
        let circuit = joined.ok()?;
        Some(Joined { target: Arc::new(Link { cell }), circuit, seen: None })
    }

    /// As a router: an end of a circuit wants the other end to be told where it is seen. That there is the circuit shows that they
    /// may be joined.
    fn show(&self, asker: &Hashname, circuit: CircuitId) -> Option<Joined> {
        let seen = self.core.ways.whereabouts.seen_at(asker)?;
        let (target, circuit) = self.bridge.lock().as_mut()?.across(clock::now(), asker, circuit)?;
        let cell = self.table.read().find(&target)?.clone();
        Some(Joined { target: Arc::new(Link { cell }), circuit, seen: Some(seen) })
    }
}

/// The leading packets of a run that belong together: all of one circuit, or a single one of another kind. Returns their bytes and
/// the circuit.
fn leading(contents: &[u8], stride: usize) -> (usize, Option<CircuitId>) {
    let mut packets = contents.chunks(stride);
    let first = packets.next().unwrap_or_default();
    let Some(id) = circuit_id(first) else { return (first.len(), None) };
    let more: usize = packets.take_while(|packet| circuit_id(packet) == Some(id)).map(<[u8]>::len).sum();
    (first.len() + more, Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, id: u8, size: usize) -> Vec<u8> {
        let mut packet = vec![0; size];
        packet[0] = kind;
        packet[4] = id;
        packet
    }

    #[test]
    fn packets_of_one_circuit_stay_together_and_others_go_alone() {
        let packets = [packet(5, 1, 60), packet(5, 1, 60), packet(4, 1, 60), packet(5, 2, 50)].concat();
        let (first, id) = leading(&packets, 60);
        assert_eq!((first, id.is_some()), (120, true));
        assert_eq!(leading(&packets[120..], 60), (60, None));
        let (last, other) = leading(&packets[180..], 60);
        assert_eq!(last, 50);
        assert_ne!(other, id);
        assert_eq!(leading(&[], 60), (0, None));
    }
}

//! What must always hold.

use std::time::Instant;

use telemesh_link::{DropReason, Gate, HANDSHAKE_SIZE, Link, MAX_CANDIDATES, PacketKind, State, classify};
use telemesh_wire::PathAddress;

use super::actions::{RACER, REPLAYER};
use super::world::{Node, STRANGER, Taken, address};

/// Packets go only where the owner said, or where something authentic came from; and they are packets.
pub(super) fn may_send(node: &Node, place: usize, to: &PathAddress, bytes: &[u8]) {
    let kind = classify(bytes);
    assert!(kind.is_ok(), "no packet was sent: {kind:?}");
    assert_ne!(*to, PathAddress::Udp(REPLAYER), "who only repeats and makes up was answered");
    if place != STRANGER {
        assert_ne!(*to, PathAddress::Udp(address(STRANGER)), "a stranger was answered");
    }
    assert!(node.told.contains(to), "sent to {to}, from where nothing authentic came");
}

/// Only who is public by choice answers somebody whom it has not let in, and with less than it got.
pub(super) fn may_give(gate: &Gate, cookie: &[u8]) {
    assert!(gate.is_public(), "a stranger was answered");
    assert_eq!(classify(cookie), Ok(PacketKind::Cookie));
    assert!(cookie.len() < HANDSHAKE_SIZE, "an answer larger than the question");
}

/// What the owner sends goes where somebody has shown that he is there.
pub(super) fn is_proven(node: &Node, to: &PathAddress) {
    assert_ne!(*to, PathAddress::Udp(RACER), "data went where nothing was proven");
    let in_use = node.link.path().map(|path| path.address);
    assert_eq!(in_use.as_ref(), Some(to), "data went elsewhere than on the path in use");
}

/// Whatever comes in, a link holds no more than this.
pub(super) fn bounded(link: &Link, events: usize, packets: usize) {
    assert!(link.paths().count() <= MAX_CANDIDATES, "too many paths");
    assert!(events <= MOST_QUEUED + 1, "{events} events at once");
    assert!(packets <= MOST_QUEUED + 1, "{packets} packets at once");
    if link.state() == State::Up {
        assert!(link.about().is_some(), "up, and nobody said so");
    }
}

/// A packet that was not authentic changes nothing that could be seen from outside.
pub(super) fn nothing_to_send(link: &mut Link, now: Instant, taken: Taken) {
    let mut out = Vec::new();
    let to = link.poll_transmit(now, &mut out);
    assert_eq!(to, None, "something was sent because of a packet that was {taken:?}");
}

/// What may follow from bytes that were handed to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// They were the peer's: their source may be answered.
    Authentic,
    /// Packets to where the endpoint would send anyway, but not to the source because of these bytes.
    Elsewhere,
    Nothing,
}

pub(super) fn effect(taken: Taken) -> Effect {
    match taken {
        Taken::Yes | Taken::Accepted(_) => Effect::Authentic,
        // Dropped for what was inside, so after the packet has shown whose it is.
        Taken::Dropped(
            DropReason::Malformed
            | DropReason::UnknownInner
            | DropReason::UnknownProbe
            | DropReason::Fragment,
        ) => Effect::Authentic,
        // Maybe the peer has lost its store: the link initiates on the paths that it has.
        Taken::Refused(DropReason::Stale) => Effect::Elsewhere,
        // The next initiation may go out at once, to where the last one went.
        Taken::Cookie => Effect::Elsewhere,
        Taken::Dropped(_) | Taken::Refused(_) | Taken::Unproven | Taken::No => Effect::Nothing,
    }
}

/// Queues of a link hold four things for each candidate.
const MOST_QUEUED: usize = 4 * MAX_CANDIDATES;

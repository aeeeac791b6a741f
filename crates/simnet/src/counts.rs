//! What happened, in numbers: every fault has a counter, so that a test can show that it fired.

use std::ops::AddAssign;

/// Why a datagram was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Lost on the way, by [`Conditions::loss`](crate::Conditions::loss).
    Loss,
    /// Sender and receiver were partitioned when it was sent or when it arrived.
    Partition,
    /// The queue before a bottleneck was full.
    QueueFull,
    /// Larger than the route's MTU.
    TooBig,
    /// Nobody has the destination address in any realm that the sender reaches.
    NoRoute,
    /// The destination address went away while the datagram was on its way, or its NAT still maps to an
    /// address that is gone.
    AddressGone,
    /// The host has no socket on that port.
    PortClosed,
    /// The NAT has no mapping for its external address and port: never had, or it timed out, or was forgotten.
    NatUnsolicited,
    /// The NAT has a mapping, but its filter does not let this sender in.
    NatFiltered,
    /// Sent from inside a NAT to its own external address, and it does not hairpin.
    NatHairpin,
    /// The NAT has no free external port.
    NatPortsExhausted,
    /// The NAT lets nothing out to this destination port.
    NatEgress,
}

impl DropReason {
    /// All of them, in the order of declaration.
    pub const ALL: [DropReason; 12] = [
        DropReason::Loss,
        DropReason::Partition,
        DropReason::QueueFull,
        DropReason::TooBig,
        DropReason::NoRoute,
        DropReason::AddressGone,
        DropReason::PortClosed,
        DropReason::NatUnsolicited,
        DropReason::NatFiltered,
        DropReason::NatHairpin,
        DropReason::NatPortsExhausted,
        DropReason::NatEgress,
    ];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Counters of a network or of one pair of hosts.
///
/// At every moment `sent + duplicated == delivered + dropped_in_all() + Network::in_flight()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Datagrams that [`Network::send`](crate::Network::send) took.
    pub sent: u64,
    /// Datagrams that [`Network::deliver`](crate::Network::deliver) gave out.
    pub delivered: u64,
    /// Copies that were delayed by more than nothing.
    pub delayed: u64,
    /// Copies to which jitter added something.
    pub jittered: u64,
    /// Datagrams that waited in a queue for others to pass the bottleneck.
    pub queued: u64,
    /// Copies that were held back, for others to overtake them.
    pub reordered: u64,
    /// Further copies that came into being.
    pub duplicated: u64,
    /// Copies in which a bit was flipped.
    pub corrupted: u64,
    /// Addresses of hosts and NATs that were changed or removed.
    pub address_changes: u64,
    /// NATs that were rebooted.
    pub nat_reboots: u64,
    drops: [u64; DropReason::ALL.len()],
}

/// Something that is counted for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    Sent,
    Delivered,
    Delayed,
    Jittered,
    Queued,
    Reordered,
    Duplicated,
    Corrupted,
    Dropped(DropReason),
}

impl FaultCounts {
    /// Copies that were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()]
    }

    /// Copies that were dropped for whatever reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().sum()
    }

    pub(crate) fn tick(&mut self, tick: Tick) {
        let counter = match tick {
            Tick::Sent => &mut self.sent,
            Tick::Delivered => &mut self.delivered,
            Tick::Delayed => &mut self.delayed,
            Tick::Jittered => &mut self.jittered,
            Tick::Queued => &mut self.queued,
            Tick::Reordered => &mut self.reordered,
            Tick::Duplicated => &mut self.duplicated,
            Tick::Corrupted => &mut self.corrupted,
            Tick::Dropped(reason) => &mut self.drops[reason.index()],
        };
        *counter += 1;
    }
}

impl AddAssign<&FaultCounts> for FaultCounts {
    fn add_assign(&mut self, other: &FaultCounts) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.delayed += other.delayed;
        self.jittered += other.jittered;
        self.queued += other.queued;
        self.reordered += other.reordered;
        self.duplicated += other.duplicated;
        self.corrupted += other.corrupted;
        self.address_changes += other.address_changes;
        self.nat_reboots += other.nat_reboots;
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let mut counts = FaultCounts::default();
        for (position, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position);
            for _ in 0..=position {
                counts.tick(Tick::Dropped(reason));
            }
        }
        for (position, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(counts.dropped(reason), position as u64 + 1);
        }
        assert_eq!(counts.dropped_in_all(), 78);
    }
}

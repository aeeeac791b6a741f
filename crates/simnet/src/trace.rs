//! What happened, in order: a running hash that two runs can compare, and, on request, the events themselves.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{HostId, NatId};
use crate::counts::DropReason;
use crate::time::Nanos;

/// One thing that happened in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// Something happened to a datagram.
    Datagram {
        /// Datagrams are numbered from zero as they are sent; duplicates share the number.
        number: u64,
        /// What happened to it.
        step: Step,
        /// The sender as seen where it happened: `Sent` on the sending host, the rest further on.
        from: SocketAddr,
        /// The destination as seen there: `Delivered` on the receiving host, the rest before.
        to: SocketAddr,
        /// Bytes of payload.
        size: usize,
    },
    /// A host got an address.
    AddressAdded(HostId, IpAddr),
    /// A host lost an address.
    AddressRemoved(HostId, IpAddr),
    /// A NAT's external address became another one.
    NatAddressChanged(NatId, IpAddr),
    /// A NAT forgot its mappings.
    NatRebooted(NatId),
    /// Datagrams from the first host to the second are stopped from now on.
    Blocked(HostId, HostId),
    /// They are no longer.
    Unblocked(HostId, HostId),
}

/// A step in a datagram's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A socket sent it.
    Sent,
    /// A second copy came into being.
    Duplicated,
    /// The bit with this index was flipped in a copy.
    Corrupted(u64),
    /// A copy was held back for others to overtake it.
    Reordered,
    /// A copy reached a socket.
    Delivered,
    /// A copy ended.
    Dropped(DropReason),
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: Hash,
    kept: VecDeque<Event>,
    keep: usize,
}

impl Trace {
    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) fn keep(&mut self, most: usize) {
        self.keep = most;
        let surplus = self.kept.len().saturating_sub(most);
        self.kept.drain(..surplus);
    }

    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> + '_ {
        self.kept.iter()
    }

    pub(crate) fn record(&mut self, at: Nanos, kind: EventKind) {
        self.hash.word(at);
        self.hash.event(&kind);
        if self.keep == 0 {
            return;
        }
        if self.kept.len() == self.keep {
            self.kept.pop_front();
        }
        self.kept.push_back(Event { at: Duration::from_nanos(at), kind });
    }

    /// Payloads belong to the trace, too: a run that sends other bytes at the same times is another run.
    pub(crate) fn record_payload(&mut self, payload: &[u8]) {
        self.hash.bytes(payload);
    }
}

/// A running 64-bit hash by folded multiplication. It finds accidents, not forgeries.
#[derive(Debug, Default)]
struct Hash(u64);

impl Hash {
    fn word(&mut self, word: u64) {
        const MULTIPLIER: u64 = 0x9fb2_1c65_1e98_df25; // Odd, and with its bits well spread.
        let product =
            u128::from(self.0.rotate_left(5) ^ word ^ 0x517c_c1b7_2722_0a95) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64); // Both halves, on purpose.
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // Four at a time: each multiplication waits for the one before it in its lane only.
        let (blocks, bytes_left) = bytes.as_chunks::<32>();
        if !blocks.is_empty() {
            let mut lanes = [Hash(1), Hash(2), Hash(3), Hash(4)];
            for block in blocks {
                let (words, _) = block.as_chunks::<8>();
                for (lane, word) in lanes.iter_mut().zip(words) {
                    lane.word(u64::from_le_bytes(*word));
                }
            }
            lanes.iter().for_each(|lane| self.word(lane.0));
        }
        let (words, rest) = bytes_left.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }

    fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(v4) => self.word(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => {
                self.word((v6.to_bits() >> 64) as u64);
                self.word(v6.to_bits() as u64);
            }
        }
    }

    fn event(&mut self, kind: &EventKind) {
        match *kind {
            EventKind::Datagram { number, step, from, to, size } => {
                self.word(1 | step.code() << 8);
                self.word(number);
                self.ip(from.ip());
                self.ip(to.ip());
                let ports = u64::from(from.port()) << 16 | u64::from(to.port());
                self.word(ports << 32 | size as u64); // At most 65,507.
            }
            EventKind::AddressAdded(host, ip) => self.change(2, host.0, ip),
            EventKind::AddressRemoved(host, ip) => self.change(3, host.0, ip),
            EventKind::NatAddressChanged(nat, ip) => self.change(4, nat.0, ip),
            EventKind::NatRebooted(nat) => self.pair(5, nat.0, 0),
            EventKind::Blocked(from, to) => self.pair(6, from.0, to.0),
            EventKind::Unblocked(from, to) => self.pair(7, from.0, to.0),
        }
    }

    fn change(&mut self, code: u64, who: u32, ip: IpAddr) {
        self.pair(code, who, 0);
        self.ip(ip);
    }

    fn pair(&mut self, code: u64, first: u32, second: u32) {
        self.word(code);
        self.word(u64::from(first) << 32 | u64::from(second));
    }
}

impl Step {
    fn code(self) -> u64 {
        match self {
            Step::Sent => 1,
            Step::Duplicated => 2,
            Step::Corrupted(bit) => 3 | bit << 8,
            Step::Reordered => 4,
            Step::Delivered => 5,
            Step::Dropped(reason) => 6 | (reason as u64) << 8,
        }
    }
}

impl fmt::Display for Event {
    /// One line, made for reading the last events of a failed run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6}s ", self.at.as_secs_f64())?;
        match self.kind {
            EventKind::Datagram { number, step, from, to, size } => {
                write!(f, "#{number} {from} -> {to} {size} bytes: {step:?}")
            }
            EventKind::AddressAdded(host, ip) => write!(f, "host {} gets {ip}", host.0),
            EventKind::AddressRemoved(host, ip) => write!(f, "host {} loses {ip}", host.0),
            EventKind::NatAddressChanged(nat, ip) => write!(f, "nat {} is now {ip}", nat.0),
            EventKind::NatRebooted(nat) => write!(f, "nat {} reboots", nat.0),
            EventKind::Blocked(from, to) => write!(f, "host {} -> host {} is blocked", from.0, to.0),
            EventKind::Unblocked(from, to) => write!(f, "host {} -> host {} is open again", from.0, to.0),
        }
    }
}

//! What happens to datagrams on a route, and for which routes that holds.

use std::net::IpAddr;
use std::time::Duration;

use crate::address::{HostId, NatId};
use crate::time::{Nanos, nanos};

/// How a directed route treats datagrams. A new one is perfect: no delay, no loss, no limit.
///
/// ```
/// # use std::time::Duration;
/// # use telemesh_simnet::Conditions;
/// let mobile = Conditions::new()
///     .delay(Duration::from_millis(40))
///     .jitter(Duration::from_millis(15))
///     .loss(0.01)
///     .rate(2_000_000, 64 * 1024)
///     .mtu(1_400);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conditions {
    pub(crate) delay: Nanos,
    pub(crate) jitter: Nanos,
    pub(crate) loss: f64,
    pub(crate) reorder: f64,
    pub(crate) reorder_by: Nanos,
    pub(crate) duplicate: f64,
    pub(crate) corrupt: f64,
    pub(crate) rate: Option<Rate>,
    pub(crate) mtu: Option<usize>,
}

/// A bottleneck: how fast it drains and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// More than zero: the setter sees to it.
    pub(crate) bytes_per_second: u64,
    pub(crate) queue_bytes: u64,
}

impl Conditions {
    /// A perfect route.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time that every datagram takes.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = nanos(delay);
        self
    }

    /// Further time, drawn evenly between zero and this, and anew whenever this much time has passed. Jitter
    /// alone never reorders: a datagram waits for the one sent before it, as in a real queue.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = nanos(most);
        self
    }

    /// The share of datagrams that vanish.
    ///
    /// # Panics
    /// If `probability` is not between 0 and 1.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = checked(probability);
        self
    }

    /// The share of datagrams that are held back by `by`, so that later ones overtake them.
    ///
    /// # Panics
    /// If `probability` is not between 0 and 1.
    #[must_use]
    pub fn reorder(mut self, probability: f64, by: Duration) -> Self {
        self.reorder = checked(probability);
        self.reorder_by = nanos(by);
        self
    }

    /// The share of datagrams that arrive twice. Each copy has its own reordering and corruption.
    ///
    /// # Panics
    /// If `probability` is not between 0 and 1.
    #[must_use]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = checked(probability);
        self
    }

    /// The share of datagrams in which one bit is flipped. Empty ones have none to flip. (Real UDP checksums
    /// catch almost all of this; what gets through is what an attacker could also have made.)
    ///
    /// # Panics
    /// If `probability` is not between 0 and 1.
    #[must_use]
    pub fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt = checked(probability);
        self
    }

    /// A bottleneck that passes this many bytes a second and holds up to `queue_bytes` that wait for it. What
    /// does not fit is dropped (tail drop). Both count whole IP packets: payload and headers.
    ///
    /// The limit belongs to each directed route, not to a host's access as a whole. One datagram always fits an
    /// empty queue.
    ///
    /// # Panics
    /// If the rate is zero: a route that passes nothing is a partition.
    #[must_use]
    pub fn rate(mut self, bytes_per_second: u64, queue_bytes: u64) -> Self {
        assert!(bytes_per_second > 0, "a rate of zero is a partition: use Network::block");
        self.rate = Some(Rate { bytes_per_second, queue_bytes });
        self
    }

    /// The largest IP packet that passes, headers included: 28 bytes more than the payload over IPv4, 48 more
    /// over IPv6. Larger ones vanish without notice.
    #[must_use]
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = Some(bytes);
        self
    }
}

/// For which datagrams some [`Conditions`] hold. Where several apply, the narrowest wins: `Addresses`, then
/// `Hosts`, then `Inside`, then `Everywhere`. They replace each other and do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All routes.
    Everywhere,
    /// Between addresses inside this NAT, hairpins included.
    Inside(NatId),
    /// From one host to another, over whatever addresses. The receiver is the host that would get the
    /// datagram at the time of sending; where a NAT has no mapping then, its only host.
    Hosts {
        /// The sender.
        from: HostId,
        /// The receiver.
        to: HostId,
    },
    /// From one address to another as both are seen in the realm where the destination is found. So for
    /// a sender behind a NAT, `from` is the NAT's external address, unless the destination is inside too.
    Addresses {
        /// The sender's address.
        from: IpAddr,
        /// The destination's.
        to: IpAddr,
    },
}

fn checked(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a probability is between 0 and 1, this is {probability}");
    probability
}

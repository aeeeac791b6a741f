//! How much work strangers may cause: a budget for all of them, and one for each address while there is load.
//!
//! A stranger is whoever shows no return tag. It costs two Diffie-Hellman operations to find out who it is, before
//! anybody can say that it is not wanted, so this is where a flood has to stop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use telemesh_hashname::Hashname;
use telemesh_wire::{Circuit, PathAddress};

use crate::counters::DropReason;
use crate::rate::{Rate, TokenBucket};

/// Initiations of strangers that are read, all together. Each costs some 90 µs and whatever the policy does with it, so
/// this is a fifth to a quarter of one core (measured in `docs/adr/0012`). An endpoint that a thousand new peers find in
/// the same second still lets all of them in.
pub const STRANGERS: Rate = Rate { burst: 1_000, per_second: 2_000 };
/// And of one address, while there is load. An attempt sends six initiations in half a minute, so this is enough for a
/// few endpoints behind one address that all start at once, and a flood from one address gets a hundredth of the budget.
pub const STRANGERS_PER_ADDRESS: Rate = Rate { burst: 5, per_second: 20 };
/// And of all that come through one router, each by a circuit that the router may have made up: as much as ten addresses.
pub const STRANGERS_PER_ROUTER: Rate = Rate { burst: 50, per_second: 200 };
/// There is load when this part of the burst is used up: below it everybody is served, so there is nothing to divide.
const LOAD_DIVISOR: u32 = 8;
/// Addresses that are remembered. One that has its whole burst again is not worth remembering, which takes a quarter of a
/// second; in that time [`STRANGERS`] lets no more than 1,500 addresses in.
pub const MAX_ADDRESSES: usize = 4_096;

/// The budgets of one gate.
#[derive(Debug)]
pub(crate) struct Strangers {
    all: TokenBucket,
    all_rate: Rate,
    addresses: BTreeMap<Source, TokenBucket>,
    /// When full buckets were last looked for.
    swept: Option<Instant>,
    address_rate: Rate,
}

impl Strangers {
    pub(crate) fn new(all_rate: Rate, address_rate: Rate) -> Self {
        Self { all: TokenBucket::default(), all_rate, addresses: BTreeMap::new(), swept: None, address_rate }
    }

    /// Whether so much of the budget is used up that there is something to divide.
    pub(crate) fn is_under_load(&self, now: Instant) -> bool {
        self.all.until_full(now) > self.all_rate.interval() * self.all_rate.burst / LOAD_DIVISOR
    }

    /// Takes the work for one initiation out of the budgets.
    ///
    /// An address takes nothing from the others when it is over its own budget, and it is only remembered when it was let
    /// in: who forges source addresses fills the table no faster than the common budget allows.
    pub(crate) fn take(&mut self, now: Instant, from: &PathAddress) -> Result<(), DropReason> {
        let (burst, interval) = (self.all_rate.burst, self.all_rate.interval());
        if !self.all.has(now, burst, interval) {
            return Err(DropReason::Overload);
        }
        if self.is_under_load(now) {
            let router = from.router().copied().filter(|_| matches!(from, PathAddress::Circuit(_)));
            let through = router
                .is_none_or(|router| self.take_source(now, Source::AllOf(router), STRANGERS_PER_ROUTER));
            if !through || !self.take_source(now, Source::of(from), self.address_rate) {
                return Err(DropReason::AddressLimit);
            }
        }
        self.all.take(now, burst, interval);
        Ok(())
    }

    fn take_source(&mut self, now: Instant, source: Source, rate: Rate) -> bool {
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&source) {
            // Not for every packet: it costs as much as some hashes, and nothing fills up sooner than that.
            let swept = self.swept.is_some_and(|swept| now < swept + self.address_rate.interval());
            if !swept {
                self.addresses.retain(|_, bucket| !bucket.is_full(now));
                self.swept = Some(now);
            }
            if self.addresses.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let bucket = self.addresses.entry(source).or_default();
        bucket.take(now, rate.burst, rate.interval())
    }
}

/// What counts as one sender: an IPv4 address, an IPv6 /64, or who asks through a router, of whom nothing but the circuit is
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
    Router(Hashname),
    Circuit(Circuit),
    /// Everybody who asks through this router.
    AllOf(Hashname),
}

impl Source {
    fn of(address: &PathAddress) -> Self {
        let ip = match address {
            PathAddress::Peer(router) => return Self::Router(*router),
            PathAddress::Circuit(circuit) => return Self::Circuit(*circuit),
            PathAddress::Udp(address) | PathAddress::Quic(address) => address.ip(),
            PathAddress::Extra(extra) => extra.to.ip(),
            // A kind that a later version of the wire crate adds shares one budget until it gets one here.
            _ => return Self::V4([0; 4]),
        };
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests;

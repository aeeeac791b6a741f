//! How many connections others may have with us: in all, and from one source.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::limits::Config;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Admission {
    config: Config,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    source: IpAddr,
}

impl Admission {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { config, sources: Mutex::default() })
    }

    /// A place for one more connection from `address`, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let mut sources = self.sources.lock();
        let from_here = sources.each.get(&source).copied().unwrap_or(0);
        if !self.allows(sources.all, from_here) {
            return None;
        }
        sources.all += 1;
        sources.each.insert(source, from_here + 1);
        Some(Place { admission: self.clone(), source })
    }

    /// Whether one more from `address` would get a place now.
    pub(crate) fn has_room(&self, address: IpAddr) -> bool {
        let sources = self.sources.lock();
        self.allows(sources.all, sources.each.get(&source(address)).copied().unwrap_or(0))
    }

    fn allows(&self, all: usize, from_here: usize) -> bool {
        all < self.config.max_inbound && from_here < self.config.max_inbound_per_source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.admission.sources.lock();
        sources.all -= 1;
        if let Some(count) = sources.each.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                sources.each.remove(&self.source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 network has at least.
fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max_inbound: usize, max_inbound_per_source: usize) -> Arc<Admission> {
        Admission::new(Config { max_inbound, max_inbound_per_source })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_cannot_take_all_places() {
        let admission = admission(10, 2);
        let first = admission.enter(ip("192.0.2.1"));
        let second = admission.enter(ip("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(admission.enter(ip("192.0.2.1")).is_none());
        assert!(admission.enter(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(admission.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let admission = admission(10, 1);
        let _place = admission.enter(ip("2001:db8::1"));
        assert!(admission.enter(ip("2001:db8::ffff:0:0:1")).is_none());
        assert!(admission.enter(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn all_sources_together_have_a_limit_and_places_come_back() {
        let admission = admission(3, 3);
        let places: Vec<_> = (1..=3).map(|n| admission.enter(IpAddr::from([192, 0, 2, n]))).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(admission.enter(ip("192.0.2.9")).is_none());
        drop(places);
        assert!(admission.enter(ip("192.0.2.9")).is_some());
        assert!(admission.sources.lock().each.is_empty());
    }
}

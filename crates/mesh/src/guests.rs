//! How many guests there may be: a part of all links, so that contacts and those who are invited always find room.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use telemesh_hashname::Hashname;
use telemesh_link::MAX_GUEST_CIRCUITS_PER_TARGET;

/// The part of an endpoint's links that guests may have: one of so many.
const SHARE: usize = 2;

/// The part of the guests that may be there because of the same peer: one of so many.
const SHARE_OF_ONE: usize = 4;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Guests {
    max: usize,
    /// More of one peer's guests than it can have circuits with at a time are no use to it.
    max_of_one: usize,
    there: Mutex<There>,
}

#[derive(Debug, Default)]
struct There {
    all: usize,
    /// How many are there because of a peer: with a ticket that leads to it, or as routers that it has named.
    of: HashMap<Hashname, usize>,
}

impl Guests {
    /// For an endpoint with at most so many links.
    pub(crate) fn new(max_links: usize) -> Self {
        let max = max_links.div_ceil(SHARE);
        let max_of_one = max.div_ceil(SHARE_OF_ONE).min(MAX_GUEST_CIRCUITS_PER_TARGET);
        Self { max, max_of_one, there: Mutex::default() }
    }

    /// A place for one more, which is free again when it is dropped. `None` when there is none.
    pub(crate) fn place(self: &Arc<Self>, because_of: Option<Hashname>) -> Option<GuestPlace> {
        let mut there = self.there.lock();
        let of_one = because_of.and_then(|peer| there.of.get(&peer)).copied().unwrap_or_default();
        if there.all >= self.max || of_one >= self.max_of_one {
            return None;
        }
        there.all += 1;
        because_of.into_iter().for_each(|peer| *there.of.entry(peer).or_default() += 1);
        Some(GuestPlace { guests: self.clone(), because_of })
    }
}

/// A guest is there.
#[derive(Debug)]
pub(crate) struct GuestPlace {
    guests: Arc<Guests>,
    because_of: Option<Hashname>,
}

impl Drop for GuestPlace {
    fn drop(&mut self) {
        let mut there = self.guests.there.lock();
        there.all = there.all.saturating_sub(1);
        if let Some(peer) = self.because_of
            && let Some(of) = there.of.get_mut(&peer)
        {
            *of = of.saturating_sub(1);
            if *of == 0 {
                there.of.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_half_the_links_and_those_of_one_peer_a_quarter_of_that() {
        let peer = |number| Some(Hashname::from_bytes([number; 32]));
        let guests = Arc::new(Guests::new(80));
        let mut places: Vec<_> = (0..10).map(|_| guests.place(peer(1)).unwrap()).collect();
        assert!(guests.place(peer(1)).is_none());
        places.pop();
        places.push(guests.place(peer(1)).unwrap());
        places.extend((0..10).map(|_| guests.place(peer(2)).unwrap()));
        places.extend((0..20).map(|_| guests.place(None).unwrap()));
        assert!(guests.place(peer(3)).is_none() && guests.place(None).is_none());
        places.clear();
        let there = guests.there.lock();
        assert!(there.all == 0 && there.of.is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn one_peer_has_no_more_guests_than_it_can_have_circuits_with() {
        let guests = Arc::new(Guests::new(65_536));
        assert_eq!((guests.max, guests.max_of_one), (32_768, MAX_GUEST_CIRCUITS_PER_TARGET));
    }
}

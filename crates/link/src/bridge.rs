//! A router's circuits: which number on whose link leads to which number on whose. No packets, no sockets.
//!
//! A circuit has two ends, each a link and a number on that link. The asker has chosen its number, the router the one towards
//! the end that was asked for ([`CircuitId::is_routed`]). Nothing about the packets inside is known or kept.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;
use telemesh_wire::CircuitId;

use crate::rate::{Rate, TokenBucket};

/// Circuits of one router unless configured otherwise: six for each of ten thousand links, some 20 MB.
pub const MAX_CIRCUITS: usize = 65_536;
/// Circuits of one link, whichever end it is of: nobody talks to more peers at once through one router.
pub const MAX_CIRCUITS_PER_LINK: usize = 256;
/// Circuits of one asker to the same target: one is enough, each restart of the asker takes another until the old one is idle. So
/// nobody can take all the places of a target.
pub const MAX_CIRCUITS_PER_PAIR: usize = 16;
/// Circuits to one target that guests have asked for: whoever has its ticket can be as many guests as they like, and the other half
/// is for those whom the router knows.
pub const MAX_GUEST_CIRCUITS_PER_TARGET: usize = MAX_CIRCUITS_PER_LINK / 2;
/// A circuit ends when nothing was sent on it for so long: twice the keepalive of its ends, and a loss.
pub const CIRCUIT_IDLE: Duration = Duration::from_secs(60);
/// Introductions that one link may ask for: a device that wakes up asks for all its contacts at once.
pub const INTRODUCTIONS: Rate = Rate { burst: 256, per_second: 64 };
/// Bytes per second on one circuit unless configured otherwise: more than a gigabit, so that nobody is slowed down by surprise.
/// Whoever pays for traffic sets less.
pub const CIRCUIT_RATE: u64 = 1 << 30;

/// The limits of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeConfig {
    /// Circuits in all.
    pub max_circuits: usize,
    /// Bytes per second on each circuit, both directions together. A second's worth may come at once.
    pub bytes_per_second: u64,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self { max_circuits: MAX_CIRCUITS, bytes_per_second: CIRCUIT_RATE }
    }
}

/// Why an introduction was not passed on. The asker is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// A circuit to oneself.
    #[error("a circuit leads to its own end")]
    Loop,
    /// The number is of the kind that only routers choose, or leads to somebody else already.
    #[error("the circuit's number is taken")]
    Number,
    /// Either end or the router has as many circuits as it may.
    #[error("too many circuits")]
    TooMany,
    /// The asker asks more often than [`INTRODUCTIONS`].
    #[error("too many introductions")]
    TooOften,
}

/// What a router has forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BridgeStats {
    /// Circuits there are now.
    pub circuits: usize,
    /// Introductions that were passed on.
    pub introductions: u64,
    /// Introductions that were not.
    pub refused: u64,
    /// Packets forwarded.
    pub packets: u64,
    /// Bytes forwarded, the headers of circuits included.
    pub bytes: u64,
    /// Packets for circuits that are not there, or from somebody whose circuit it is not.
    pub unknown: u64,
    /// Packets dropped because their circuit has had its share.
    pub over_rate: u64,
}

/// One end of a circuit.
type End = (Hashname, CircuitId);

#[derive(Debug)]
struct Circuit {
    ends: [End; 2],
    by_guest: bool,
    used: Instant,
    allowance: Allowance,
}

/// All circuits of one router.
pub struct Bridge {
    config: BridgeConfig,
    /// Where each end's circuit is.
    places: HashMap<End, usize>,
    circuits: Vec<Option<Circuit>>,
    free: Vec<usize>,
    per_link: HashMap<Hashname, PerLink>,
    /// Circuits of each asker and target.
    per_pair: HashMap<[Hashname; 2], usize>,
    /// Circuits in the order in which they may be idle, and when to look. Each by its end at the target, whose number was never
    /// given before: an asker's may name another circuit by then.
    idle: VecDeque<(Instant, End)>,
    next_number: u64,
    stats: BridgeStats,
}

#[derive(Debug, Default)]
struct PerLink {
    circuits: usize,
    /// Those among them that guests have asked for, who wanted this link.
    by_guests: usize,
    introductions: TokenBucket,
}

impl Bridge {
    /// A router without circuits. `random` is where its numbers begin, so that those of an earlier process mean nothing.
    #[must_use]
    pub fn new(config: BridgeConfig, random: u64) -> Self {
        Self {
            config,
            places: HashMap::new(),
            circuits: Vec::new(),
            free: Vec::new(),
            per_link: HashMap::new(),
            per_pair: HashMap::new(),
            idle: VecDeque::new(),
            next_number: random,
            stats: BridgeStats::default(),
        }
    }

    /// Joins two links: the asker's packets with its number go to the target and back. Asking again for what is there keeps it.
    /// Returns the circuit's number on the target's link.
    ///
    /// # Errors
    ///
    /// [`BridgeError`]; counted already.
    pub fn join(
        &mut self,
        now: Instant,
        asker: &Hashname,
        number: CircuitId,
        target: &Hashname,
    ) -> Result<CircuitId, BridgeError> {
        let joined = self.try_join(now, (*asker, number), target, false);
        self.count(joined)
    }

    /// The same for an asker whom the router does not know, for as many circuits as [`MAX_GUEST_CIRCUITS_PER_TARGET`].
    ///
    /// # Errors
    ///
    /// [`BridgeError`]; counted already.
    pub fn join_guest(
        &mut self,
        now: Instant,
        asker: &Hashname,
        number: CircuitId,
        target: &Hashname,
    ) -> Result<CircuitId, BridgeError> {
        let joined = self.try_join(now, (*asker, number), target, true);
        self.count(joined)
    }

    fn count(&mut self, joined: Result<CircuitId, BridgeError>) -> Result<CircuitId, BridgeError> {
        match joined {
            Ok(_) => self.stats.introductions += 1,
            Err(_) => self.stats.refused += 1,
        }
        joined
    }

    fn try_join(
        &mut self,
        now: Instant,
        asker: End,
        target: &Hashname,
        by_guest: bool,
    ) -> Result<CircuitId, BridgeError> {
        self.expire(now);
        let bucket = &mut self.per_link.entry(asker.0).or_default().introductions;
        if !bucket.take(now, INTRODUCTIONS.burst, INTRODUCTIONS.interval()) {
            return Err(BridgeError::TooOften);
        }
        if asker.0 == *target {
            return Err(BridgeError::Loop);
        }
        if asker.1.is_routed() {
            return Err(BridgeError::Number);
        }
        if let Some(circuit) =
            self.places.get(&asker).and_then(|place| self.circuits.get_mut(*place)?.as_mut())
        {
            let [_, (to, number)] = circuit.ends;
            circuit.used = now;
            return if to == *target { Ok(number) } else { Err(BridgeError::Number) };
        }
        let full = |link| self.per_link.get(link).is_some_and(|of| of.circuits >= MAX_CIRCUITS_PER_LINK);
        let pair = self.per_pair.get(&[asker.0, *target]).is_some_and(|of| *of >= MAX_CIRCUITS_PER_PAIR);
        let full = full(&asker.0) || full(target);
        let guests =
            self.per_link.get(target).is_some_and(|of| of.by_guests >= MAX_GUEST_CIRCUITS_PER_TARGET);
        if self.places.len() / 2 >= self.config.max_circuits || pair || full || (by_guest && guests) {
            return Err(BridgeError::TooMany);
        }
        Ok(self.add(now, asker, *target, by_guest))
    }

    fn add(&mut self, now: Instant, asker: End, target: Hashname, by_guest: bool) -> CircuitId {
        self.next_number = self.next_number.wrapping_add(1);
        let number = CircuitId::routed(self.next_number);
        let ends = [asker, (target, number)];
        let allowance = Allowance::new(now, &self.config);
        let circuit = Some(Circuit { ends, by_guest, used: now, allowance });
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.circuits.push(None);
                self.circuits.len() - 1
            }
        };
        if let Some(slot) = self.circuits.get_mut(place) {
            *slot = circuit;
        }
        for end in ends {
            self.places.insert(end, place);
            self.per_link.entry(end.0).or_default().circuits += 1;
        }
        self.per_link.entry(target).or_default().by_guests += usize::from(by_guest);
        *self.per_pair.entry([asker.0, target]).or_default() += 1;
        self.idle.push_back((now + CIRCUIT_IDLE, (target, number)));
        number
    }

    /// The other end of a circuit, as the target's link calls it, for a message from this end about it. It takes as much of the
    /// link's budget as asking for a circuit.
    pub fn across(
        &mut self,
        now: Instant,
        link: &Hashname,
        number: CircuitId,
    ) -> Option<(Hashname, CircuitId)> {
        self.expire(now);
        let near = (*link, number);
        let circuit = self.circuits.get(*self.places.get(&near)?)?.as_ref()?;
        let far = circuit.ends.into_iter().find(|end| *end != near)?;
        let bucket = &mut self.per_link.get_mut(link)?.introductions;
        bucket.take(now, INTRODUCTIONS.burst, INTRODUCTIONS.interval()).then_some(far)
    }

    /// Whether this number of this link's is one end of a circuit.
    #[must_use]
    pub fn knows(&self, link: &Hashname, number: CircuitId) -> bool {
        self.places.contains_key(&(*link, number))
    }

    /// Where packets with this number from this link go, and under which number: `packets` of them, of `bytes` bytes in all.
    /// `None` drops them; counted already.
    pub fn forward(
        &mut self,
        now: Instant,
        from: &Hashname,
        number: CircuitId,
        (packets, bytes): (u64, u64),
    ) -> Option<(Hashname, CircuitId)> {
        let place = self.places.get(&(*from, number));
        let Some(circuit) = place.and_then(|place| self.circuits.get_mut(*place)?.as_mut()) else {
            self.stats.unknown += packets;
            return None;
        };
        circuit.used = now;
        if !circuit.allowance.take(now, bytes, &self.config) {
            self.stats.over_rate += packets;
            return None;
        }
        self.stats.packets += packets;
        self.stats.bytes += bytes;
        let [first, second] = circuit.ends;
        Some(if first == (*from, number) { second } else { first })
    }

    /// The link is gone: so are its circuits.
    pub fn forget(&mut self, now: Instant, link: &Hashname) {
        if self.per_link.remove(link).is_none_or(|of| of.circuits == 0) {
            return;
        }
        let ends: Vec<End> = self.places.keys().filter(|end| end.0 == *link).copied().collect();
        ends.iter().for_each(|end| self.remove(now, end));
    }

    /// Ends what was idle for too long.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, end)) = self.idle.pop_front_if(|(at, _)| *at <= now) {
            let used =
                self.places.get(&end).and_then(|place| Some(self.circuits.get(*place)?.as_ref()?.used));
            match used {
                Some(used) if now < used + CIRCUIT_IDLE => self.idle.push_back((used + CIRCUIT_IDLE, end)),
                Some(_) => self.remove(now, &end),
                None => {}
            }
        }
    }

    fn remove(&mut self, now: Instant, end: &End) {
        let Some(place) = self.places.get(end).copied() else { return };
        let Some(circuit) = self.circuits.get_mut(place).and_then(Option::take) else { return };
        self.free.push(place);
        let pair = circuit.ends.map(|(link, _)| link);
        let [_, target] = pair;
        if let Some(of) = self.per_link.get_mut(&target) {
            of.by_guests = of.by_guests.saturating_sub(usize::from(circuit.by_guest));
        }
        if let Some(of) = self.per_pair.get_mut(&pair) {
            *of = of.saturating_sub(1);
            if *of == 0 {
                self.per_pair.remove(&pair);
            }
        }
        for end in circuit.ends {
            self.places.remove(&end);
            if let Some(of) = self.per_link.get_mut(&end.0) {
                of.circuits = of.circuits.saturating_sub(1);
            }
        }
        // Those whose buckets are not full again stay until their links are gone: a bucket that is forgotten is a full one.
        for (link, _) in circuit.ends {
            if self.per_link.get(&link).is_some_and(|of| of.circuits == 0 && of.introductions.is_full(now)) {
                self.per_link.remove(&link);
            }
        }
    }

    /// What was forwarded so far.
    #[must_use]
    pub fn stats(&self) -> BridgeStats {
        BridgeStats { circuits: self.places.len() / 2, ..self.stats }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// The bytes that a circuit may still forward: a bucket that fills within a second.
#[derive(Debug)]
struct Allowance {
    left: u64,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant, config: &BridgeConfig) -> Self {
        Self { left: config.bytes_per_second, filled: now }
    }

    fn take(&mut self, now: Instant, bytes: u64, config: &BridgeConfig) -> bool {
        let micros = now.saturating_duration_since(self.filled).as_micros();
        let new = u128::from(config.bytes_per_second).saturating_mul(micros) / 1_000_000;
        if let Ok(new @ 1..) = u64::try_from(new) {
            self.left = self.left.saturating_add(new).min(config.bytes_per_second);
            self.filled = now;
        }
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests;

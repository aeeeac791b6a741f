//! The paths of one link: candidates, which of them work, and which one data takes.
//!
//! Data moves to a path only when a probe (or a handshake) came back on it, and a path that works is not left for one
//! that merely claims to: authentic data from a new source makes a candidate and a probe, because an observer could race
//! copies of our peer's packets from an address of its own.

use std::time::{Duration, Instant};

use telemesh_hashname::Hashname;
use telemesh_wire::PathAddress;

use crate::birthday::Birthday;
use crate::path::{Path, PathOrigin, PathState, PathStatus, Width, dead_wait};
use crate::timers::{
    BUDGET_WAIT, DEAD_AFTER_PROBES, HEARD_CHECK, KEEPALIVE, MAX_CANDIDATES, MAX_CIRCUIT_PATHS, SWITCH_MARGIN,
    WARM_CIRCUITS, WARM_SPARES,
};

/// Data takes another path from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) to: PathAddress,
    pub(crate) rtt: Option<Duration>,
    /// The new path looks like the old one, so what was learned about the old one holds.
    pub(crate) similar: bool,
}

/// From where an authentic packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From a path that we know.
    Known,
    /// From an address that is a candidate now.
    New,
    /// From an address for which there is no room.
    Unlisted,
}

#[derive(Default)]
pub(crate) struct Paths {
    /// Entries are replaced but never moved, so that `active` stays right.
    list: Vec<Path>,
    active: Option<usize>,
    /// When anything authentic was last heard, on whatever path.
    heard: Option<Instant>,
    /// When the first packet was sent that asks for an answer and after which nothing was heard on any path.
    unheard_since: Option<Instant>,
    /// Paths that were proven since somebody asked for them.
    news: Vec<PathAddress>,
    /// The last attempt to find a path by trying many ports.
    pub(crate) birthday: Option<Box<Birthday>>,
}

impl Paths {
    /// Adds a candidate; false when it is there already, or there are too many and none can go.
    pub(crate) fn add(&mut self, address: PathAddress, origin: PathOrigin) -> bool {
        if let Some(known) = self.find(&address) {
            if origin.rank() > known.origin.rank() {
                known.origin = origin;
            }
            return false;
        }
        let path = Path::new(address, origin);
        // A router can make up circuits without end: they take the places of circuits.
        let circuits = self.list.iter().filter(|path| !path.address.is_direct()).count();
        let crowded = !address.is_direct() && circuits >= MAX_CIRCUIT_PATHS;
        if self.list.len() < MAX_CANDIDATES && !crowded {
            self.list.push(path);
            return true;
        }
        let evictable = self.list.iter_mut().enumerate().filter(|(index, old)| {
            let worse = old.origin.rank() <= origin.rank();
            let idle = matches!(old.state, PathState::Candidate | PathState::Dead);
            let place = !crowded || !old.address.is_direct();
            Some(*index) != self.active && worse && idle && place
        });
        // Learned ones before told ones before given ones, and of those the one that was silent longest.
        let evicted = evictable.min_by_key(|(_, old)| (old.origin.rank(), old.heard));
        let Some((_, old)) = evicted else { return false };
        *old = path;
        true
    }

    fn find(&mut self, address: &PathAddress) -> Option<&mut Path> {
        self.list.iter_mut().find(|path| path.address == *address)
    }

    fn position(&self, address: &PathAddress) -> Option<usize> {
        self.list.iter().position(|path| path.address == *address)
    }

    pub(crate) fn get(&self, address: &PathAddress) -> Option<&Path> {
        self.list.iter().find(|path| path.address == *address)
    }

    /// The path that data takes.
    pub(crate) fn active(&self) -> Option<&Path> {
        self.list.get(self.active?)
    }

    fn active_mut(&mut self) -> Option<&mut Path> {
        self.list.get_mut(self.active?)
    }

    /// Where an initiation may go: candidates that the caller named, and paths that have worked. In the order in which they were
    /// added.
    pub(crate) fn for_handshake(&self) -> impl Iterator<Item = PathAddress> + '_ {
        let named = |path: &Path| matches!(path.origin, PathOrigin::Given | PathOrigin::Hinted);
        let usable = move |path: &&Path| named(path) || path.was_proven();
        self.list.iter().filter(usable).map(|path| path.address)
    }

    pub(crate) fn status(&self) -> impl Iterator<Item = PathStatus> + '_ {
        self.list.iter().enumerate().map(|(index, path)| path.status(Some(index) == self.active))
    }

    /// When the peer was last heard, on whatever path.
    pub(crate) fn last_heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Since when we wait to hear anything at all.
    pub(crate) fn unheard_since(&self) -> Option<Instant> {
        self.unheard_since
    }

    /// Data goes out on the path in use. Returns the time by which something must be heard, if it was not set yet.
    pub(crate) fn data_sent(&mut self, now: Instant) -> Option<Instant> {
        self.unheard_since.get_or_insert(now);
        let path = self.active_mut()?;
        let first = path.unheard_since.is_none();
        path.asked(now);
        first.then(|| now + path.suspect_after())
    }

    /// Something goes out that needs no answer.
    pub(crate) fn sent_unasked(&mut self, now: Instant, to: &PathAddress) {
        if let Some(path) = self.find(to) {
            path.sent = Some(now);
        }
    }

    /// A probe with this token goes out now.
    pub(crate) fn probing(&mut self, now: Instant, to: &PathAddress, token: [u8; 8]) {
        self.unheard_since.get_or_insert(now);
        if let Some(path) = self.find(to) {
            path.probing(now, token);
        }
    }

    /// The budget has no probe for this path now: try again later.
    pub(crate) fn postpone(&mut self, now: Instant, to: &PathAddress) {
        if let Some(path) = self.find(to) {
            path.probe_due = Some(now + BUDGET_WAIT);
            path.rests_until = path.probe_due;
        }
    }

    /// An authentic packet came from `from`; `data` says whether it was more than a probe or a keepalive.
    pub(crate) fn on_heard(&mut self, now: Instant, from: &PathAddress, data: bool) -> Source {
        self.heard = Some(now);
        self.unheard_since = None;
        if let Some(active) = self.active_mut()
            && active.address == *from
        {
            active.on_heard(now);
            return Source::Known;
        }
        let added = self.position(from).is_none();
        if added && !self.add(*from, PathOrigin::Learned) {
            return Source::Unlisted;
        }
        let active_heard = self.active().and_then(|active| active.heard);
        let Some(path) = self.find(from) else { return Source::Unlisted };
        // A run from this source starts anew whenever the path in use was heard in between. That the peer keeps a spare
        // path warm is no sign that it has moved there.
        let counts = data || !path.was_proven();
        if counts && path.heard_since.is_none_or(|since| active_heard.is_some_and(|active| active >= since)) {
            path.heard_since = Some(now);
        }
        path.on_heard(now);
        if added { Source::New } else { Source::Known }
    }

    /// A replayed packet came from `from`: shows only that the path is not silent.
    pub(crate) fn on_duplicate(&mut self, now: Instant, from: &PathAddress) {
        if let Some(path) = self.find(from) {
            path.heard = Some(now);
        }
    }

    /// Whether an authentic packet from this path should be followed by a probe to it.
    pub(crate) fn wants_probe(&self, now: Instant, address: &PathAddress) -> bool {
        let rested = |path: &Path| path.rests_until.is_none_or(|until| until <= now);
        self.get(address)
            .is_some_and(|path| rested(path) && (path.state != PathState::Proven || self.moved_to(path)))
    }

    /// Whether the peer seems to have moved to this path: since it was first heard there, the one in use was silent.
    pub(crate) fn moved_to(&self, path: &Path) -> bool {
        let silent_since =
            |since| self.active().is_some_and(|old| old.heard.is_none_or(|heard| heard < since));
        path.origin != PathOrigin::Given && path.heard_since.is_some_and(silent_since)
    }

    /// An answer to a probe came in. Returns the path that is proven by it, its round trip, and the move that follows.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        token: &[u8],
    ) -> Option<(PathAddress, Duration, Option<Change>)> {
        // The token says which path it is about: the peer received what went there, wherever it answers from.
        let answered = |(index, path): (usize, &mut Path)| {
            let before = path.state;
            Some((index, before, path.answered(now, token)?))
        };
        let (index, before, rtt) = self.list.iter_mut().enumerate().find_map(answered)?;
        let address = self.list.get(index)?.address;
        if before != PathState::Proven {
            self.news.push(address);
        }
        // The peer must have been heard there before it was asked, or every answer would look like a move.
        let asked = now.checked_sub(rtt);
        let moved = self.list.get(index).is_some_and(|path| path.heard_since <= asked && self.moved_to(path));
        Some((address, rtt, self.consider(index, moved)))
    }

    /// A handshake came back over this address, after `rtt` if that is known.
    pub(crate) fn proven(
        &mut self,
        now: Instant,
        address: &PathAddress,
        rtt: Option<Duration>,
    ) -> Option<Change> {
        self.heard = Some(now);
        self.unheard_since = None;
        self.add(*address, PathOrigin::Learned);
        let index = self.position(address)?;
        let path = self.list.get_mut(index)?;
        if path.state != PathState::Proven {
            self.news.push(*address);
        }
        path.proven(now, rtt);
        self.consider(index, false)
    }

    /// Moves to a path that has just been proven, if the peer has moved there or it is to be preferred.
    fn consider(&mut self, index: usize, moved: bool) -> Option<Change> {
        if self.active == Some(index) {
            return None;
        }
        let new = self.list.get(index)?;
        let old = self.active();
        if !moved && !old.is_none_or(|old| is_preferred(new, old)) {
            return None;
        }
        let similar = old.is_some_and(|old| is_similar(new, old));
        let change = Change { to: new.address, rtt: new.rtt(), similar };
        self.active = Some(index);
        Some(change)
    }

    /// Makes a path the one in use without any proof; exists to show that the tests notice.
    pub(crate) fn move_without_proof(&mut self, address: &PathAddress) -> Option<Change> {
        let index = self.position(address)?;
        self.active = Some(index);
        self.active().map(|path| Change { to: path.address, rtt: path.rtt(), similar: false })
    }

    /// The path in use works no longer as far as the caller knows.
    pub(crate) fn suspect(&mut self) {
        if let Some(active) = self.active_mut()
            && active.state == PathState::Proven
        {
            active.state = PathState::Suspect;
        }
    }

    /// The network below has changed: every path has to show anew that it works.
    pub(crate) fn network_changed(&mut self) {
        for path in &mut self.list {
            path.forget_probes();
            path.state = match path.state {
                PathState::Proven | PathState::Suspect => PathState::Suspect,
                _ => PathState::Candidate,
            };
        }
    }

    /// The link is down: no path is in use, and none of the old answers counts. Circuits are asked for anew, and extra sockets
    /// are closed.
    pub(crate) fn down(&mut self) {
        self.remove(|path| !path.address.is_direct() || matches!(path.address, PathAddress::Extra(_)));
        self.network_changed();
        for path in &mut self.list {
            path.state = PathState::Candidate;
            path.unheard_since = None;
            path.heard_since = None;
        }
        self.active = None;
        self.unheard_since = None;
    }

    /// Every path on which no probe is on its way.
    pub(crate) fn all_unprobed(&self, now: Instant) -> Vec<PathAddress> {
        self.list.iter().filter(|path| !path.is_probing(now)).map(|path| path.address).collect()
    }

    /// Removes paths; whether the one in use is among them.
    fn remove(&mut self, which: impl Fn(&Path) -> bool) -> bool {
        let active = self.active().map(|path| path.address);
        self.list.retain(|path| !which(path));
        self.active = active.and_then(|address| self.position(&address));
        active.is_some() && self.active.is_none()
    }

    /// The router knows its circuits no more; whether the one in use was one of them.
    pub(crate) fn drop_circuits(&mut self, router: &Hashname) -> bool {
        self.remove(|path| path.address.router() == Some(router))
    }

    /// Circuits through a router that this end has asked for and that do not work make room for another. Whether one is left.
    pub(crate) fn keep_circuit(&mut self, router: &Hashname) -> bool {
        let ours = |path: &Path| matches!(path.address, PathAddress::Circuit(circuit) if circuit.router == *router && !circuit.id.is_routed());
        let active = self.active().map(|path| path.address);
        self.remove(|path| {
            let failed = matches!(path.state, PathState::Suspect | PathState::Dead);
            ours(path) && failed && Some(path.address) != active
        });
        self.list
            .iter()
            .any(|path| ours(path) && path.state != PathState::Dead && path.state != PathState::Suspect)
    }

    /// Candidates without a router in between that do not work get another chance.
    pub(crate) fn retry_direct(&mut self) -> Vec<PathAddress> {
        let failed = |path: &&mut Path| {
            path.address.is_direct() && matches!(path.state, PathState::Candidate | PathState::Dead)
        };
        let again = self.list.iter_mut().filter(failed).map(|path| {
            path.forget_probes();
            path.state = PathState::Candidate;
            path.address
        });
        again.collect()
    }

    /// Whether packets of the engine's smallest size may be too large for the path in use.
    pub(crate) fn is_narrow(&self) -> bool {
        self.active().is_some_and(|active| matches!(active.width, Width::Unknown { .. }))
    }

    /// Paths whose width has to be asked for now.
    pub(crate) fn width_due(&self, now: Instant) -> Vec<PathAddress> {
        let due = |path: &&Path| path.width_due().is_some_and(|at| at <= now);
        self.list.iter().filter(due).map(|path| path.address).collect()
    }

    pub(crate) fn probing_width(&mut self, now: Instant, to: &PathAddress, token: [u8; 8]) {
        if let Some(path) = self.find(to) {
            path.probing_width(now, token);
        }
    }

    /// Whether the answer is to a probe for the width of a path.
    pub(crate) fn answered_width(&mut self, token: &[u8]) -> bool {
        self.list.iter_mut().any(|path| path.answered_width(token))
    }

    /// A path that was proven since this was asked last.
    pub(crate) fn take_news(&mut self) -> Option<PathAddress> {
        self.news.pop()
    }

    /// Candidates that were never tried.
    pub(crate) fn untried(&self) -> Vec<PathAddress> {
        let untried = |path: &&Path| path.state == PathState::Candidate;
        self.list.iter().filter(untried).map(|path| path.address).collect()
    }

    /// Moves the timers of a link with a session on, and returns the paths to probe now.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Vec<PathAddress> {
        let silent =
            |path: &Path| path.state == PathState::Proven && silent_at(path).is_some_and(|at| at <= now);
        if self.active().is_some_and(silent) {
            self.suspect();
            return self.all_unprobed(now);
        }
        let mut due: Vec<PathAddress> = Vec::new();
        let lost = self.is_lost();
        for path in &mut self.list {
            if path.probe_due.is_some_and(|at| at <= now) && probe_overdue(path, now, lost) {
                due.push(path.address);
            }
            // A dead path is worth more probes only while there is nothing better.
            if path.state == PathState::Dead
                && path.probe_due.is_none()
                && lost
                && !due.contains(&path.address)
            {
                path.probe_due = Some(now + dead_wait(path.unanswered));
            }
        }
        for path in self.warm().filter(|path| path.state == PathState::Proven && path.probe_due.is_none()) {
            if keepalive_at(path).is_none_or(|at| at <= now) && !due.contains(&path.address) {
                due.push(path.address);
            }
        }
        due
    }

    /// Whether the path in use does not work, as far as is known.
    pub(crate) fn is_lost(&self) -> bool {
        self.active().is_none_or(|active| active.state != PathState::Proven)
    }

    /// The path in use, and the best spares.
    fn warm(&self) -> impl Iterator<Item = &Path> + '_ {
        let mut spares: Vec<_> = self
            .list
            .iter()
            .enumerate()
            .filter(|(index, path)| path.state == PathState::Proven && Some(*index) != self.active)
            .map(|(_, path)| path)
            .collect();
        spares.sort_by_key(|path| (!path.address.is_direct(), path.rtt()));
        let direct = spares.iter().filter(|path| path.address.is_direct()).count();
        spares.truncate(WARM_SPARES.min(direct + WARM_CIRCUITS));
        self.active().into_iter().chain(spares)
    }

    /// When [`Paths::on_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let probes = self.list.iter().filter_map(|path| path.probe_due);
        // While a probe is on its way, its answer or its deadline comes first.
        let idle = |path: &&Path| path.state == PathState::Proven && path.probe_due.is_none();
        let keepalives = self.warm().filter(idle).filter_map(keepalive_at);
        let proven = |path: &&Path| path.state == PathState::Proven;
        let silence = self.active().filter(proven).and_then(silent_at);
        let widths = self.list.iter().filter_map(Path::width_due);
        probes.chain(keepalives).chain(silence).chain(widths).min()
    }
}

/// A probe had no answer in time, or a dead path has rested long enough; returns whether to send another probe.
fn probe_overdue(path: &mut Path, now: Instant, lost: bool) -> bool {
    path.probe_due = None;
    if path.state == PathState::Candidate {
        // Its first probe had to wait for the budget.
        return true;
    }
    path.unanswered = path.unanswered.saturating_add(1);
    if path.state == PathState::Dead {
        return lost;
    }
    if path.unanswered >= DEAD_AFTER_PROBES {
        path.state = PathState::Dead;
        path.probe_due = Some(now + dead_wait(path.unanswered));
        return false;
    }
    if path.state == PathState::Proven {
        path.state = PathState::Suspect;
    }
    true
}

fn silent_at(path: &Path) -> Option<Instant> {
    path.unheard_since.map(|since| since + path.suspect_after())
}

fn keepalive_at(path: &Path) -> Option<Instant> {
    let sent = path.sent.map(|sent| sent + KEEPALIVE);
    let heard = path.heard.map(|heard| heard + HEARD_CHECK);
    [sent, heard].into_iter().flatten().min()
}

/// Whether data should leave `old` for `new`, on which an answer has just come back.
fn is_preferred(new: &Path, old: &Path) -> bool {
    if old.state != PathState::Proven {
        return true;
    }
    let (direct, was_direct) = (new.address.is_direct(), old.address.is_direct());
    if direct != was_direct {
        return direct;
    }
    // One quick answer may be luck.
    let (Some(rtt), Some(old_rtt), true) = (new.rtt(), old.rtt(), new.answers() >= 2) else { return false };
    rtt + (old_rtt / 5).max(SWITCH_MARGIN) < old_rtt
}

fn is_similar(new: &Path, old: &Path) -> bool {
    let family = |path: &Path| match path.address {
        PathAddress::Udp(address) => (0, address.ip().to_canonical().is_ipv4()),
        PathAddress::Extra(extra) => (0, extra.to.ip().to_canonical().is_ipv4()),
        PathAddress::Quic(address) => (1, address.ip().to_canonical().is_ipv4()),
        _ => (2, false),
    };
    let (Some(a), Some(b)) = (new.rtt(), old.rtt()) else { return false };
    family(new) == family(old) && a <= b * 2 && b <= a * 2
}

#[cfg(test)]
mod tests;

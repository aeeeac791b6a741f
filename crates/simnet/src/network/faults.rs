//! Faults and what can be seen of them: conditions, partitions, NATs that reboot; counters and the trace.

use std::net::IpAddr;

use crate::address::{HostId, NatId};
use crate::conditions::{Conditions, Scope};
use crate::counts::FaultCounts;
use crate::error::TopologyError;
use crate::nat::NatConfig;
use crate::network::Network;
use crate::trace::{Event, EventKind};

impl Network {
    /// Sets how routes in this scope treat what is sent from now on. What is on its way already keeps its fate,
    /// and since order is kept, a shorter delay shows only after what was sent before has arrived.
    pub fn set_conditions(&mut self, scope: Scope, conditions: Conditions) {
        self.routes.set_conditions(scope, Some(conditions));
    }

    /// The same in both directions between two hosts.
    pub fn set_conditions_between(&mut self, a: HostId, b: HostId, conditions: Conditions) {
        self.set_conditions(Scope::Hosts { from: a, to: b }, conditions);
        self.set_conditions(Scope::Hosts { from: b, to: a }, conditions);
    }

    /// Takes the scope's conditions away, so that those of wider scopes hold, or in the end perfect ones.
    pub fn clear_conditions(&mut self, scope: Scope) {
        self.routes.set_conditions(scope, None);
    }

    /// Stops everything from one host to another, over any addresses, also what is on its way.
    pub fn block(&mut self, from: HostId, to: HostId) {
        if self.blocked.insert((from, to)) {
            self.trace.record(self.clock, EventKind::Blocked(from, to));
        }
    }

    /// Undoes [`block`](Self::block).
    pub fn unblock(&mut self, from: HostId, to: HostId) {
        if self.blocked.remove(&(from, to)) {
            self.trace.record(self.clock, EventKind::Unblocked(from, to));
        }
    }

    /// Stops everything between two groups of hosts, both ways. Within each group all goes on.
    pub fn partition(&mut self, one: &[HostId], other: &[HostId]) {
        for &a in one {
            for &b in other {
                self.block(a, b);
                self.block(b, a);
            }
        }
    }

    /// Ends every block and partition.
    pub fn heal(&mut self) {
        while let Some((from, to)) = self.blocked.pop_first() {
            self.trace.record(self.clock, EventKind::Unblocked(from, to));
        }
    }

    /// Makes a NAT forget all its mappings.
    ///
    /// # Errors
    /// If the NAT is unknown.
    pub fn reboot_nat(&mut self, nat: NatId) -> Result<(), TopologyError> {
        self.topology.nat(nat)?.forget_all();
        self.counts.nat_reboots += 1;
        self.trace.record(self.clock, EventKind::NatRebooted(nat));
        Ok(())
    }

    /// Gives a NAT another external address for one it has; it forgets all its mappings.
    ///
    /// # Errors
    /// If the NAT is unknown or lacks the old address, or the new one is taken, unusable or of another family.
    pub fn change_nat_address(&mut self, nat: NatId, old: IpAddr, new: IpAddr) -> Result<(), TopologyError> {
        self.topology.change_nat_address(nat, old, new)?;
        self.counts.address_changes += 1;
        self.trace.record(self.clock, EventKind::NatAddressChanged(nat, new));
        Ok(())
    }

    /// Makes a NAT behave in another way from now on. Mappings stay; a stricter filter keeps out remotes
    /// that had no need of a permission before.
    ///
    /// # Errors
    /// If the NAT is unknown.
    pub fn set_nat_config(&mut self, nat: NatId, config: NatConfig) -> Result<(), TopologyError> {
        self.topology.nat(nat)?.config = config;
        Ok(())
    }

    /// What has happened so far in the whole network.
    pub fn counts(&self) -> FaultCounts {
        self.counts
    }

    /// What has happened so far to datagrams from one host to another, as far as the receiver was known when
    /// they were sent. What ended before (no route, a NAT on the way out) is in [`counts`](Self::counts) only,
    /// as are changes of addresses and NATs. Takes time in proportion to the routes ever used.
    pub fn counts_between(&self, from: HostId, to: HostId) -> FaultCounts {
        self.routes.counts_between(from, to)
    }

    /// A hash over everything that has happened: every step of every datagram with its time, payloads as sent,
    /// and every change of addresses, NATs and partitions. Two runs with the same seed and the same calls
    /// have the same one.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Keeps the last `most` events from now on; 0, as at the start, keeps none.
    pub fn keep_events(&mut self, most: usize) {
        self.trace.keep(most);
    }

    /// The events kept, the oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> + '_ {
        self.trace.events()
    }
}

//! Copies of datagrams that are on their way, in the order in which they arrive.
//!
//! The heap holds small entries and the flights stay in their slots: sifting moves 24 bytes. Payload buffers are
//! used again, so a steady flow allocates nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use crate::address::AddressId;
use crate::route::RouteId;
use crate::time::Nanos;

/// More spare buffers than this are given back to the allocator.
const SPARE_BUFFERS: usize = 1_024;
/// Larger buffers are not kept: they would pin memory for the sake of rare datagrams.
const SPARE_BUFFER_BYTES: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) number: u64,
    pub(crate) route: RouteId,
    /// Where it came from, as seen in the realm in which it travels.
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) destination: AddressId,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    /// Time, order of sending (which breaks ties), slot.
    heap: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    next_order: u64,
    slots: Vec<Option<Flight>>,
    free_slots: Vec<usize>,
    spare_buffers: Vec<Vec<u8>>,
}

impl Flights {
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    pub(crate) fn next_arrival(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(crate) fn push(&mut self, at: Nanos, flight: Flight) {
        let slot = match self.free_slots.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[slot] = Some(flight);
        self.heap.push(Reverse((at, self.next_order, slot)));
        self.next_order += 1;
    }

    /// The next one that arrives at `now` or earlier, with the time at which it does.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, Flight)> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free_slots.push(slot);
        self.slots[slot].take().map(|flight| (at, flight))
    }

    pub(crate) fn buffer_with(&mut self, contents: &[u8]) -> Vec<u8> {
        let mut buffer = self.spare_buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(contents);
        buffer
    }

    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare_buffers.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BUFFER_BYTES {
            self.spare_buffers.push(buffer);
        }
    }
}

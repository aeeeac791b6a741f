//! Buffers that a transport fills and the runs of datagrams that leave them.
//!
//! One batch lives as long as its receive task. Long runs leave in the memory that the kernel wrote them to, so that nothing
//! is copied on the way to decryption; the batch has that memory back as soon as all of a run's datagrams have been dropped,
//! and takes new memory if it needs the buffer before. Short runs are copied out, because a lone acknowledgement that the
//! engine holds on to must not keep 64 KiB of memory alive.

use bytes::BytesMut;
use telemesh_wire::PathAddress;

use crate::Ecn;

/// Size in bytes of one receive buffer: the longest UDP datagram, and the longest run that generic receive offload (GRO)
/// makes, are both below 64 KiB.
pub const BUFFER_SIZE: usize = 65_536;

/// Runs shorter than this many bytes are copied into a buffer that fits them. Up to about here a copy was measured to be
/// cheaper than making the lent buffer whole again, and nobody holds more than four times the memory of what arrived.
pub const COPY_LIMIT: usize = 16_384;

/// What a transport says about a buffer that it has just filled.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Who sent the datagrams.
    pub source: PathAddress,
    /// Bytes in the buffer, all datagrams together.
    pub length: usize,
    /// Length of each datagram in bytes; only the last may be shorter. Zero, and anything not below `length`, means one
    /// datagram.
    pub stride: usize,
    /// Congestion mark, where the transport can tell.
    pub ecn: Option<Ecn>,
}

/// A run of datagrams from one source, in a buffer of its own.
#[derive(Debug)]
pub struct Received {
    /// Who sent them, as seen here. Unauthenticated.
    pub source: PathAddress,
    /// Length of each datagram in bytes; only the last may be shorter. As in [`Arrival`].
    pub stride: usize,
    /// Congestion mark of the whole run.
    pub ecn: Option<Ecn>,
    /// The bytes of all datagrams, one after the other. Empty contents are one empty datagram.
    pub contents: BytesMut,
}

impl Received {
    /// Cuts the run into its datagrams, without copying. Never empty: empty contents are one empty datagram.
    pub fn into_datagrams(self) -> Datagrams {
        let stride = if self.stride == 0 { usize::MAX } else { self.stride };
        Datagrams { stride, rest: Some(self.contents) }
    }
}

/// The datagrams of one run; see [`Received::into_datagrams`].
#[derive(Debug)]
pub struct Datagrams {
    stride: usize,
    rest: Option<BytesMut>,
}

impl Iterator for Datagrams {
    type Item = BytesMut;

    fn next(&mut self) -> Option<BytesMut> {
        let mut first = self.rest.take()?;
        if first.len() > self.stride {
            self.rest = Some(first.split_off(self.stride));
        }
        Some(first)
    }
}

/// The buffers of one receive task, and what the last poll received.
///
/// A transport takes [`buffers`](Self::buffers), fills some and [`commit`](Self::commit)s each; or it hands over what it
/// already has as [`push`](Self::push). The receiver takes everything out with [`drain`](Self::drain).
#[derive(Debug)]
pub struct ReceiveBatch {
    buffers: Vec<BytesMut>,
    received: Vec<Received>,
}

impl ReceiveBatch {
    /// A batch of `buffers` buffers of [`BUFFER_SIZE`] bytes each, at least one. The kernel's batch receive takes up to 32.
    pub fn new(buffers: usize) -> Self {
        let count = buffers.max(1);
        let buffers = (0..count).map(|_| BytesMut::zeroed(BUFFER_SIZE)).collect();
        Self { buffers, received: Vec::with_capacity(count) }
    }

    /// How many more runs fit before the batch has to be drained.
    pub fn room(&self) -> usize {
        self.buffers.len().saturating_sub(self.received.len())
    }

    /// Whether nothing has been received since the last [`drain`](Self::drain).
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The buffers to fill now, [`room`](Self::room) of them, each [`BUFFER_SIZE`] bytes. Their contents are arbitrary.
    pub fn buffers(&mut self) -> impl ExactSizeIterator<Item = &mut [u8]> {
        let room = self.room();
        self.buffers.iter_mut().take(room).map(|buffer| {
            restore(buffer);
            &mut buffer[..]
        })
    }

    /// Takes over what was written to the buffer that [`buffers`](Self::buffers) yielded at `index`. The buffer may be
    /// filled again at once.
    ///
    /// A length beyond the buffer is cut to it, and an index beyond the buffers, like a batch without room, does nothing:
    /// both are mistakes of the transport, and cost a datagram rather than the endpoint.
    pub fn commit(&mut self, index: usize, arrival: Arrival) {
        if self.room() == 0 {
            return;
        }
        let Some(buffer) = self.buffers.get_mut(index) else { return };
        let length = arrival.length.min(buffer.len());
        let contents = if length < COPY_LIMIT {
            BytesMut::from(buffer.get(..length).unwrap_or_default())
        } else {
            buffer.split_to(length)
        };
        self.received.push(Received {
            source: arrival.source,
            stride: arrival.stride,
            ecn: arrival.ecn,
            contents,
        });
    }

    /// Hands over a run that is in a buffer already, as transports in memory have it. Gives it back if there is no room.
    ///
    /// # Errors
    /// The run itself, when the batch is full.
    pub fn push(&mut self, received: Received) -> Result<(), Received> {
        if self.room() == 0 {
            return Err(received);
        }
        self.received.push(received);
        Ok(())
    }

    /// Takes out everything received, in the order of arrival.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = Received> {
        self.received.drain(..)
    }
}

/// Makes a buffer whole again after its front has been lent out: with the same memory if everybody has dropped what they
/// had of it, which is so in a receive task that finishes one batch before the next, and else with new memory.
fn restore(buffer: &mut BytesMut) {
    let lent = BUFFER_SIZE.saturating_sub(buffer.len());
    if lent == 0 {
        return;
    }
    // The rest moves to the front, for which it has to fit there.
    buffer.truncate(lent);
    if buffer.try_reclaim(BUFFER_SIZE.saturating_sub(buffer.len())) {
        buffer.resize(BUFFER_SIZE, 0);
    } else {
        *buffer = BytesMut::zeroed(BUFFER_SIZE);
    }
}

#[cfg(test)]
mod tests;

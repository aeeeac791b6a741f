//! Link packets in QUIC datagrams, in two parts where one is too small.
//!
//! QUIC takes some thirty bytes of each UDP datagram for itself, so that a link packet of 1,200 bytes, which every path has
//! to carry, does not fit a QUIC datagram on a path for 1,200 bytes. Every datagram begins with one byte:
//!
//! | bits | what follows |
//! |---|---|
//! | `00 000000` | a whole packet |
//! | `01 nnnnnn` | the first part of packet *n*, as long as a datagram may be |
//! | `10 nnnnnn` | the rest of packet *n* |
//!
//! In a run of packets that do not fit, up to eight first parts go before their rests: the short rests then share one QUIC
//! packet, so that eight packets take nine instead of sixteen. Parts whose other half does not come are forgotten; what is
//! joined wrongly after a long delay is not authentic, and the link drops it.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

/// Packets of one run whose parts are mixed.
pub const GROUP: usize = 8;

/// Parts that wait for their other half at one time, the oldest is forgotten first: two groups, for parts that overtake.
pub const MAX_WAITING: usize = 2 * GROUP;

/// Bytes in front of each part.
pub const HEADER: usize = 1;

/// Cuts packets into datagrams. One for each connection.
#[derive(Debug, Default)]
pub struct Splitter {
    number: u8,
}

impl Splitter {
    /// The datagrams for up to [`GROUP`] packets, in the order in which they are to be sent; `None` if a packet does not fit
    /// two datagrams of `limit` bytes.
    #[must_use]
    pub fn split<'a>(
        &mut self,
        packets: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
        limit: usize,
    ) -> Option<Vec<Bytes>> {
        let packets = packets.into_iter().take(GROUP);
        let room = limit.saturating_sub(HEADER);
        let bytes = packets.clone().map(|packet| packet.len() + 2 * HEADER).sum();
        let (mut buffer, mut datagrams) = (BytesMut::with_capacity(bytes), Vec::with_capacity(2 * GROUP));
        let mut write = |header: u8, part: &[u8]| {
            buffer.put_u8(header);
            buffer.extend_from_slice(part);
            datagrams.push(buffer.split().freeze());
        };
        let mut rests = [(0, &[][..]); GROUP];
        for (packet, rest) in packets.zip(&mut rests) {
            if packet.len() > 2 * room {
                return None;
            }
            match packet.split_at_checked(room) {
                Some((first, second)) if !second.is_empty() => {
                    self.number = (self.number + 1) & NUMBER;
                    write(FIRST | self.number, first);
                    *rest = (SECOND | self.number, second);
                }
                _ => write(WHOLE, packet),
            }
        }
        rests.iter().filter(|(header, _)| *header != 0).for_each(|(header, rest)| write(*header, rest));
        Some(datagrams)
    }
}

/// A packet as it came: whole, or in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    first: Bytes,
    second: Bytes,
}

impl Packet {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.first.len() + self.second.len()
    }

    /// Appends its bytes.
    pub fn write(&self, to: &mut BytesMut) {
        to.extend_from_slice(&self.first);
        to.extend_from_slice(&self.second);
    }
}

/// Makes packets of datagrams again. One for each connection; it holds [`MAX_WAITING`] datagrams at most.
#[derive(Debug, Default)]
pub struct Joiner {
    waiting: VecDeque<Bytes>,
}

impl Joiner {
    /// The packet that is complete with this datagram. What is not understood is dropped.
    pub fn join(&mut self, datagram: Bytes) -> Option<Packet> {
        let &header = datagram.first()?;
        match header & KIND {
            WHOLE => {
                (header == WHOLE).then(|| Packet { first: datagram.slice(HEADER..), second: Bytes::new() })
            }
            FIRST | SECOND if datagram.len() > HEADER => self.join_part(header, datagram),
            _ => None,
        }
    }

    fn join_part(&mut self, header: u8, datagram: Bytes) -> Option<Packet> {
        let is = |wanted: u8| move |part: &Bytes| part.first() == Some(&wanted);
        if let Some(other) =
            self.waiting.iter().position(is(header ^ KIND)).and_then(|at| self.waiting.remove(at))
        {
            let (first, second) = if header & KIND == FIRST { (datagram, other) } else { (other, datagram) };
            return Some(Packet { first: first.slice(HEADER..), second: second.slice(HEADER..) });
        }
        match self.waiting.iter_mut().find(|part| is(header)(part)) {
            Some(older) => *older = datagram,
            None => {
                if self.waiting.len() >= MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(datagram);
            }
        }
        None
    }

    /// Parts that wait for their other half.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

const KIND: u8 = 0b1100_0000;
const WHOLE: u8 = 0b0000_0000;
const FIRST: u8 = 0b0100_0000;
const SECOND: u8 = 0b1000_0000;
const NUMBER: u8 = 0b0011_1111;

#[cfg(test)]
mod tests;

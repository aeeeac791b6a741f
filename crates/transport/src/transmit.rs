//! What is handed to a transport for sending: one run of equally long datagrams to one destination.

use telemesh_wire::PathAddress;

/// The longest datagram that any transport takes, in bytes: what fits UDP over IPv4 (65,535 minus 20 bytes of IPv4 header
/// and 8 of UDP header). The contents of one segmented transmit should stay within it too, since the kernel takes a whole
/// run as one such packet.
pub const MAX_DATAGRAM: usize = 65_507;

/// Explicit congestion notification codepoint of a datagram ([RFC 3168, section 5]). Its absence means "not ECN-capable".
///
/// [RFC 3168, section 5]: https://www.rfc-editor.org/rfc/rfc3168#section-5
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECN-capable transport, codepoint `10`: what senders set.
    Ect0,
    /// ECN-capable transport, codepoint `01`.
    Ect1,
    /// Congestion experienced, codepoint `11`: set by a router on the way instead of dropping the datagram.
    Ce,
}

/// One run of datagrams for one destination.
///
/// `contents` is cut into segments of `segment_size` bytes, of which only the last may be shorter; each segment is one
/// datagram. Empty contents are one empty datagram.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// Where the datagrams go.
    pub destination: PathAddress,
    /// Length of each datagram in bytes. Zero, and anything not below the length of `contents`, means one datagram.
    pub segment_size: usize,
    /// The bytes of all datagrams, one after the other; at most [`MAX_DATAGRAM`] if a transport is to send them in one call.
    pub contents: &'a [u8],
    /// Codepoint to mark the datagrams with, where the transport can.
    pub ecn: Option<Ecn>,
}

impl<'a> Transmit<'a> {
    /// One datagram without a congestion mark.
    pub fn single(destination: PathAddress, contents: &'a [u8]) -> Self {
        Self { destination, segment_size: contents.len(), contents, ecn: None }
    }

    /// A run of datagrams of `segment_size` bytes each, the last one possibly shorter, without a congestion mark.
    pub fn segmented(destination: PathAddress, contents: &'a [u8], segment_size: usize) -> Self {
        Self { destination, segment_size, contents, ecn: None }
    }

    /// Length in bytes of the longest datagram of this run: `segment_size` cut to the length of the contents.
    pub fn datagram_size(&self) -> usize {
        match self.segment_size {
            0 => self.contents.len(),
            size => size.min(self.contents.len()),
        }
    }

    /// The datagrams in order, for transports that send one at a time. Never empty: empty contents are one empty datagram.
    pub fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // `chunks` yields nothing for an empty slice, and panics for chunks of zero bytes.
        let empty = self.contents.is_empty().then_some(self.contents);
        empty.into_iter().chain(self.contents.chunks(self.datagram_size().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination() -> PathAddress {
        PathAddress::Udp(([192, 0, 2, 1], 42_424).into())
    }

    fn lengths(transmit: &Transmit<'_>) -> Vec<usize> {
        transmit.datagrams().map(<[u8]>::len).collect()
    }

    #[test]
    fn a_run_is_cut_into_equal_datagrams_and_a_shorter_last_one() {
        let contents = [7u8; 1_000];
        assert_eq!(lengths(&Transmit::segmented(destination(), &contents, 300)), [300, 300, 300, 100]);
        assert_eq!(lengths(&Transmit::segmented(destination(), &contents, 500)), [500, 500]);
    }

    #[test]
    fn a_segment_size_of_zero_or_beyond_the_contents_is_one_datagram() {
        let contents = [7u8; 10];
        for size in [0, 10, 11, usize::MAX] {
            let transmit = Transmit::segmented(destination(), &contents, size);
            assert_eq!(lengths(&transmit), [10], "segment size {size}");
            assert_eq!(transmit.datagram_size(), 10);
        }
    }

    #[test]
    fn empty_contents_are_one_empty_datagram() {
        assert_eq!(lengths(&Transmit::single(destination(), &[])), [0]);
        assert_eq!(lengths(&Transmit::segmented(destination(), &[], 1_452)), [0]);
    }
}

//! What can be read of a QUIC datagram without keys: its kind and its destination id ([RFC 8999], [RFC 9000, section 17]).
//!
//! [RFC 8999]: https://www.rfc-editor.org/rfc/rfc8999
//! [RFC 9000, section 17]: https://www.rfc-editor.org/rfc/rfc9000#section-17

use crate::ids::LOCAL_ID_LENGTH;

/// The only version that is spoken here.
pub(crate) const VERSION: u32 = 1;

/// Kinds of packets that may begin a datagram between two telemesh endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first flight of a handshake, in either direction.
    Initial,
    /// The rest of a handshake.
    Handshake,
    /// Everything after it.
    OneRtt,
}

/// The outside of a datagram's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The connection id that it is for.
    pub destination: &'a [u8],
}

impl<'a> Outside<'a> {
    /// Reads a datagram's first bytes. `None` for whatever has no place here: other versions and their negotiation, 0-RTT,
    /// Retry, packets without the fixed bit, and what is too short.
    #[must_use]
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let (&first, rest) = datagram.split_first()?;
        if first & FIXED_BIT == 0 {
            return None;
        }
        if first & LONG_HEADER == 0 {
            let destination = rest.get(..LOCAL_ID_LENGTH)?;
            return Some(Self { kind: Kind::OneRtt, destination });
        }
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (&length, rest) = rest.split_first()?;
        let destination = rest.get(..usize::from(length))?;
        if u32::from_be_bytes(*version) != VERSION {
            return None;
        }
        let kind = match first & PACKET_TYPE {
            INITIAL => Kind::Initial,
            HANDSHAKE => Kind::Handshake,
            _ => return None,
        };
        Some(Self { kind, destination })
    }
}

const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;
const PACKET_TYPE: u8 = 0x30;
const INITIAL: u8 = 0x00;
const HANDSHAKE: u8 = 0x20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn long(first: u8, version: u32, destination: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(version.to_be_bytes());
        packet.push(u8::try_from(destination.len()).unwrap());
        packet.extend(destination);
        packet
    }

    #[test]
    fn the_three_kinds_are_told_apart() {
        let kind = |packet: &[u8]| Outside::read(packet).map(|outside| outside.kind);
        assert_eq!(kind(&long(0xc3, 1, &[7; 20])), Some(Kind::Initial));
        assert_eq!(kind(&long(0xe0, 1, &[7; 8])), Some(Kind::Handshake));
        assert_eq!(kind(&[0x40, 1, 2, 3, 4, 5, 6, 7, 8]), Some(Kind::OneRtt));
    }

    #[test]
    fn what_has_no_place_here_is_nothing() {
        for (name, packet) in [
            ("version negotiation", long(0xc0, 0, &[7; 20])),
            ("another version", long(0xc0, 2, &[7; 20])),
            ("0-RTT", long(0xd0, 1, &[7; 20])),
            ("Retry", long(0xf0, 1, &[7; 20])),
            ("no fixed bit", long(0x80, 1, &[7; 20])),
            ("a short header without the fixed bit", vec![0x00; 40]),
            ("a short header without an id", vec![0x40; 8]),
            ("an id that is cut off", long(0xc0, 1, &[7; 20])[..20].to_vec()),
            ("nothing", Vec::new()),
        ] {
            assert_eq!(Outside::read(&packet), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_read_or_not(datagram in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(outside) = Outside::read(&datagram) {
                prop_assert!(datagram.len() > outside.destination.len());
                prop_assert!(datagram[0] & FIXED_BIT != 0);
            }
        }
    }
}

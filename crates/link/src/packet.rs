//! Bytes of the link's packets: the layout of each type, parsing, and writing headers. No cryptography, no state.
//!
//! Every packet starts with one type byte and three zero bytes. Integers are little-endian. A packet whose size, type or
//! zero bytes are wrong is dropped; nothing here allocates or panics, whatever comes in.
//!
//! Initiation (type 1), exactly 1,200 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `01 00 00 00` |
//! | 4 | 1 | cipher set |
//! | 5 | 4 | sender index: where the initiator wants the response |
//! | 9 | 1,151 | Noise message 1: ephemeral 32, encrypted static key 48, encrypted payload 1,055 + 16 |
//! | 1,160 | 16 | mac1 over everything before it |
//! | 1,176 | 8 | return id: that of a return tag, or zero |
//! | 1,184 | 16 | mac2 over everything before it, under the tag's key or a cookie; zero when there is neither |
//!
//! Response (type 2), exactly 1,200 bytes, so that it is never larger than what it answers and proves that the path
//! carries this size both ways:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `02 00 00 00` |
//! | 4 | 1 | cipher set |
//! | 5 | 4 | sender index: where the responder wants data |
//! | 9 | 4 | receiver index: the sender index of the initiation |
//! | 13 | 1,147 | Noise message 2: ephemeral 32, encrypted payload 1,099 + 16 |
//! | 1,160 | 16 | mac1 over everything before it, under the key that the initiation's `Hello` named |
//! | 1,176 | 24 | zero, not read |
//!
//! Both payloads are a 2-byte length, that many bytes of message, and zeros up to the full size.
//!
//! Cookie (type 3), exactly 64 bytes: see [`crate::cookie`].
//!
//! Data (type 4), 32 to 65,507 bytes; the 16 bytes of header are the associated data of the AEAD:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `04 00 00 00` |
//! | 4 | 4 | receiver index |
//! | 8 | 8 | counter |
//! | 16 | n | ciphertext |
//! | 16 + n | 16 | tag |
//!
//! Circuit (type 5), 44 to 65,507 bytes: what goes through a router, which reads no more than this header:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `05 00 00 00` |
//! | 4 | 8 | number of the circuit on this link |
//! | 12 | n | a packet of type 1 to 4 |
//!
//! Inside a data packet, a first byte with bit 0x40 set and bit 0x80 clear means an engine packet, the whole of it.
//! Otherwise the first byte is an [`Inner`] type, and no byte at all is a keepalive.

use telemesh_hashname::CipherSetId;
use telemesh_wire::CircuitId;

/// Size of an initiation and of a response in bytes.
///
/// The largest size that every path has to carry (the engine never goes lower either), so that a handshake that went
/// through proves the path.
pub const HANDSHAKE_SIZE: usize = 1_200;
/// Size of a cookie packet in bytes: far smaller than the initiation that it answers.
pub const COOKIE_SIZE: usize = 4 + 4 + COOKIE_NONCE_SIZE + MAC_SIZE + TAG_SIZE;
/// Bytes in front of the ciphertext of a data packet; they are its associated data.
pub const DATA_HEADER_SIZE: usize = 16;
/// Bytes of authentication tag at the end of a data packet.
pub const TAG_SIZE: usize = 16;
/// What a data packet adds to its plaintext.
pub const DATA_OVERHEAD: usize = DATA_HEADER_SIZE + TAG_SIZE;
/// Smallest data packet: a keepalive.
pub const DATA_MIN_SIZE: usize = DATA_OVERHEAD;
/// Largest data packet: what fits one UDP datagram over IPv4.
pub const DATA_MAX_SIZE: usize = 65_507;

/// Bytes in front of the packet inside a circuit packet.
pub const CIRCUIT_HEADER_SIZE: usize = 12;

/// Bytes of the Noise message in an initiation.
pub(crate) const NOISE_1_SIZE: usize = MAC1_OFFSET - INITIATION_NOISE_OFFSET;
/// Bytes of the Noise message in a response.
pub(crate) const NOISE_2_SIZE: usize = MAC1_OFFSET - RESPONSE_NOISE_OFFSET;
/// What Noise IK message 1 adds to its payload: ephemeral key, static key and tag, tag.
pub(crate) const NOISE_1_OVERHEAD: usize = 32 + 48 + 16;
/// What Noise IK message 2 adds to its payload: ephemeral key, tag.
pub(crate) const NOISE_2_OVERHEAD: usize = 32 + 16;
/// Payload of message 1, padding and length field included.
pub(crate) const PAYLOAD_1_SIZE: usize = NOISE_1_SIZE - NOISE_1_OVERHEAD;
/// Payload of message 2, padding and length field included.
pub(crate) const PAYLOAD_2_SIZE: usize = NOISE_2_SIZE - NOISE_2_OVERHEAD;

/// Bytes of the nonce in a cookie packet.
pub(crate) const COOKIE_NONCE_SIZE: usize = 24;
/// Bytes of mac1, of mac2 and of a cookie.
pub(crate) const MAC_SIZE: usize = 16;
/// mac1, return id (8) and mac2 end both handshake packets, so mac1 is at the same place in both.
const MAC1_OFFSET: usize = RETURN_ID_OFFSET - MAC_SIZE;
const RETURN_ID_OFFSET: usize = MAC2_OFFSET - 8;
const MAC2_OFFSET: usize = HANDSHAKE_SIZE - MAC_SIZE;
const INITIATION_NOISE_OFFSET: usize = 9;
const RESPONSE_NOISE_OFFSET: usize = 13;

/// Bits of a receiver index that say which session of the link is meant; the ones above are the link's slot.
pub const GENERATION_BITS: u32 = 12;
/// Number of slots: links that one endpoint can have.
pub const MAX_SLOTS: u32 = 1 << (32 - GENERATION_BITS);

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// No packet type has this size, or the named type has another one.
    #[error("wrong size for a packet of this type")]
    Size,
    /// The three bytes after the type are not zero.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// The type byte is one that is not in use.
    #[error("unknown packet type")]
    UnknownType,
}

/// The type of a packet, as its first four bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketKind {
    /// Type 1: goes to the [`Gate`](crate::Gate).
    Initiation,
    /// Type 2: goes to the link whose slot is in [`receiver_index`].
    Response,
    /// Type 3: goes to the link whose slot is in [`receiver_index`].
    Cookie,
    /// Type 4: goes to the link whose slot is in [`receiver_index`].
    Data,
    /// Type 5: holds another packet, and goes to the other end of the circuit with this [`circuit_id`].
    Circuit,
}

/// Tells the type of a packet and checks that its size is one that the type allows.
///
/// # Errors
///
/// [`PacketError`] for everything that is not a packet for a gate or a link.
pub fn classify(packet: &[u8]) -> Result<PacketKind, PacketError> {
    let (kind, sizes) = match packet {
        [1..=5, a, b, c, ..] if (a | b | c) != 0 => return Err(PacketError::Reserved),
        [1, ..] => (PacketKind::Initiation, HANDSHAKE_SIZE..=HANDSHAKE_SIZE),
        [2, ..] => (PacketKind::Response, HANDSHAKE_SIZE..=HANDSHAKE_SIZE),
        [3, ..] => (PacketKind::Cookie, COOKIE_SIZE..=COOKIE_SIZE),
        [4, ..] => (PacketKind::Data, DATA_MIN_SIZE..=DATA_MAX_SIZE),
        [5, ..] => (PacketKind::Circuit, CIRCUIT_HEADER_SIZE + DATA_MIN_SIZE..=DATA_MAX_SIZE),
        [] => return Err(PacketError::Size),
        _ => return Err(PacketError::UnknownType),
    };
    if sizes.contains(&packet.len()) { Ok(kind) } else { Err(PacketError::Size) }
}

/// The receiver index of a response, a cookie or a data packet; `None` for every other packet.
///
/// Its slot, [`slot_of`], says which link the packet is for; nothing has been authenticated yet.
#[must_use]
pub fn receiver_index(packet: &[u8]) -> Option<u32> {
    match classify(packet).ok()? {
        PacketKind::Initiation | PacketKind::Circuit => None,
        PacketKind::Response => read_u32(packet, 9),
        PacketKind::Cookie | PacketKind::Data => read_u32(packet, 4),
    }
}

/// The slot in a receiver index: 0 to [`MAX_SLOTS`] - 1.
#[must_use]
pub const fn slot_of(receiver_index: u32) -> u32 {
    receiver_index >> GENERATION_BITS
}

/// The number of the circuit that a circuit packet is for; `None` for every other packet.
#[must_use]
pub fn circuit_id(packet: &[u8]) -> Option<CircuitId> {
    match classify(packet).ok()? {
        PacketKind::Circuit => Some(CircuitId::from_bytes(*packet.get(4..)?.first_chunk()?)),
        _ => None,
    }
}

/// Makes a circuit packet one of another circuit. Does nothing to bytes that are no circuit packet.
pub fn set_circuit_id(packet: &mut [u8], id: CircuitId) {
    if let Some(place) = packet.get_mut(4..).and_then(<[u8]>::first_chunk_mut) {
        *place = id.to_bytes();
    }
}

/// What stands in front of a packet inside a circuit.
pub(crate) fn circuit_header(id: CircuitId) -> [u8; CIRCUIT_HEADER_SIZE] {
    let [a, b, c, d, e, f, g, h] = id.to_bytes();
    [5, 0, 0, 0, a, b, c, d, e, f, g, h]
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// An initiation whose size and reserved bytes are right, and nothing else is known of it.
pub(crate) struct Initiation<'a> {
    pub(crate) csid: CipherSetId,
    pub(crate) sender_index: u32,
    pub(crate) noise: &'a [u8],
    /// What mac1 covers.
    pub(crate) covered: &'a [u8],
    pub(crate) mac1: &'a [u8; MAC_SIZE],
    /// Zero when it names no return tag.
    pub(crate) return_id: u64,
    /// What mac2 covers.
    pub(crate) covered_by_mac2: &'a [u8],
    pub(crate) mac2: &'a [u8; MAC_SIZE],
}

impl<'a> Initiation<'a> {
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Self, PacketError> {
        if classify(packet)? != PacketKind::Initiation {
            return Err(PacketError::UnknownType);
        }
        Self::split(packet).ok_or(PacketError::Size)
    }

    fn split(packet: &'a [u8]) -> Option<Self> {
        Some(Self {
            csid: CipherSetId::new(*packet.get(4)?),
            sender_index: read_u32(packet, 5)?,
            noise: packet.get(INITIATION_NOISE_OFFSET..MAC1_OFFSET)?,
            covered: packet.get(..MAC1_OFFSET)?,
            mac1: packet.get(MAC1_OFFSET..)?.first_chunk()?,
            return_id: u64::from_le_bytes(*packet.get(RETURN_ID_OFFSET..)?.first_chunk()?),
            covered_by_mac2: packet.get(..MAC2_OFFSET)?,
            mac2: packet.get(MAC2_OFFSET..)?.first_chunk()?,
        })
    }

    /// Writes an initiation except for its mac1, return id and mac2, which are zero.
    pub(crate) fn write(csid: CipherSetId, sender_index: u32, noise: &[u8; NOISE_1_SIZE]) -> Box<[u8]> {
        let mut packet = Vec::with_capacity(HANDSHAKE_SIZE);
        packet.extend_from_slice(&[1, 0, 0, 0, csid.number()]);
        packet.extend_from_slice(&sender_index.to_le_bytes());
        packet.extend_from_slice(noise);
        packet.resize(HANDSHAKE_SIZE, 0);
        packet.into_boxed_slice()
    }
}

/// A response whose size and reserved bytes are right, and nothing else is known of it.
pub(crate) struct Response<'a> {
    pub(crate) csid: CipherSetId,
    pub(crate) sender_index: u32,
    pub(crate) receiver_index: u32,
    pub(crate) noise: &'a [u8],
    pub(crate) covered: &'a [u8],
    pub(crate) mac1: &'a [u8; MAC_SIZE],
}

impl<'a> Response<'a> {
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Self, PacketError> {
        if classify(packet)? != PacketKind::Response {
            return Err(PacketError::UnknownType);
        }
        Self::split(packet).ok_or(PacketError::Size)
    }

    fn split(packet: &'a [u8]) -> Option<Self> {
        Some(Self {
            csid: CipherSetId::new(*packet.get(4)?),
            sender_index: read_u32(packet, 5)?,
            receiver_index: read_u32(packet, 9)?,
            noise: packet.get(RESPONSE_NOISE_OFFSET..MAC1_OFFSET)?,
            covered: packet.get(..MAC1_OFFSET)?,
            mac1: packet.get(MAC1_OFFSET..)?.first_chunk()?,
        })
    }

    /// Writes a response except for its mac1, return id and mac2, which are zero.
    pub(crate) fn write(
        csid: CipherSetId,
        sender_index: u32,
        receiver_index: u32,
        noise: &[u8; NOISE_2_SIZE],
    ) -> Box<[u8]> {
        let mut packet = Vec::with_capacity(HANDSHAKE_SIZE);
        packet.extend_from_slice(&[2, 0, 0, 0, csid.number()]);
        packet.extend_from_slice(&sender_index.to_le_bytes());
        packet.extend_from_slice(&receiver_index.to_le_bytes());
        packet.extend_from_slice(noise);
        packet.resize(HANDSHAKE_SIZE, 0);
        packet.into_boxed_slice()
    }
}

/// The bytes of a handshake packet that its mac1 covers, and the place of mac1.
pub(crate) fn split_mac1(packet: &mut [u8]) -> Option<(&[u8], &mut [u8; MAC_SIZE])> {
    let (covered, rest) = packet.split_at_mut_checked(MAC1_OFFSET)?;
    Some((covered, rest.first_chunk_mut()?))
}

/// The bytes of an initiation that its mac2 covers, with this return id written into them, and the place of mac2.
pub(crate) fn split_mac2(packet: &mut [u8], return_id: u64) -> Option<(&[u8], &mut [u8; MAC_SIZE])> {
    *packet.get_mut(RETURN_ID_OFFSET..)?.first_chunk_mut()? = return_id.to_le_bytes();
    let (covered, rest) = packet.split_at_mut_checked(MAC2_OFFSET)?;
    Some((covered, rest.first_chunk_mut()?))
}

/// A cookie packet whose size and reserved bytes are right, and nothing else is known of it.
pub(crate) struct Cookie<'a> {
    pub(crate) receiver_index: u32,
    pub(crate) nonce: &'a [u8; COOKIE_NONCE_SIZE],
    /// The cookie, encrypted, and the tag.
    pub(crate) sealed: &'a [u8; MAC_SIZE + TAG_SIZE],
}

impl<'a> Cookie<'a> {
    pub(crate) fn parse(packet: &'a [u8]) -> Result<Self, PacketError> {
        if classify(packet)? != PacketKind::Cookie {
            return Err(PacketError::UnknownType);
        }
        Self::split(packet).ok_or(PacketError::Size)
    }

    fn split(packet: &'a [u8]) -> Option<Self> {
        let (nonce, sealed) = packet.get(8..)?.split_first_chunk()?;
        Some(Self { receiver_index: read_u32(packet, 4)?, nonce, sealed: sealed.try_into().ok()? })
    }

    /// Writes a cookie packet.
    pub(crate) fn write(
        receiver_index: u32,
        nonce: &[u8; COOKIE_NONCE_SIZE],
        encrypted: &[u8; MAC_SIZE],
        tag: &[u8; TAG_SIZE],
    ) -> Box<[u8]> {
        let mut packet = Vec::with_capacity(COOKIE_SIZE);
        packet.extend_from_slice(&[3, 0, 0, 0]);
        packet.extend_from_slice(&receiver_index.to_le_bytes());
        packet.extend_from_slice(nonce);
        packet.extend_from_slice(encrypted);
        packet.extend_from_slice(tag);
        packet.into_boxed_slice()
    }
}

/// A data packet taken apart, so that its payload can be decrypted in place.
pub(crate) struct DataMut<'a> {
    pub(crate) header: [u8; DATA_HEADER_SIZE],
    pub(crate) receiver_index: u32,
    pub(crate) counter: u64,
    /// Ciphertext and tag.
    pub(crate) sealed: &'a mut [u8],
}

impl<'a> DataMut<'a> {
    pub(crate) fn parse(packet: &'a mut [u8]) -> Result<Self, PacketError> {
        if classify(packet)? != PacketKind::Data {
            return Err(PacketError::UnknownType);
        }
        let (header, sealed) = packet.split_first_chunk_mut().ok_or(PacketError::Size)?;
        let header: [u8; DATA_HEADER_SIZE] = *header;
        let [_, _, _, _, i0, i1, i2, i3, counter @ ..] = header;
        let receiver_index = u32::from_le_bytes([i0, i1, i2, i3]);
        Ok(Self { header, receiver_index, counter: u64::from_le_bytes(counter), sealed })
    }
}

/// The header of a data packet.
pub(crate) fn data_header(receiver_index: u32, counter: u64) -> [u8; DATA_HEADER_SIZE] {
    let [i0, i1, i2, i3] = receiver_index.to_le_bytes();
    let [c0, c1, c2, c3, c4, c5, c6, c7] = counter.to_le_bytes();
    [4, 0, 0, 0, i0, i1, i2, i3, c0, c1, c2, c3, c4, c5, c6, c7]
}

/// First byte of the plaintext of a data packet that is not an engine packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    /// An engine packet; the byte is part of it.
    Engine,
    /// An 8-byte token that the receiver sends back, then padding.
    Probe,
    /// The token of a probe, and the address from which the probe came.
    ProbeAnswer,
    /// A `Control` message.
    Control,
    /// One message of an unreliable channel.
    Message,
    /// One half of a plaintext that does not fit the path.
    Fragment,
}

impl Inner {
    pub(crate) const PROBE: u8 = 1;
    pub(crate) const PROBE_ANSWER: u8 = 2;
    pub(crate) const CONTROL: u8 = 3;
    pub(crate) const MESSAGE: u8 = 4;
    pub(crate) const FRAGMENT: u8 = 5;

    /// What a plaintext with this first byte is.
    pub(crate) fn of(first: u8) -> Option<Self> {
        match first {
            0x40..=0x7f => Some(Self::Engine),
            Self::PROBE => Some(Self::Probe),
            Self::PROBE_ANSWER => Some(Self::ProbeAnswer),
            Self::CONTROL => Some(Self::Control),
            Self::MESSAGE => Some(Self::Message),
            Self::FRAGMENT => Some(Self::Fragment),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

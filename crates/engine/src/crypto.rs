//! The crypto session that passes bytes through: the link has already authenticated and encrypted.
//!
//! Three things need care. *Key updates happen* (RFC 9001, section 6), and a `decrypt` that always
//! succeeds would take a late packet for another update. *Packet numbers are cut short* (section 17.1 of
//! RFC 9000), and it would take a very late packet for a later one. So each packet carries one byte of
//! tag that says both, and a wrong one fails to decrypt, as it would in QUIC. And *transport parameters* of the other
//! half are made up locally, so they must be what the real other side honours whatever its own
//! configuration: [`fixed_parameters`] replaces the windows by the protocol's constants.

use std::any::Any;
use std::sync::Arc;

use bytes::BytesMut;
use quinn_proto::crypto::{
    self, AeadKey, CryptoError, ExportKeyingMaterialError, HandshakeTokenKey, HeaderKey, HmacKey, KeyPair,
    Keys, PacketKey, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError, TransportErrorCode};
use ring::hmac;

use crate::config::{INITIAL_LINK_WINDOW, INITIAL_STREAM_WINDOW};

/// Bytes behind each packet: see [`Generation::mark`].
pub(crate) const TAG: usize = 3;

/// Starts pass-through sessions for either side.
#[derive(Debug)]
pub(crate) struct PassThrough;

impl crypto::ClientConfig for PassThrough {
    fn start_session(
        self: Arc<Self>,
        _version: u32,
        _server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        Ok(Box::new(Session::new(Side::Client, params)))
    }
}

impl crypto::ServerConfig for PassThrough {
    fn initial_keys(&self, _version: u32, _dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        Ok(keys(0))
    }

    fn retry_tag(&self, _version: u32, _orig_dst_cid: &ConnectionId, _packet: &[u8]) -> [u8; 16] {
        [0; 16] // Never called: no Retry is ever sent.
    }

    fn start_session(
        self: Arc<Self>,
        _version: u32,
        params: &TransportParameters,
    ) -> Box<dyn crypto::Session> {
        Box::new(Session::new(Side::Server, params))
    }
}

/// How far the local handshake has come. Each side sends its parameters once and gets two sets of
/// keys, in the order that QUIC's state machine expects of TLS (RFC 9001, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Client: send the hello. Server: wait for it.
    Hello,
    /// Hand out the keys of the handshake space.
    HandshakeKeys,
    /// Client: wait for the server's end. Server: send it, and hand out the keys for data.
    End,
    /// Client: send the end. Server: wait for it.
    ClientEnd,
    Done,
}

struct Session {
    side: Side,
    stage: Stage,
    local: Vec<u8>,
    remote: Option<TransportParameters>,
    generation: u8,
}

impl Session {
    fn new(side: Side, params: &TransportParameters) -> Self {
        let mut encoded = Vec::new();
        params.write(&mut encoded);
        Self { side, stage: Stage::Hello, local: fixed_parameters(&encoded), remote: None, generation: 0 }
    }

    fn read_parameters(&mut self, buf: &[u8]) -> Result<(), TransportError> {
        let mut reader = buf;
        self.remote = Some(TransportParameters::read(self.side, &mut reader).map_err(TransportError::from)?);
        Ok(())
    }
}

/// A single byte that stands for TLS's Finished.
const END: u8 = 0xfe;

impl crypto::Session for Session {
    fn initial_keys(&self, _dst_cid: &ConnectionId, _side: Side) -> Keys {
        keys(0)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        // A client that has heard the server's end is done, though its own end is still to be sent.
        !matches!((self.side, self.stage), (_, Stage::Done) | (Side::Client, Stage::ClientEnd))
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        match (self.side, self.stage) {
            (Side::Server, Stage::Hello) => {
                self.read_parameters(buf)?;
                self.stage = Stage::HandshakeKeys;
            }
            (Side::Client, Stage::HandshakeKeys) if self.remote.is_none() => self.read_parameters(buf)?,
            (Side::Client, Stage::End) if buf == [END] => self.stage = Stage::ClientEnd,
            (Side::Server, Stage::ClientEnd) if buf == [END] => self.stage = Stage::Done,
            _ => {
                return Err(TransportError {
                    code: TransportErrorCode::PROTOCOL_VIOLATION,
                    frame: None,
                    reason: "unexpected local handshake message".into(),
                });
            }
        }
        Ok(false)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        Ok(self.remote)
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        match (self.side, self.stage) {
            (Side::Client, Stage::Hello) => {
                buf.extend_from_slice(&self.local);
                self.stage = Stage::HandshakeKeys;
                None
            }
            (Side::Client, Stage::HandshakeKeys) if self.remote.is_some() => {
                self.stage = Stage::End;
                Some(keys(0))
            }
            (Side::Server, Stage::HandshakeKeys) => {
                buf.extend_from_slice(&self.local);
                self.stage = Stage::End;
                Some(keys(0))
            }
            (Side::Server, Stage::End) => {
                buf.push(END);
                self.stage = Stage::ClientEnd;
                Some(keys(0))
            }
            (Side::Client, Stage::ClientEnd) => {
                buf.push(END);
                self.stage = Stage::Done;
                Some(keys(0))
            }
            _ => None,
        }
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.generation = self.generation.wrapping_add(1);
        Some(packet_keys(self.generation))
    }

    fn is_valid_retry(&self, _orig_dst_cid: &ConnectionId, _header: &[u8], _payload: &[u8]) -> bool {
        false
    }

    fn export_keying_material(
        &self,
        _output: &mut [u8],
        _label: &[u8],
        _context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}

fn keys(generation: u8) -> Keys {
    Keys {
        header: KeyPair { local: Box::new(ClearHeader), remote: Box::new(ClearHeader) },
        packet: packet_keys(generation),
    }
}

fn packet_keys(generation: u8) -> KeyPair<Box<dyn PacketKey>> {
    KeyPair { local: Box::new(Generation(generation)), remote: Box::new(Generation(generation)) }
}

/// Headers need no protection inside an encrypted packet.
struct ClearHeader;

impl HeaderKey for ClearHeader {
    fn decrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn encrypt(&self, _pn_offset: usize, _packet: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        0
    }
}

/// Marks packets with the generation of their keys and with their number, instead of sealing them.
struct Generation(u8);

impl Generation {
    /// 22 bits of the packet's number, the ones above its lowest byte, then two of the generation. Little-endian.
    ///
    /// A packet says the last one to four bytes of its number; when it is late, it is read as another that ends alike. It can be
    /// late by all that goes out while the link still opens what came under the session before: these bits tell it apart until
    /// that is 2^30 packets. Of key updates there is one per side.
    fn mark(&self, packet: u64) -> [u8; TAG] {
        let [_, low, middle, high, ..] = packet.to_le_bytes();
        [low, middle, self.0 << 6 | high & 0x3f]
    }
}

impl PacketKey for Generation {
    fn encrypt(&self, packet: u64, buf: &mut [u8], _header_len: usize) {
        if let Some(tag) = buf.last_chunk_mut() {
            *tag = self.mark(packet);
        }
    }

    fn decrypt(&self, packet: u64, _header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        match payload.split_last_chunk() {
            Some((rest, tag)) if *tag == self.mark(packet) => {
                payload.truncate(rest.len());
                Ok(())
            }
            _ => Err(CryptoError),
        }
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

/// A real HMAC for stateless reset tokens: a constant token would make packets in clear that end
/// with a NEW_CONNECTION_ID frame look like resets.
pub(crate) struct ResetKey(hmac::Key);

impl ResetKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let tag = hmac::sign(&self.0, data);
        for (out, byte) in signature_out.iter_mut().zip(tag.as_ref()) {
            *out = *byte;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        hmac::verify(&self.0, data, signature).map_err(|_| CryptoError)
    }
}

/// Address tokens are never issued nor accepted.
pub(crate) struct NoTokens;

impl HandshakeTokenKey for NoTokens {
    fn aead_from_hkdf(&self, _random_bytes: &[u8]) -> Box<dyn AeadKey> {
        Box::new(Self)
    }
}

impl AeadKey for NoTokens {
    fn seal(&self, _data: &mut Vec<u8>, _additional_data: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    fn open<'a>(&self, _data: &'a mut [u8], _additional_data: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        Err(CryptoError)
    }
}

/// Transport parameters (RFC 9000, section 18.2) whose values are the protocol's constants.
const MAX_DATA: u64 = 0x04;
const MAX_STREAM_DATA: std::ops::RangeInclusive<u64> = 0x05..=0x07;

/// `encoded` with its flow-control windows replaced by the constants that both ends know.
fn fixed_parameters(encoded: &[u8]) -> Vec<u8> {
    let mut fixed = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((id, length)) = read_varint(&mut rest).zip(read_varint(&mut rest)) {
        let Some((value, after)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) else {
            break;
        };
        rest = after;
        let window = match id {
            MAX_DATA => Some(INITIAL_LINK_WINDOW),
            _ if MAX_STREAM_DATA.contains(&id) => Some(INITIAL_STREAM_WINDOW),
            _ => None,
        };
        write_varint(&mut fixed, id);
        if let Some(window) = window {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, u64::from(window));
            write_varint(&mut fixed, bytes.len() as u64);
            fixed.extend_from_slice(&bytes);
        } else {
            write_varint(&mut fixed, length);
            fixed.extend_from_slice(value);
        }
    }
    fixed
}

/// Reads a variable-length integer (RFC 9000, section 16).
fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let (&first, _) = rest.split_first()?;
    let length = 1usize << (first >> 6);
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    let value = bytes.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
    Some(value & (u64::MAX >> (64 - (8 * length - 2))))
}

/// Writes a variable-length integer below 2^62 in its shortest form, the only one that is accepted.
fn write_varint(out: &mut Vec<u8>, value: u64) {
    let (length, prefix) = match value {
        0..0x40 => (1, 0),
        0x40..0x4000 => (2, 1),
        0x4000..0x4000_0000 => (4, 2),
        _ => (8, 3),
    };
    let bytes = (value | prefix << (8 * length - 2)).to_be_bytes();
    out.extend(bytes.iter().skip(8 - length));
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// RFC 9000, appendix A.3: the number that ends in these bits and is nearest to the one that is due.
    fn decoded(due: u64, number: u64, bits: u32) -> u64 {
        let (window, half) = (1 << bits, 1 << (bits - 1));
        let candidate = due & !(window - 1) | number & (window - 1);
        if candidate + half <= due {
            candidate + window
        } else if candidate > due + half && candidate >= window {
            candidate - window
        } else {
            candidate
        }
    }

    #[test]
    fn a_late_packet_is_never_read_as_another_one() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let mut wrong = 0;
        for round in 0..200_000_u64 {
            let number = rng.random_range(0..1 << 40);
            // From a packet to half a billion, each magnitude as often as the next.
            let late = rng.random_range(0..1_u64 << (1 + round % 29));
            let bits = [8, 16, 24, 32][rng.random_range(0..4)];
            let read = decoded(number + late + 1, number, bits);
            let keys = Generation(0);
            let mut packet = vec![0; 20];
            keys.encrypt(number, &mut packet, 5);
            let mut payload = BytesMut::from(&packet[5..]);
            let opened = keys.decrypt(read, &packet[..5], &mut payload).is_ok();
            assert_eq!(opened, read == number, "{number} in {bits} bits, late by {late}");
            assert!(!opened || payload.len() == 15 - TAG);
            wrong += u64::from(!opened);
        }
        assert!(wrong > 10_000, "only {wrong} packets were late enough to be read as others");
    }

    #[test]
    fn a_packet_without_a_whole_tag_is_refused() {
        for length in 0..TAG {
            assert!(Generation(0).decrypt(0, &[], &mut BytesMut::zeroed(length)).is_err());
        }
    }
}

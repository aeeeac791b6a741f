//! Hello and its reply: what both ends say about themselves inside the handshake's encrypted payloads.

use std::net::SocketAddr;

use prost::Message as _;
use zeroize::{Zeroize, Zeroizing};

use crate::address::{socket_address_from_bytes, socket_address_to_bytes};
use crate::credential::{Credential, ResponseMacKey};
use crate::error::{DecodeError, InvalidValue};
use crate::generated;
use crate::key_digests::{KEY_DIGESTS_FIELD, KeyDigests};
use crate::limits::MAX_HELLO_LENGTH;
use crate::shape::{Field, Shape};

/// Payload of the handshake's first message.
///
/// It can be replayed by whoever recorded it, so nothing may follow from it beyond the trust decision and what the
/// handshake's own replay rules allow. Encoded it has at most [`MAX_HELLO_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The sender's cipher sets and key digests, and so its hashname. That the key used in the handshake is one of
    /// these is for the handshake to check.
    pub keys: KeyDigests,
    /// When this copy was sent, in microseconds since 1970. Always higher than in any copy sent before.
    pub at: u64,
    /// Random, drawn when the sender's process started. Another one means that the sender restarted.
    pub incarnation: u64,
    /// Version of the sender's engine for reliable channels: both must have the same to start one without a packet.
    pub engine_version: u32,
    /// One bit per optional ability; unknown bits mean nothing.
    pub features: u64,
    /// Why the sender should be let in. May be empty.
    pub credential: Credential,
    /// The key under which the answer to this message is marked. In a reply it has no use yet and is zero.
    pub response_mac_key: ResponseMacKey,
}

impl Hello {
    /// The message's bytes, at most [`MAX_HELLO_LENGTH`]. They contain secrets and are wiped when dropped.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut raw = self.to_raw();
        let bytes = Zeroizing::new(raw.encode_to_vec());
        wipe(&mut raw);
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        HELLO_SHAPE.check(bytes)?;
        let raw = generated::Hello::decode(bytes).map_err(|_| MALFORMED)?;
        Self::from_raw(raw)
    }

    fn to_raw(&self) -> generated::Hello {
        generated::Hello {
            key_digests: self.keys.to_raw(),
            at: self.at,
            incarnation: self.incarnation,
            engine_version: self.engine_version,
            features: self.features,
            credential: self.credential.as_bytes().to_vec(),
            response_mac_key: self.response_mac_key.as_bytes().to_vec(),
        }
    }

    fn from_raw(mut raw: generated::Hello) -> Result<Self, DecodeError> {
        let response_mac_key = raw.response_mac_key.as_slice().try_into().map(ResponseMacKey::from_bytes);
        let length = raw.response_mac_key.len();
        let credential = Credential::new(std::mem::take(&mut raw.credential));
        wipe(&mut raw);
        if length == 0 {
            return Err(DecodeError::Missing { what: RESPONSE_MAC_KEY });
        }
        Ok(Self {
            keys: KeyDigests::from_raw(&raw.key_digests)?,
            at: raw.at,
            incarnation: raw.incarnation,
            engine_version: raw.engine_version,
            features: raw.features,
            credential: credential?,
            response_mac_key: response_mac_key
                .map_err(|_| InvalidValue::WrongLength { what: RESPONSE_MAC_KEY, length })?,
        })
    }
}

/// Payload of the handshake's second message.
///
/// Encoded it has at most [`MAX_HELLO_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The same about the responder.
    pub hello: Hello,
    /// Where the first message came from, as the responder saw it: this is how an endpoint learns its address outside a
    /// NAT. None where there is no such address, as on a circuit.
    pub observed_address: Option<SocketAddr>,
}

impl HelloReply {
    /// The message's bytes, at most [`MAX_HELLO_LENGTH`]. They contain secrets and are wiped when dropped.
    ///
    /// An observed address that no packet can come from (port 0, an unspecified or multicast address) is left out.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut raw = generated::HelloReply {
            hello: Some(self.hello.to_raw()),
            observed_address: self.observed_address.map(socket_address_to_bytes).unwrap_or_default(),
        };
        let bytes = Zeroizing::new(raw.encode_to_vec());
        raw.hello.iter_mut().for_each(wipe);
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        HELLO_REPLY_SHAPE.check(bytes)?;
        let raw =
            generated::HelloReply::decode(bytes).map_err(|_| DecodeError::Malformed { what: HELLO_REPLY })?;
        let hello = raw.hello.ok_or(DecodeError::Missing { what: HELLO })?;
        let observed_address = match raw.observed_address.as_slice() {
            [] => None,
            bytes => Some(socket_address_from_bytes(bytes)?),
        };
        Ok(Self { hello: Hello::from_raw(hello)?, observed_address })
    }
}

/// Overwrites the secrets in a raw message before its memory is given back.
fn wipe(raw: &mut generated::Hello) {
    raw.credential.zeroize();
    raw.response_mac_key.zeroize();
}

const HELLO: &str = "hello";
const HELLO_REPLY: &str = "hello reply";
const RESPONSE_MAC_KEY: &str = "response mac key";
const MALFORMED: DecodeError = DecodeError::Malformed { what: HELLO };

static HELLO_SHAPE: Shape = Shape {
    what: HELLO,
    limit: MAX_HELLO_LENGTH,
    fields: &[
        KEY_DIGESTS_FIELD,
        Field::once(2, "at"),
        Field::once(3, "incarnation"),
        Field::once(4, "engine version"),
        Field::once(5, "features"),
        Field::once(6, "credential"),
        Field::once(7, RESPONSE_MAC_KEY),
    ],
    exclusive: false,
};

static HELLO_REPLY_SHAPE: Shape = Shape {
    what: HELLO_REPLY,
    limit: MAX_HELLO_LENGTH,
    fields: &[Field::message(1, &HELLO_SHAPE), Field::once(2, "observed address")],
    exclusive: false,
};

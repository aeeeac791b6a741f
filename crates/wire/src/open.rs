//! The message that opens a channel.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use crate::delimited;
use crate::error::{DecodeError, InvalidValue, at_most};
use crate::generated;
use crate::limits::{MAX_CHANNEL_TYPE_LENGTH, MAX_HEADER_NAME_LENGTH, MAX_HEADERS, MAX_OPEN_LENGTH};
use crate::shape::{Field, Shape};

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// An ordered byte stream each way.
    Reliable,
    /// Messages in any order, some of them maybe lost.
    Unreliable,
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reliable => "reliable",
            Self::Unreliable => "unreliable",
        })
    }
}

/// The first message of a channel: what it is for. At most [`MAX_OPEN_LENGTH`] bytes when encoded.
///
/// The fields are open to the application, so what they hold is checked when it is encoded; what was decoded is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The type, as handlers are registered by it: a short word or a reverse-domain name, of 1 to 253 lower-case
    /// letters, digits, dots, hyphens and underscores.
    pub channel_type: String,
    /// Reliable or not.
    pub kind: ChannelKind,
    /// Named values, at most [`MAX_HEADERS`]. A name has 1 to 64 visible ASCII characters, none of them upper case;
    /// a value is any bytes.
    pub headers: BTreeMap<String, Bytes>,
    /// Anything the channel type wants to say at once.
    pub body: Bytes,
}

impl Open {
    /// An open message without headers and body.
    pub fn new(channel_type: impl Into<String>, kind: ChannelKind) -> Self {
        Self { channel_type: channel_type.into(), kind, headers: BTreeMap::new(), body: Bytes::new() }
    }

    /// An open message for a reliable channel.
    pub fn reliable(channel_type: impl Into<String>) -> Self {
        Self::new(channel_type, ChannelKind::Reliable)
    }

    /// An open message for an unreliable channel.
    pub fn unreliable(channel_type: impl Into<String>) -> Self {
        Self::new(channel_type, ChannelKind::Unreliable)
    }

    /// The same with one more header; an earlier one of that name is replaced.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(AsRef::as_ref)
    }

    /// Checks what [`encode`](Self::encode) checks.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the first field that is outside its limits.
    pub fn check(&self) -> Result<(), InvalidValue> {
        self.check_fields()?;
        at_most(OPEN, self.encoded_length(), MAX_OPEN_LENGTH)
    }

    /// Length of the encoded message in bytes, valid or not.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        let header = |(name, value): (&String, &Bytes)| {
            let inner = field_length(name.len()) + field_length(value.len());
            // Even an empty entry of a list is there.
            1 + prost::length_delimiter_len(inner) + inner
        };
        let headers: usize = self.headers.iter().map(header).sum();
        // The kind takes two bytes: its key and a small number.
        field_length(self.channel_type.len()) + 2 + headers + field_length(self.body.len())
    }

    /// The message's bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] naming the first field that is outside its limits.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidValue> {
        self.check()?;
        Ok(self.to_raw().encode_to_vec())
    }

    /// Reads what [`encode`](Self::encode) wrote, here or in a newer build.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        OPEN_SHAPE.check(bytes)?;
        let raw = generated::Open::decode(bytes).map_err(|_| DecodeError::Malformed { what: OPEN })?;
        Self::from_raw(raw)
    }

    /// The message with its length in front, as it stands at the beginning of a reliable channel.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_delimited(&self) -> Result<Vec<u8>, InvalidValue> {
        let message = self.encode()?;
        let mut out = Vec::with_capacity(message.len() + delimited::MAX_PREFIX_LENGTH);
        delimited::write(&message, &mut out);
        Ok(out)
    }

    /// Reads the message at the beginning of a reliable channel, and says how many bytes it took. `None` means that
    /// more bytes are needed: never more than [`MAX_OPEN_LENGTH`] and ten.
    ///
    /// # Errors
    /// [`DecodeError`] as soon as the bytes cannot become an open message.
    pub fn decode_delimited(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((message, taken)) = delimited::read(OPEN, MAX_OPEN_LENGTH, bytes)? else {
            return Ok(None);
        };
        Ok(Some((Self::decode(message)?, taken)))
    }

    fn check_fields(&self) -> Result<(), InvalidValue> {
        at_most(CHANNEL_TYPE, self.channel_type.len(), MAX_CHANNEL_TYPE_LENGTH)?;
        if self.channel_type.is_empty() || !self.channel_type.bytes().all(is_type_byte) {
            return Err(InvalidValue::Form { what: CHANNEL_TYPE });
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(InvalidValue::TooMany { what: HEADERS, limit: MAX_HEADERS });
        }
        self.headers.keys().try_for_each(|name| check_header_name(name))
    }

    fn to_raw(&self) -> generated::Open {
        let header = |(name, value): (&String, &Bytes)| generated::Header {
            name: name.clone(),
            value: value.to_vec(),
        };
        generated::Open {
            channel_type: self.channel_type.clone(),
            kind: match self.kind {
                ChannelKind::Reliable => generated::ChannelKind::Reliable.into(),
                ChannelKind::Unreliable => generated::ChannelKind::Unreliable.into(),
            },
            headers: self.headers.iter().map(header).collect(),
            body: self.body.to_vec(),
        }
    }

    fn from_raw(raw: generated::Open) -> Result<Self, DecodeError> {
        let kind = match generated::ChannelKind::try_from(raw.kind) {
            Ok(generated::ChannelKind::Reliable) => ChannelKind::Reliable,
            Ok(generated::ChannelKind::Unreliable) => ChannelKind::Unreliable,
            Ok(generated::ChannelKind::Unspecified) => {
                return Err(DecodeError::Missing { what: "channel kind" });
            }
            Err(_) => return Err(DecodeError::UnknownKind { what: "channel" }),
        };
        let mut headers: BTreeMap<String, Bytes> = BTreeMap::new();
        for header in raw.headers {
            if headers.last_key_value().is_some_and(|(last, _)| *last >= header.name) {
                return Err(DecodeError::Duplicate { what: "header" });
            }
            headers.insert(header.name, header.value.into());
        }
        let open = Self { channel_type: raw.channel_type, kind, headers, body: raw.body.into() };
        open.check_fields()?;
        Ok(open)
    }
}

fn check_header_name(name: &str) -> Result<(), InvalidValue> {
    at_most(HEADER_NAME, name.len(), MAX_HEADER_NAME_LENGTH)?;
    let visible = name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if name.is_empty() || !visible { Err(InvalidValue::Form { what: HEADER_NAME }) } else { Ok(()) }
}

fn is_type_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

/// Bytes of a field with a length: protobuf leaves out an empty one.
fn field_length(length: usize) -> usize {
    if length == 0 { 0 } else { 1 + prost::length_delimiter_len(length) + length }
}

const OPEN: &str = "open message";
const CHANNEL_TYPE: &str = "channel type";
const HEADERS: &str = "list of headers";
const HEADER_NAME: &str = "name of a header";

static OPEN_SHAPE: Shape = Shape {
    what: OPEN,
    limit: MAX_OPEN_LENGTH,
    fields: &[
        Field::once(1, CHANNEL_TYPE),
        Field::once(2, "channel kind"),
        Field::list(3, HEADERS, MAX_HEADERS, &HEADER_SHAPE),
        Field::once(4, "body"),
    ],
    exclusive: false,
};

static HEADER_SHAPE: Shape = Shape {
    what: "header",
    limit: MAX_OPEN_LENGTH,
    fields: &[Field::once(1, HEADER_NAME), Field::once(2, "value of a header")],
    exclusive: false,
};

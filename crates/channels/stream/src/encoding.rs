//! Which encoding a stream's messages have, as the open message says it.

use std::fmt;
use std::str::FromStr;

use telemesh_wire::Open;

/// Name of the header that holds the encoding. Without it the stream carries plain bytes.
pub const ENCODING_HEADER: &str = "encoding";

/// How the messages of a stream are to be read. The framing is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Bytes that mean something to the application only.
    Binary,
    /// One JSON text in UTF-8 per message (RFC 8259).
    Json,
    /// One protobuf message per message, without a length of its own.
    Protobuf,
}

impl Encoding {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }

    /// The encoding that an open message names; `None` for plain bytes.
    ///
    /// # Errors
    /// [`UnknownEncoding`], probably a newer build's.
    pub(crate) fn of(open: &Open) -> Result<Option<Self>, UnknownEncoding> {
        let Some(value) = open.header(ENCODING_HEADER) else { return Ok(None) };
        std::str::from_utf8(value).map_err(|_| UnknownEncoding)?.parse().map(Some)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        [Self::Binary, Self::Json, Self::Protobuf]
            .into_iter()
            .find(|encoding| encoding.name() == name)
            .ok_or(UnknownEncoding)
    }
}

/// A name of no encoding that this build knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown encoding")]
pub struct UnknownEncoding;

/// A stream was to be read in another encoding than its opener chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream carries {}, not {wanted} messages", found.map_or("plain bytes", Encoding::name))]
pub struct WrongEncoding {
    /// What the opener chose; `None` for plain bytes.
    pub found: Option<Encoding>,
    /// What was asked for.
    pub wanted: Encoding,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire_and_come_back() {
        for (encoding, name) in
            [(Encoding::Binary, "binary"), (Encoding::Json, "json"), (Encoding::Protobuf, "protobuf")]
        {
            assert_eq!(encoding.to_string(), name);
            assert_eq!(name.parse(), Ok(encoding));
            let open = Open::reliable("stream").with_header(ENCODING_HEADER, name);
            assert_eq!(Encoding::of(&open), Ok(Some(encoding)));
        }
        assert_eq!(Encoding::of(&Open::reliable("stream")), Ok(None));
    }

    #[test]
    fn other_names_are_unknown() {
        for name in [&b""[..], b"JSON", b"json ", b"xml", b"\xff\xfe"] {
            let open = Open::reliable("stream").with_header(ENCODING_HEADER, name.to_vec());
            assert_eq!(Encoding::of(&open), Err(UnknownEncoding));
        }
    }

    #[test]
    fn a_mismatch_is_said_in_words() {
        let error = WrongEncoding { found: None, wanted: Encoding::Json };
        assert_eq!(error.to_string(), "the stream carries plain bytes, not json messages");
        let error = WrongEncoding { found: Some(Encoding::Binary), wanted: Encoding::Protobuf };
        assert_eq!(error.to_string(), "the stream carries binary, not protobuf messages");
    }
}

//! A list of headers as bytes: for each the length of its name in two bytes, the name, the length of its value in two bytes,
//! the value. Nothing separates them, so no value can make another header.
//!
//! What makes a name or a value is checked here, for both directions alike (RFC 9110, sections 5.1 and 5.5; RFC 9113,
//! section 8.2).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::HeadError;
use crate::limits::{MAX_HEADER, MAX_HEADER_LIST, MAX_HEADERS};

/// Writes a list.
#[derive(Debug, Default)]
pub(crate) struct FieldWriter {
    block: BytesMut,
    headers: usize,
}

impl FieldWriter {
    /// Adds one whose name begins with a colon.
    pub(crate) fn put_pseudo(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
        check_length(name.len() + value.len())?;
        let name_length = u16::try_from(name.len()).map_err(|_| HeadError::Malformed)?;
        let value_length = u16::try_from(value.len()).map_err(|_| HeadError::Malformed)?;
        self.block.put_u16(name_length);
        self.block.put_slice(name.as_bytes());
        self.block.put_u16(value_length);
        self.block.put_slice(value);
        if self.block.len() > MAX_HEADER_LIST {
            return Err(HeadError::ListTooLong(self.block.len()));
        }
        Ok(())
    }

    /// Adds a header. Space around its value is left out, as it means nothing.
    pub(crate) fn put(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), HeadError> {
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err(HeadError::TooMany);
        }
        self.put_pseudo(name.as_str(), value.as_bytes().trim_ascii())
    }

    pub(crate) fn finish(self) -> Bytes {
        self.block.freeze()
    }
}

/// One entry of a list.
#[derive(Debug)]
pub(crate) enum Field {
    /// One whose name begins with a colon; the name without it.
    Pseudo(Bytes, Bytes),
    Header(HeaderName, HeaderValue),
}

/// Reads a list, checking each entry.
#[derive(Debug)]
pub(crate) struct FieldReader {
    block: Bytes,
    headers: usize,
}

impl FieldReader {
    pub(crate) fn new(block: Bytes) -> Result<Self, HeadError> {
        if block.len() > MAX_HEADER_LIST {
            return Err(HeadError::ListTooLong(block.len()));
        }
        Ok(Self { block, headers: 0 })
    }

    /// The next entry; `None` is the end.
    pub(crate) fn next(&mut self) -> Result<Option<Field>, HeadError> {
        if self.block.is_empty() {
            return Ok(None);
        }
        let name = self.take()?;
        let value = self.take()?;
        check_length(name.len() + value.len())?;
        if let Some(pseudo) = name.strip_prefix(b":") {
            if self.headers > 0 {
                return Err(HeadError::Pseudo);
            }
            return Ok(Some(Field::Pseudo(name.slice_ref(pseudo), value)));
        }
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err(HeadError::TooMany);
        }
        let name = HeaderName::from_lowercase(&name).map_err(|_| HeadError::Name)?;
        if value.trim_ascii().len() != value.len() {
            return Err(HeadError::Value);
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| HeadError::Value)?;
        Ok(Some(Field::Header(name, value)))
    }

    fn take(&mut self) -> Result<Bytes, HeadError> {
        let length = usize::from(self.block.try_get_u16().map_err(|_| HeadError::Malformed)?);
        if length > self.block.len() {
            return Err(HeadError::Malformed);
        }
        Ok(self.block.split_to(length))
    }
}

fn check_length(length: usize) -> Result<(), HeadError> {
    if length > MAX_HEADER { Err(HeadError::HeaderTooLong(length)) } else { Ok(()) }
}

/// Writes trailers: what concerns the framing or a single connection is left out (RFC 9110, section 6.5.1).
pub(crate) fn write_trailers(trailers: &HeaderMap) -> Result<Bytes, HeadError> {
    let mut writer = FieldWriter::default();
    for (name, value) in trailers {
        if crate::rules::forbidden(name, value).is_none() && !crate::rules::only_in_heads(name) {
            writer.put(name, value)?;
        }
    }
    Ok(writer.finish())
}

/// Reads trailers.
pub(crate) fn read_trailers(block: Bytes) -> Result<HeaderMap, HeadError> {
    let mut reader = FieldReader::new(block)?;
    let mut trailers = HeaderMap::new();
    while let Some(field) = reader.next()? {
        let Field::Header(name, value) = field else { return Err(HeadError::Pseudo) };
        if let Some(forbidden) = crate::rules::forbidden(&name, &value) {
            return Err(HeadError::Forbidden(forbidden));
        }
        if crate::rules::only_in_heads(&name) {
            return Err(HeadError::Forbidden("of a head in trailers"));
        }
        trailers.append(name, value);
    }
    Ok(trailers)
}

//! Percent-encoding (RFC 3986 section 2.1) of values in the query.

use std::fmt;

use super::ParseLinkUriError;

/// Whether a byte needs no encoding anywhere in a URI (RFC 3986 section 2.3).
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Writes a value, with everything encoded that might end it, or a link that a program recognises in running text.
pub(super) fn write(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    for byte in value.bytes() {
        if is_unreserved(byte) || byte == b':' {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Reads a value. A plus sign is a plus sign.
pub(super) fn decode(value: &str) -> Result<String, ParseLinkUriError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = if first == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>().ok_or(ParseLinkUriError::PercentEncoding)?;
            rest = after;
            hex(digits).ok_or(ParseLinkUriError::PercentEncoding)?
        } else {
            first
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| ParseLinkUriError::PercentEncoding)
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

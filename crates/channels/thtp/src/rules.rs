//! Which headers are carried, and how long a body is: where two readers of one message must not come to two opinions.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
    SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::error::HeadError;

/// Headers between two neighbours (RFC 9110, section 7.6.1), which never travel over a link. How a body is framed and what a
/// connection is upgraded to is said in another way there.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// The name of a header that is not carried. `te` is, if it says that trailers are understood, as in HTTP/2 (RFC 9113,
/// section 8.2.2).
pub(crate) fn forbidden(name: &HeaderName, value: &HeaderValue) -> Option<&'static str> {
    if name == TE {
        return (value != "trailers").then_some("te");
    }
    HOP_BY_HOP.into_iter().find(|hop| name == hop)
}

/// Headers that would change what a message was after it was taken for something else.
pub(crate) fn only_in_heads(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, HOST, AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, SET_COOKIE]
        .contains(name)
}

/// Takes out what concerns one connection only, and what the header `connection` names besides.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> =
            tokens(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    let trailers = HeaderValue::from_static("trailers");
    if tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers")) {
        headers.insert(TE, trailers);
    } else {
        headers.remove(TE);
    }
}

/// The protocol that a request of HTTP/1.1 wants to switch to, and a response has switched to.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let upgrades = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    upgrades.then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// What stands between the commas of a header, in all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The length that a message announces. Two are none, even if they are equal: nobody who means well sends them.
///
/// # Errors
/// [`HeadError::ContentLength`]; [`HeadError::Forbidden`] beside `transfer-encoding`, of which two readers may each believe
/// another.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(HeadError::ContentLength);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(HeadError::Forbidden("transfer-encoding"));
    }
    let digits = length.as_bytes();
    // Only digits: the standard library would take a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::ContentLength);
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(HeadError::ContentLength)
}

/// Whether a response to this method has no body, whatever its head says (RFC 9110, section 6.4.1).
pub(crate) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

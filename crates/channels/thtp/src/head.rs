//! Heads of requests and responses: from the types of the crate `http` to a list of headers and back. Both directions keep
//! the same rules, and the reading one believes nothing.
//!
//! A request has `:method`, `:path`, and if it names one `:authority`; `:protocol` asks to switch to another protocol. A
//! response has `:status`, and `:protocol` if it has switched. There is no `:scheme`: a link is what it is.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, request, response};

use crate::error::HeadError;
use crate::fields::{Field, FieldReader, FieldWriter};
use crate::limits::MAX_METHOD;
use crate::rules;

const METHOD: &str = ":method";
const PATH: &str = ":path";
const AUTHORITY: &str = ":authority";
const PROTOCOL: &str = ":protocol";
const STATUS: &str = ":status";

/// What a request's head says.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// In the form of HTTP/1.1: a path as its URI, the authority in the header `host`, an upgrade in its two headers.
    pub(crate) request: Request<()>,
    pub(crate) length: Option<u64>,
    pub(crate) protocol: Option<HeaderValue>,
}

/// What a response's head says.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// In the form of HTTP/1.1.
    pub(crate) response: Response<()>,
    pub(crate) length: Option<u64>,
    pub(crate) protocol: Option<HeaderValue>,
}

/// Writes a request's head, and says which protocol it asks to switch to.
///
/// # Errors
/// [`HeadError`]: what would not be read at the other end either.
pub(crate) fn write_request(
    parts: request::Parts,
    default_authority: &str,
) -> Result<(Bytes, Option<HeaderValue>), HeadError> {
    let request::Parts { method, uri, mut headers, .. } = parts;
    check_method(&method)?;
    let protocol = rules::upgrade_of(&headers);
    rules::content_length(&headers)?;
    rules::strip_hop_by_hop(&mut headers);
    let authority = authority_of(&uri, &headers, default_authority)?;
    headers.remove(HOST);
    let path = match uri.path_and_query() {
        Some(path) => path.as_str(),
        None => "/",
    };
    check_path(path.as_bytes(), &method)?;

    let mut writer = FieldWriter::default();
    writer.put_pseudo(METHOD, method.as_str().as_bytes())?;
    writer.put_pseudo(PATH, path.as_bytes())?;
    writer.put_pseudo(AUTHORITY, authority.as_bytes())?;
    if let Some(protocol) = &protocol {
        check_protocol(protocol.as_bytes())?;
        writer.put_pseudo(PROTOCOL, protocol.as_bytes())?;
    }
    for (name, value) in &headers {
        writer.put(name, value)?;
    }
    Ok((writer.finish(), protocol))
}

/// Reads a request's head.
///
/// # Errors
/// [`HeadError`]: what the peer sent is none.
pub(crate) fn read_request(block: Bytes) -> Result<RequestHead, HeadError> {
    let (mut method, mut path, mut authority, mut protocol) = (None, None, None, None);
    let mut headers = read_headers(block, |name, value| {
        let place = match name {
            b"method" => &mut method,
            b"path" => &mut path,
            b"authority" => &mut authority,
            b"protocol" => &mut protocol,
            _ => return Err(HeadError::Pseudo),
        };
        if place.replace(value).is_some() { Err(HeadError::Pseudo) } else { Ok(()) }
    })?;
    let method = method.ok_or(HeadError::Missing(METHOD))?;
    let method = Method::from_bytes(&method).map_err(|_| HeadError::Method)?;
    check_method(&method)?;
    let path = path.ok_or(HeadError::Missing(PATH))?;
    check_path(&path, &method)?;
    let path = PathAndQuery::from_maybe_shared(path).map_err(|_| HeadError::Path)?;
    if let Some(authority) = authority {
        check_authority(&authority)?;
        let host = HeaderValue::from_maybe_shared(authority).map_err(|_| HeadError::Authority)?;
        // One of them is for those in front, the other for those behind.
        if headers.insert(HOST, host.clone()).is_some_and(|other| other != host) {
            return Err(HeadError::Authority);
        }
    }
    check_host(&headers)?;
    let protocol = protocol.map(read_protocol).transpose()?;
    let length = rules::content_length(&headers)?;
    if let Some(protocol) = &protocol {
        if method != Method::GET || length.is_some_and(|length| length > 0) {
            return Err(HeadError::Upgrade);
        }
        put_upgrade(&mut headers, protocol);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(RequestHead { request, length, protocol })
}

/// Writes a response's head. `length` is what is known of the body's length, for a response that does not say it itself.
///
/// # Errors
/// [`HeadError`]: what would not be read at the other end either.
pub(crate) fn write_response(
    parts: response::Parts,
    length: Option<u64>,
    protocol: Option<&HeaderValue>,
) -> Result<Bytes, HeadError> {
    let response::Parts { status, mut headers, .. } = parts;
    let announced = rules::content_length(&headers)?;
    rules::strip_hop_by_hop(&mut headers);
    let mut writer = FieldWriter::default();
    writer.put_pseudo(STATUS, status.as_str().as_bytes())?;
    if let Some(protocol) = protocol {
        check_protocol(protocol.as_bytes())?;
        writer.put_pseudo(PROTOCOL, protocol.as_bytes())?;
    }
    for (name, value) in &headers {
        writer.put(name, value)?;
    }
    if let (None, Some(length)) = (announced, length) {
        writer.put(&CONTENT_LENGTH, &HeaderValue::from(length))?;
    }
    Ok(writer.finish())
}

/// Reads a response's head.
///
/// # Errors
/// [`HeadError`]: what the peer sent is none.
pub(crate) fn read_response(block: Bytes) -> Result<ResponseHead, HeadError> {
    let (mut status, mut protocol) = (None, None);
    let mut headers = read_headers(block, |name, value| {
        let place = match name {
            b"status" => &mut status,
            b"protocol" => &mut protocol,
            _ => return Err(HeadError::Pseudo),
        };
        if place.replace(value).is_some() { Err(HeadError::Pseudo) } else { Ok(()) }
    })?;
    let status = status.ok_or(HeadError::Missing(STATUS))?;
    let status = StatusCode::from_bytes(&status).map_err(|_| HeadError::Status)?;
    let protocol = protocol.map(read_protocol).transpose()?;
    if protocol.is_some() != (status == StatusCode::SWITCHING_PROTOCOLS) {
        return Err(HeadError::Upgrade);
    }
    let length = rules::content_length(&headers)?;
    if let Some(protocol) = &protocol {
        put_upgrade(&mut headers, protocol);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    *response.headers_mut() = headers;
    Ok(ResponseHead { response, length, protocol })
}

fn read_headers(
    block: Bytes,
    mut pseudo: impl FnMut(&[u8], Bytes) -> Result<(), HeadError>,
) -> Result<HeaderMap, HeadError> {
    let mut reader = FieldReader::new(block)?;
    let mut headers = HeaderMap::new();
    while let Some(field) = reader.next()? {
        match field {
            Field::Pseudo(name, value) => pseudo(&name, value)?,
            Field::Header(name, value) => {
                if let Some(forbidden) = rules::forbidden(&name, &value) {
                    return Err(HeadError::Forbidden(forbidden));
                }
                headers.append(name, value);
            }
        }
    }
    Ok(headers)
}

/// Says an upgrade as HTTP/1.1 does, so that services recognise it.
fn put_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

fn check_method(method: &Method) -> Result<(), HeadError> {
    if *method == Method::CONNECT || method.as_str().len() > MAX_METHOD {
        Err(HeadError::Method)
    } else {
        Ok(())
    }
}

/// A path, or `*` for `OPTIONS` (RFC 9112, section 3.2.4). A whole URL would be believed by some and not by others, and a
/// fragment does not belong to a request.
fn check_path(path: &[u8], method: &Method) -> Result<(), HeadError> {
    let is_path = path.first() == Some(&b'/') || (path == b"*" && *method == Method::OPTIONS);
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#' && *byte != b'\\';
    if is_path && path.iter().all(is_allowed) { Ok(()) } else { Err(HeadError::Path) }
}

fn check_authority(authority: &[u8]) -> Result<(), HeadError> {
    // No name and password (RFC 9110, section 4.2.4), no list, nothing that is to be decoded first.
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    if !authority.iter().all(is_allowed) || Authority::try_from(authority).is_err() {
        return Err(HeadError::Authority);
    }
    Ok(())
}

/// At most one host, and a usable one.
fn check_host(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut hosts = headers.get_all(HOST).into_iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadError::Authority);
    }
    first.map_or(Ok(()), |host| check_authority(host.as_bytes()))
}

/// Where a request goes: as its URI says, its header `host`, or else the peer's own name.
fn authority_of(uri: &Uri, headers: &HeaderMap, default: &str) -> Result<String, HeadError> {
    let host = headers.get(HOST).map(|host| host.to_str().map_err(|_| HeadError::Authority)).transpose()?;
    let authority = uri.authority().map(Authority::as_str).or(host).unwrap_or(default);
    check_authority(authority.as_bytes())?;
    check_host(headers)?;
    Ok(authority.to_owned())
}

fn read_protocol(name: Bytes) -> Result<HeaderValue, HeadError> {
    check_protocol(&name)?;
    HeaderValue::from_maybe_shared(name).map_err(|_| HeadError::Upgrade)
}

/// One token, with a version if need be.
fn check_protocol(name: &[u8]) -> Result<(), HeadError> {
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/' | b'_' | b'+');
    if name.is_empty() || !name.iter().all(is_allowed) { Err(HeadError::Upgrade) } else { Ok(()) }
}

#[cfg(test)]
mod tests;

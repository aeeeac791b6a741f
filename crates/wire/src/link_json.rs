//! Link JSON: how a [`LinkInfo`] is written into files, messages and QR codes.
//!
//! `{"hashname": …, "keys": {"11": …, "21": …}, "digests": {…}, "paths": […]}`. Keys, digests and tickets are lower-case
//! base32. A path is an object with `type` (`udp4`, `udp6` or `quic`) and `ip` and `port`; or with type `peer`, and the
//! router's `hashname`, or its own link JSON as `router` and maybe a `ticket`. Unknown types are kept, unknown names
//! elsewhere skipped.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use telemesh_hashname::{CipherSetId, KeyDigest, MAX_CIPHER_SETS, PublicKeys, base32};

use crate::address::{Circuit, ExtraSocket, PEER, ParsePathAddressError, PathAddress, QUIC};
use crate::credential::Credential;
use crate::error::{InvalidValue, at_most};
use crate::limits::{MAX_LINK_JSON_LENGTH, MAX_PATHS};
use crate::link_info::{LinkInfo, LinkInfoError, PathHint, RouterHint, UnknownPath, ip_and_port};
use crate::strict_json::StrictValue;

impl LinkInfo {
    /// The link JSON, on one line. Tickets for routers are in it, readable.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_value(self).to_string()
    }

    /// Reads a link JSON of at most [`MAX_LINK_JSON_LENGTH`] bytes.
    ///
    /// # Errors
    /// [`LinkInfoError`]; also when one of several keys is there alone, or keys and hashname do not belong together.
    pub fn from_json(text: &str) -> Result<Self, LinkInfoError> {
        at_most("link json", text.len(), MAX_LINK_JSON_LENGTH)?;
        let StrictValue(value) = serde_json::from_str(text)
            .map_err(|error| LinkInfoError::Syntax { line: error.line(), column: error.column() })?;
        from_value(&value)
    }
}

/// As a JSON object, whatever the format.
impl Serialize for LinkInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        to_value(self).serialize(serializer)
    }
}

/// From a JSON object, in a format that names its fields. The length of the whole is the format's to limit.
impl<'de> Deserialize<'de> for LinkInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StrictValue(value) = StrictValue::deserialize(deserializer)?;
        from_value(&value).map_err(serde::de::Error::custom)
    }
}

/// Names go in in alphabetical order, so that the text is the same whether serde_json sorts them or not.
fn to_value(info: &LinkInfo) -> Value {
    let mut keys = Map::new();
    let mut digests = Map::new();
    for known in info.keys() {
        let csid = known.cipher_set().to_string();
        match known.key() {
            Some(key) => keys.insert(csid, base32::encode(key).into()),
            None => digests.insert(csid, base32::encode(known.digest().as_bytes()).into()),
        };
    }
    let mut object = Map::new();
    if !digests.is_empty() {
        object.insert(DIGESTS.to_owned(), digests.into());
    }
    object.insert(HASHNAME.to_owned(), info.hashname().to_string().into());
    if !keys.is_empty() {
        object.insert(KEYS.to_owned(), keys.into());
    }
    object.insert(PATHS.to_owned(), info.paths().iter().map(path_to_value).collect());
    Value::Object(object)
}

fn path_to_value(path: &PathHint) -> Value {
    let mut object = Map::new();
    let kind = match path {
        PathHint::Unknown(unknown) => return Value::Object(unknown.object.clone()),
        PathHint::Router(hint) => {
            object.insert(ROUTER.to_owned(), to_value(&hint.router));
            if !hint.ticket.is_none() {
                object.insert(TICKET.to_owned(), base32::encode(hint.ticket.as_bytes()).into());
            }
            PEER
        }
        PathHint::Address(address) => {
            if let Some((ip, port)) = ip_and_port(address) {
                object.insert(IP.to_owned(), ip.into());
                object.insert(PORT.to_owned(), port.into());
            }
            match address {
                PathAddress::Udp(to) | PathAddress::Extra(ExtraSocket { to, .. }) if to.is_ipv4() => UDP4,
                PathAddress::Udp(_) | PathAddress::Extra(_) => UDP6,
                PathAddress::Quic(_) => QUIC,
                PathAddress::Peer(router) | PathAddress::Circuit(Circuit { router, .. }) => {
                    object.insert(HASHNAME.to_owned(), router.to_string().into());
                    PEER
                }
            }
        }
    };
    object.insert(TYPE.to_owned(), kind.into());
    Value::Object(object)
}

/// Routers inside routers are refused as they are put together; how deep they can go before is serde_json's limit.
fn from_value(value: &Value) -> Result<LinkInfo, LinkInfoError> {
    let object = value.as_object().ok_or(LinkInfoError::Structure { what: "link json" })?;
    let hashname = object.get(HASHNAME).map(|value| Ok::<_, LinkInfoError>(text(value, HASHNAME)?.parse()?));
    let mut keys = PublicKeys::new();
    for (csid, key) in entries(object, KEYS)? {
        keys.insert_key(csid, &base32_value(key, "key")?)?;
    }
    for (csid, digest) in entries(object, DIGESTS)? {
        let digest = base32_value(digest, "digest")?;
        let digest = digest
            .try_into()
            .map_err(|bad: Vec<u8>| InvalidValue::WrongLength { what: "digest", length: bad.len() })?;
        keys.insert_digest(csid, KeyDigest::from_bytes(digest))?;
    }
    let mut info = LinkInfo::assemble(hashname.transpose()?, keys)?;
    let Some(paths) = object.get(PATHS) else {
        return Ok(info);
    };
    let paths = paths.as_array().ok_or(LinkInfoError::Structure { what: PATHS })?;
    if paths.len() > MAX_PATHS {
        return Err(LinkInfoError::TooManyPaths);
    }
    for (index, path) in paths.iter().enumerate() {
        info = info.with_path(path_from_value(index, path)?)?;
    }
    Ok(info)
}

/// The entries of `keys` or `digests`, of which there are no more than an endpoint has cipher sets.
fn entries<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Vec<(CipherSetId, &'a Value)>, LinkInfoError> {
    let Some(value) = object.get(name) else {
        return Ok(Vec::new());
    };
    let entries = value.as_object().ok_or(LinkInfoError::Structure { what: name })?;
    if entries.len() > MAX_CIPHER_SETS {
        return Err(InvalidValue::TooMany { what: name, limit: MAX_CIPHER_SETS }.into());
    }
    entries.iter().map(|(csid, value)| Ok((csid.parse()?, value))).collect()
}

fn path_from_value(index: usize, value: &Value) -> Result<PathHint, LinkInfoError> {
    let object = value.as_object().ok_or(LinkInfoError::Structure { what: "path" })?;
    let kind = text(object.get(TYPE).unwrap_or(&Value::Null), "type of a path")?;
    let at_index = |error| LinkInfoError::Path { index, error };
    let socket = || socket_from_object(object, kind).ok_or(at_index(ParsePathAddressError::SocketAddress));
    let address = match kind {
        UDP4 | UDP6 => PathAddress::Udp(socket()?),
        QUIC => PathAddress::Quic(socket()?),
        PEER => return peer_from_object(object),
        _ => return Ok(PathHint::Unknown(UnknownPath { kind: kind.to_owned(), object: object.clone() })),
    };
    address.usable().map(PathHint::Address).map_err(at_index)
}

fn socket_from_object(object: &Map<String, Value>, kind: &str) -> Option<SocketAddr> {
    let ip: IpAddr = object.get(IP)?.as_str()?.parse().ok()?;
    let port = u16::try_from(object.get(PORT)?.as_u64()?).ok()?;
    let right_family = match kind {
        UDP4 => ip.is_ipv4(),
        UDP6 => ip.is_ipv6(),
        _ => true,
    };
    right_family.then(|| SocketAddr::new(ip, port))
}

fn peer_from_object(object: &Map<String, Value>) -> Result<PathHint, LinkInfoError> {
    let Some(router) = object.get(ROUTER) else {
        let hashname = object.get(HASHNAME).ok_or(LinkInfoError::Structure { what: ROUTER })?;
        return Ok(PathHint::Address(PathAddress::Peer(text(hashname, HASHNAME)?.parse()?)));
    };
    let ticket = match object.get(TICKET) {
        None => Credential::none(),
        Some(ticket) => Credential::new(base32_value(ticket, TICKET)?)?,
    };
    Ok(RouterHint { router: from_value(router)?, ticket }.into())
}

fn base32_value(value: &Value, what: &'static str) -> Result<Vec<u8>, LinkInfoError> {
    base32::decode(text(value, what)?).map_err(|error| LinkInfoError::Encoding { what, error })
}

fn text<'a>(value: &'a Value, what: &'static str) -> Result<&'a str, LinkInfoError> {
    value.as_str().ok_or(LinkInfoError::Structure { what })
}

const HASHNAME: &str = "hashname";
const KEYS: &str = "keys";
const DIGESTS: &str = "digests";
const PATHS: &str = "paths";
const TYPE: &str = "type";
const IP: &str = "ip";
const PORT: &str = "port";
const ROUTER: &str = "router";
const TICKET: &str = "ticket";
const UDP4: &str = "udp4";
const UDP6: &str = "udp6";

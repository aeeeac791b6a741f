//! Reading a link URI.

use std::collections::BTreeMap;

use telemesh_hashname::{CipherSetId, KeyDigest, MAX_CIPHER_SETS, PublicKeys, base32};

use super::{LinkUri, ParseLinkUriError, percent};
use crate::address::{ParsePathAddressError, PathAddress};
use crate::error::{InvalidValue, at_most};
use crate::invite::Invite;
use crate::limits::{MAX_PATHS, MAX_URI_LENGTH};
use crate::link_info::{LinkInfo, LinkInfoError};

pub(super) fn parse(text: &str) -> Result<LinkUri, ParseLinkUriError> {
    at_most("uri", text.len(), MAX_URI_LENGTH)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ParseLinkUriError::Character);
    }
    let (scheme, rest) = text.split_once("://").ok_or(ParseLinkUriError::NoScheme)?;
    let (rest, fragment) = split_optional(rest, '#');
    let (rest, query) = split_optional(rest, '?');
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !matches!(path, "" | "/") {
        return Err(ParseLinkUriError::Path);
    }
    let parameters = Parameters::new(query.unwrap_or_default())?;
    let (link, unknown_paths) = parameters.link()?;
    let mut uri = LinkUri::new(link).with_scheme(&scheme.to_ascii_lowercase())?;
    uri.unknown_paths = unknown_paths;
    if !authority.is_empty() {
        uri.authority = Some(authority.parse()?);
    }
    let invite = match fragment {
        None => None,
        Some(fragment) => Some(Invite::from_fragment(fragment).ok_or(ParseLinkUriError::Invite)?),
    };
    match parameters.get("sid")? {
        // Whose invite it is shows only when the router has introduced its peer.
        Some(session_id) => Ok(uri.with_session(&session_id, invite)?),
        None if invite.as_ref().is_some_and(|invite| !invite.is_by(&uri.link.hashname())) => {
            Err(ParseLinkUriError::ForeignInvite)
        }
        None => {
            uri.invite = invite;
            Ok(uri)
        }
    }
}

/// The parameters of the query by name, still encoded.
struct Parameters<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Parameters<'a> {
    fn new(query: &'a str) -> Result<Self, ParseLinkUriError> {
        let mut parameters = BTreeMap::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if parameters.insert(name, value).is_some() {
                return Err(ParseLinkUriError::DuplicateParameter);
            }
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Result<Option<String>, ParseLinkUriError> {
        self.0.get(name).map(|value| percent::decode(value)).transpose()
    }

    /// Parameters whose name is `prefix` and a cipher set, decoded.
    fn by_cipher_set(
        &self,
        prefix: &'static str,
        what: &'static str,
    ) -> Result<Vec<(CipherSetId, Vec<u8>)>, ParseLinkUriError> {
        let mut found = Vec::new();
        for (name, value) in &self.0 {
            // A name that only begins like one is some other parameter.
            let Some(csid) = name.strip_prefix(prefix).and_then(|csid| csid.parse().ok()) else {
                continue;
            };
            if found.len() >= MAX_CIPHER_SETS {
                return Err(InvalidValue::TooMany { what, limit: MAX_CIPHER_SETS }.into());
            }
            let bytes = base32::decode(value).map_err(|error| LinkInfoError::Encoding { what, error })?;
            found.push((csid, bytes));
        }
        Ok(found)
    }

    /// Hashname, keys and paths, and the paths of unknown kinds.
    fn link(&self) -> Result<(LinkInfo, Vec<String>), ParseLinkUriError> {
        let mut keys = PublicKeys::new();
        for (csid, key) in self.by_cipher_set("cs", "key")? {
            keys.insert_key(csid, &key).map_err(LinkInfoError::from)?;
        }
        for (csid, digest) in self.by_cipher_set("d", "digest")? {
            let digest = digest
                .try_into()
                .map_err(|bad: Vec<u8>| InvalidValue::WrongLength { what: "digest", length: bad.len() })?;
            keys.insert_digest(csid, KeyDigest::from_bytes(digest)).map_err(LinkInfoError::from)?;
        }
        let hashname = self.get("hn")?.map(|text| text.parse()).transpose().map_err(LinkInfoError::from)?;
        let mut link = LinkInfo::assemble(hashname, keys)?;
        let mut unknown = Vec::new();
        let paths = self.get("paths")?.unwrap_or_default();
        for (index, path) in paths.split(',').filter(|path| !path.is_empty()).enumerate() {
            if index >= MAX_PATHS {
                return Err(LinkInfoError::TooManyPaths.into());
            }
            match path.parse::<PathAddress>() {
                Ok(address) => link = link.with_path(address)?,
                Err(ParsePathAddressError::UnknownKind) => unknown.push(path.to_owned()),
                Err(error) => return Err(LinkInfoError::Path { index, error }.into()),
            }
        }
        Ok((link, unknown))
    }
}

fn split_optional(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

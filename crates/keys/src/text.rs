//! The text in a key file.
//!
//! ```text
//! telemesh keys 1
//! hashname <52 characters>
//! 11 <52 characters: the secret key in base32>
//! 21 <52 characters>
//! ```
//!
//! Each line ends with a line feed, also the last. The hashname is computed from the keys, so it says to a reader whose
//! keys these are, and to the parser whether they are complete and unchanged.

use subtle::ConstantTimeEq;
use telemesh_hashname::{CipherSetId, Hashname, MAX_CIPHER_SETS, base32};
use zeroize::Zeroizing;

use crate::{KeySet, KeySetError, SecretKey};

/// First line of the text. The number grows when an older version could not read what follows.
const FIRST_LINE: &str = "telemesh keys 1";

/// What the first line of every version starts with.
const LABEL: &str = "telemesh keys ";

/// Start of the second line.
const HASHNAME_LABEL: &str = "hashname ";

/// Length of a secret key in base32.
const SECRET_TEXT_LENGTH: usize = 52;

/// Longest text there can be: the two first lines and a line for each of the most cipher sets, plus slack.
pub(crate) const MAX_TEXT_LENGTH: usize = 128 + MAX_CIPHER_SETS * 64;

/// Why bytes are not the keys of an endpoint. No variant repeats anything of what was read, since that may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeysError {
    /// The text ends too early.
    #[error("the keys are cut short")]
    Truncated,
    /// This is something else.
    #[error("these are not telemesh keys")]
    NotKeys,
    /// The first line names another version.
    #[error("the keys were written by another version of telemesh")]
    Version,
    /// A line has not the form it must have.
    #[error("line {line} is malformed")]
    Malformed {
        /// Number of the line, counted from 1.
        line: usize,
    },
    /// The keys do not make the hashname that is written beside them.
    #[error("the keys do not belong to the hashname beside them: they are cut short or were changed")]
    HashnameMismatch,
    /// The keys are readable but make no key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

/// Writes the keys. The result is allocated once, so that no copy of a secret stays behind.
pub(crate) fn write(keys: &KeySet) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_TEXT_LENGTH));
    text.extend_from_slice(FIRST_LINE.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(HASHNAME_LABEL.as_bytes());
    text.extend_from_slice(keys.hashname().to_string().as_bytes());
    text.push(b'\n');
    for (csid, secret) in keys.secrets() {
        let encoded = Zeroizing::new(base32::encode(secret.as_bytes()));
        text.extend_from_slice(csid.to_string().as_bytes());
        text.push(b' ');
        text.extend_from_slice(encoded.as_bytes());
        text.push(b'\n');
    }
    text
}

/// Reads what [`write`] wrote, and nothing else: one key set has one text.
pub(crate) fn read(bytes: &[u8]) -> Result<KeySet, ParseKeysError> {
    if LABEL.as_bytes().starts_with(bytes) {
        return Err(ParseKeysError::Truncated);
    }
    if !bytes.starts_with(LABEL.as_bytes()) {
        return Err(ParseKeysError::NotKeys);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseKeysError::NotKeys)?;
    if bytes.len() > MAX_TEXT_LENGTH {
        return Err(ParseKeysError::NotKeys);
    }
    // The whole text is in whole lines; what has lost its end has, but for a cut between lines, lost a line feed.
    let text = text.strip_suffix('\n').ok_or(ParseKeysError::Truncated)?;
    let mut lines = text.split('\n').zip(1..);

    if lines.next().is_none_or(|(line, _)| line != FIRST_LINE) {
        return Err(ParseKeysError::Version);
    }
    let (line, number) = lines.next().ok_or(ParseKeysError::Truncated)?;
    let hashname: Hashname = line
        .strip_prefix(HASHNAME_LABEL)
        .and_then(|text| text.parse().ok())
        .ok_or(ParseKeysError::Malformed { line: number })?;

    let mut secrets = Vec::with_capacity(MAX_CIPHER_SETS);
    let mut previous = None;
    for (line, number) in lines {
        let (csid, secret) = read_key(line).ok_or(ParseKeysError::Malformed { line: number })?;
        if previous.is_some_and(|previous| csid <= previous) {
            return Err(ParseKeysError::Malformed { line: number });
        }
        previous = Some(csid);
        secrets.push((csid, secret));
    }
    if secrets.is_empty() {
        return Err(ParseKeysError::Truncated);
    }
    let keys = KeySet::from_secrets(secrets)?;
    if keys.hashname() == hashname { Ok(keys) } else { Err(ParseKeysError::HashnameMismatch) }
}

/// Reads `11 <secret>`.
fn read_key(line: &str) -> Option<(CipherSetId, SecretKey)> {
    let (csid, secret) = line.split_once(' ')?;
    if secret.len() != SECRET_TEXT_LENGTH {
        return None;
    }
    let bytes = Zeroizing::new(base32::decode(secret).ok()?);
    let secret = SecretKey::from_bytes(bytes.as_slice().try_into().ok()?);
    // Bits that every key has alike do not reach the hashname, so a change of them has to be noticed here.
    bool::from(secret.as_bytes().ct_eq(bytes.as_slice())).then_some((csid.parse().ok()?, secret))
}

#[cfg(test)]
mod tests;

//! Return tags: what two endpoints that had a session show each other the next time, so that one hash tells a known peer
//! from a stranger.
//!
//! A tag is an id and a key. The id travels in clear in front of mac2, which is made with the key. Both come out of the
//! secret of the handshake before, so they cost no byte on the wire, and nobody else has seen the id before it is used.

use std::fmt;
use std::num::NonZeroU64;

use ring::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::timers::MAX_UNCONFIRMED;

/// Tags of one peer that are accepted: that of the session which it confirmed last, and one for each that it may have and
/// has not confirmed yet.
pub(crate) const MAX_ACCEPTED_TAGS: usize = 1 + MAX_UNCONFIRMED;
/// Bytes of a tag in a record: id and key.
pub(crate) const TAG_BYTES: usize = 8 + 32;

/// A return tag. Whoever has it is taken for the peer until the handshake shows who it is: it opens no door, it only
/// saves its owner the line that strangers stand in.
#[derive(Clone)]
pub(crate) struct ReturnTag {
    id: NonZeroU64,
    key: Zeroizing<[u8; 32]>,
}

impl ReturnTag {
    pub(crate) fn from_bytes(bytes: &[u8; TAG_BYTES]) -> Option<Self> {
        let (id, key) = bytes.split_first_chunk()?;
        let id = NonZeroU64::new(u64::from_le_bytes(*id))?;
        Some(Self { id, key: Zeroizing::new(*key.first_chunk()?) })
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.get().to_le_bytes());
        out.extend_from_slice(self.key.as_ref());
    }

    /// What an initiation names it by.
    pub(crate) fn id(&self) -> NonZeroU64 {
        self.id
    }

    /// The key of mac2.
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl PartialEq for ReturnTag {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && bool::from(self.key.ct_eq(other.key.as_ref()))
    }
}

impl Eq for ReturnTag {}

/// The key stays secret, and the id too until it is used.
impl fmt::Debug for ReturnTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReturnTag")
    }
}

/// The return tags that two endpoints have for each other, as one of them sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReturnTags {
    /// What our next initiation carries.
    pub(crate) present: Option<ReturnTag>,
    /// What the peer's next initiation may carry, oldest first. At most [`MAX_ACCEPTED_TAGS`].
    pub(crate) accepted: Vec<ReturnTag>,
}

impl ReturnTags {
    /// The peer may have this tag from now on. The others stay: it may not have it, too.
    pub(crate) fn offer(&mut self, tag: ReturnTag) {
        if self.accepted.contains(&tag) {
            return;
        }
        if self.accepted.len() >= MAX_ACCEPTED_TAGS {
            // The first is the one that the peer had for certain; whatever is lost, it can still show that one.
            self.accepted.remove(1);
        }
        self.accepted.push(tag);
    }

    /// The peer has this tag for certain. Those from before it are spent; later ones may be on their way.
    pub(crate) fn confirm(&mut self, tag: &ReturnTag) {
        match self.accepted.iter().position(|accepted| accepted == tag) {
            Some(place) => drop(self.accepted.drain(..place)),
            None => self.accepted = vec![tag.clone()],
        }
    }
}

/// Only how many there are.
impl fmt::Debug for ReturnTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReturnTags")
            .field("present", &self.present.is_some())
            .field("accepted", &self.accepted.len())
            .finish()
    }
}

/// The two tags that a handshake leaves, as one end sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionTags {
    /// For our next initiation.
    pub(crate) present: ReturnTag,
    /// For the peer's next initiation.
    pub(crate) accept: ReturnTag,
}

impl SessionTags {
    /// Derives both from the two raw keys of the session, in the order in which Noise gives them.
    pub(crate) fn derive(first: &[u8; 32], second: &[u8; 32], we_initiated: bool) -> Self {
        let mut secret = Zeroizing::new([0; 64]);
        let (left, right) = secret.split_at_mut(32);
        left.copy_from_slice(first);
        right.copy_from_slice(second);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        let of_initiator = derive_one(&secret, 0);
        let of_responder = derive_one(&secret, 1);
        if we_initiated {
            Self { present: of_initiator, accept: of_responder }
        } else {
            Self { present: of_responder, accept: of_initiator }
        }
    }
}

const ID_LABEL: &[u8] = b"telemesh return id v1";
const KEY_LABEL: &[u8] = b"telemesh return key v1";

/// `end` is 0 for the tag of the end that initiated the session, 1 for that of the other.
fn derive_one(secret: &hmac::Key, end: u8) -> ReturnTag {
    let labelled = |label: &[u8]| {
        let mut context = hmac::Context::with_key(secret);
        context.update(label);
        context.update(&[end]);
        context.sign()
    };
    let id = labelled(ID_LABEL).as_ref().first_chunk().copied().map(u64::from_le_bytes);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(labelled(KEY_LABEL).as_ref());
    // Zero means that there is no tag; that it comes out is as likely as guessing an id.
    ReturnTag { id: id.and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN), key }
}

#[cfg(test)]
mod tests;

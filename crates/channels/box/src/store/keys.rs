//! Keys of rows. Byte 0 says what a row is.

use telemesh_hashname::Hashname;

use crate::wire::label::Label;

/// Layout of all rows: another layout has another number.
pub(crate) const FORMAT: u8 = 1;

/// The row that holds [`FORMAT`].
pub(crate) const FORMAT_KEY: &[u8] = b"v";

/// A shelf's part of a store: what its rows begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Entries.
    pub(crate) entry: u8,
    /// Parts of the sealed bytes.
    pub(crate) part: u8,
    /// What tells whether the secret is the right one.
    pub(crate) check: u8,
}

/// What the endpoint keeps for others.
pub(crate) const CACHE: Place = Place { entry: b'c', part: b'C', check: b's' };

/// What others have sent to the endpoint.
pub(crate) const INBOX: Place = Place { entry: b'i', part: b'I', check: b'r' };

/// What the endpoint has sent.
pub(crate) const OUTBOX: Place = Place { entry: b'o', part: b'O', check: b'q' };

/// Headers of messages in the inbox.
pub(crate) const HEADER: u8 = b'j';

/// Streams that the endpoint sends.
pub(crate) const SENDING: u8 = b't';

/// Streams that it has heard of.
pub(crate) const HEARD: u8 = b'h';

/// Which caches an endpoint has told us to be its own.
pub(crate) const TOLD: u8 = b'k';

/// That we have told others ours.
pub(crate) const HAS_TOLD: u8 = b'K';

/// Of an entry, or of a header.
pub(crate) fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn part(place: Place, number: u64, index: u32) -> Vec<u8> {
    let mut key = numbered(place.part, number);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

pub(crate) fn sending(recipient: &Hashname, label: &Label) -> Vec<u8> {
    [&[SENDING], &recipient.as_bytes()[..], label.as_str().as_bytes()].concat()
}

pub(crate) fn heard(sender: &Hashname, stream: u64) -> Vec<u8> {
    [&[HEARD], &sender.as_bytes()[..], &stream.to_be_bytes()].concat()
}

/// The number at the end of a key of [`numbered`].
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

//! What an endpoint remembers about a peer's handshakes across restarts: the highest `at`s sent and answered, and the
//! return tags; and its form as bytes.

use zeroize::Zeroizing;

use crate::tags::{MAX_ACCEPTED_TAGS, ReturnTag, ReturnTags, TAG_BYTES};
use crate::timers::AT_LEAP_LIMIT;

/// How many values below the highest answered `at` are still told apart.
const WINDOW: u64 = 64;
/// First byte of the byte form.
const VERSION: u8 = 1;
/// Bytes of the byte form in front of the tags.
const HEAD_BYTES: usize = 1 + 3 * 8 + 2;

/// The part of a peer's state that has to survive a restart. Store it where only this endpoint can read it: the tags are
/// secrets, if small ones (they save their owner the line that strangers stand in).
///
/// `at` is the number in an initiation that makes replays recognisable: microseconds since 1970 as far as the sender's
/// clock allows, and always higher than in any initiation that it sent to this peer before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerRecord {
    /// The highest `at` that we sent to the peer.
    pub sent_at: u64,
    /// The highest `at` of the peer's that we answered.
    pub highest_at: u64,
    /// Bit `i` is set when `highest_at - 1 - i` was answered too.
    pub answered_below: u64,
    /// By which the two endpoints know each other again.
    pub tags: ReturnTags,
}

/// Bytes are not a [`PeerRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A later version of this crate has written it.
    #[error("a peer's record of version {0}, this is version {VERSION}")]
    Version(u8),
    /// It is cut off or damaged.
    #[error("a peer's record is damaged")]
    Malformed,
}

impl PeerRecord {
    /// The form in which it is stored. Integers are little-endian:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 1 | version: 1 |
    /// | 8, 8, 8 | `sent_at`, `highest_at`, `answered_below` |
    /// | 1 | number of tags that we show, 0 or 1 |
    /// | 1 | number of tags that we accept, 0 to 9 |
    /// | 40 each | the tags in this order: id 8, key 32 |
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let ReturnTags { present, accepted } = &self.tags;
        let tags = || present.iter().chain(accepted.iter().take(MAX_ACCEPTED_TAGS));
        // With its whole capacity from the start, so that growing leaves no copy of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + TAG_BYTES * tags().count()));
        bytes.push(VERSION);
        for number in [self.sent_at, self.highest_at, self.answered_below] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(u8::from(present.is_some()));
        bytes.push(u8::try_from(accepted.len().min(MAX_ACCEPTED_TAGS)).unwrap_or_default());
        tags().for_each(|tag| tag.write_to(&mut bytes));
        bytes
    }

    /// Reads what [`PeerRecord::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; nothing of such a record should be used, as an `at` that is too low lets replays in.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes {
            [VERSION, rest @ ..] => Self::read(rest).ok_or(RecordError::Malformed),
            [version, ..] => Err(RecordError::Version(*version)),
            [] => Err(RecordError::Malformed),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (sent_at, bytes) = bytes.split_first_chunk()?;
        let (highest_at, bytes) = bytes.split_first_chunk()?;
        let (answered_below, bytes) = bytes.split_first_chunk()?;
        let (&[present @ (0 | 1), accepted], bytes) = bytes.split_first_chunk()? else { return None };
        let (tags, rest) = bytes.as_chunks::<TAG_BYTES>();
        let (present, accepted) = (usize::from(present), usize::from(accepted));
        if !rest.is_empty() || accepted > MAX_ACCEPTED_TAGS || tags.len() != present + accepted {
            return None;
        }
        let mut tags: Vec<_> = tags.iter().map(ReturnTag::from_bytes).collect::<Option<_>>()?;
        let accepted = tags.split_off(present);
        Some(Self {
            sent_at: u64::from_le_bytes(*sent_at),
            highest_at: u64::from_le_bytes(*highest_at),
            answered_below: u64::from_le_bytes(*answered_below),
            tags: ReturnTags { present: tags.pop(), accepted },
        })
    }

    /// Whether an initiation with this `at` was answered, or is so old that it must be taken for one that was.
    #[must_use]
    pub fn is_stale(&self, at: u64) -> bool {
        if cfg!(feature = "danger-no-at-check") {
            return false;
        }
        at == 0 || at <= self.highest_at && (self.highest_at - at > WINDOW || self.has_answered(at))
    }

    /// Whether exactly this `at` is noted as answered.
    #[must_use]
    pub fn has_answered(&self, at: u64) -> bool {
        match self.highest_at.checked_sub(at) {
            Some(0) => at != 0,
            Some(below @ 1..=WINDOW) => self.answered_below & (1 << (below - 1)) != 0,
            _ => false,
        }
    }

    /// Notes an `at` that is about to be answered.
    pub(crate) fn answered(&mut self, at: u64) {
        if at > self.highest_at {
            let shift = at - self.highest_at;
            // The old highest becomes bit `shift - 1`, and everything below it moves up by `shift`.
            let moved = u32::try_from(shift).ok().and_then(|shift| self.answered_below.checked_shl(shift));
            let old = if shift <= WINDOW && self.highest_at != 0 { 1 << (shift - 1) } else { 0 };
            self.answered_below = moved.unwrap_or(0) | old;
            self.highest_at = at;
        } else if let Some(below @ 1..=WINDOW) = self.highest_at.checked_sub(at) {
            self.answered_below |= 1 << (below - 1);
        }
    }

    /// The `at` for the next initiation, `leap` microseconds ahead of what it would be.
    ///
    /// Without a leap it follows the clock. No leap ends more than two centuries ahead of it.
    pub(crate) fn next_at(&mut self, wall: u64, leap: u64) -> u64 {
        let next = self.sent_at.saturating_add(1).max(wall);
        let limit = wall.saturating_add(AT_LEAP_LIMIT);
        self.sent_at = next.saturating_add(leap).min(limit).max(next);
        self.sent_at
    }
}

#[cfg(test)]
mod tests;

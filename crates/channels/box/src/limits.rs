//! How much, how long, how many: every limit with its reason.

use std::time::Duration;

/// Longest content of one message in bytes: what the other channels take as one message, and what sealing takes.
pub const MAX_CONTENT: usize = 16 * MEBIBYTE;

/// Longest sealed message in bytes: the longest content and 64 KiB for its header and the seal's own bytes, of which
/// there are 16 for every 64 KiB.
pub const MAX_SEALED: usize = MAX_CONTENT + 64 * KIBIBYTE;

/// Longest label in bytes; the names of channel types fit.
pub const MAX_LABEL: usize = 64;

/// What an endpoint takes in for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of everything from one giver. 64 MiB: four messages of the largest kind.
    pub per_sender: u64,
    /// Bytes of everything for one recipient. 256 MiB: four senders at their limit.
    pub per_recipient: u64,
    /// Bytes of everything. 1 GiB, which is two million small messages and about 300 MiB of memory for their index.
    pub total: u64,
    /// Longest sealed message in bytes, at most [`MAX_SEALED`].
    pub max_message: usize,
    /// How long a message is kept. 7 days: somebody who is away for a week finds it.
    pub time_to_live: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            per_sender: 64 * MEBIBYTE as u64,
            per_recipient: 256 * MEBIBYTE as u64,
            total: 1024 * MEBIBYTE as u64,
            max_message: MAX_SEALED,
            time_to_live: Duration::from_secs(7 * DAY),
        }
    }
}

/// What an endpoint keeps of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of sent messages without a receipt, all recipients together. 1 GiB.
    pub outbox: u64,
    /// Bytes of sent messages without a receipt for one recipient. 256 MiB: what a cache keeps for one.
    pub outbox_per_recipient: u64,
    /// Bytes of messages without a receipt that one cache is offered, the oldest first. 48 MiB: less than
    /// [`CacheLimits::per_sender`], so that a cache does not evict the first of our messages for the last.
    pub per_cache: u64,
    /// Bytes of messages that the application has not acknowledged. 256 MiB: 16 of the largest kind.
    pub inbox: u64,
    /// The same for one sender, so that one does not take everybody's room. 64 MiB.
    pub inbox_per_sender: u64,
    /// Longest content of one message in bytes, at most [`MAX_CONTENT`].
    pub max_content: usize,
    /// How long a message is offered unless it says otherwise. 30 days: longer than any cache keeps it.
    pub expires_in: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outbox: 1024 * MEBIBYTE as u64,
            outbox_per_recipient: 256 * MEBIBYTE as u64,
            per_cache: 48 * MEBIBYTE as u64,
            inbox: 256 * MEBIBYTE as u64,
            inbox_per_sender: 64 * MEBIBYTE as u64,
            max_content: MAX_CONTENT,
            expires_in: Duration::from_secs(30 * DAY),
        }
    }
}

/// Bytes of one part of a message, on the way and in a store. One part is in memory at a time for each message.
pub(crate) const PART: usize = 64 * KIBIBYTE;

/// Offers of one session that wait for an answer. Enough to keep a group commit busy over a slow link; times [`PART`]
/// it is what a session may hold in memory.
pub(crate) const WINDOW: usize = 32;

/// Messages in several parts that one session takes at a time; further ones wait.
pub(crate) const LARGE_AT_ONCE: usize = 2;

/// What a message counts at least against a limit, in bytes: its share of the index and of the store's pages. So small
/// messages cannot fill the memory while they seem to be few bytes.
pub(crate) const MIN_CHARGE: u64 = 512;

/// A message up to this size stays in a cache as the last of its sender, whatever others bring.
pub(crate) const SMALL: u32 = 4 * 1024;

/// How far ahead of the first missing message of a stream others are taken.
pub(crate) const MAX_AHEAD: u64 = 65_536;

/// Streams remembered of one sender. A stream is one label since the sender's store was made; the one that was used
/// longest ago goes.
pub(crate) const MAX_STREAMS: usize = 64;

/// Messages of one stream that were delivered and are not acknowledged; the next ones wait for the application. It bounds
/// how many holes the record of what is acknowledged can have.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 512;

/// Runs of acknowledged messages in a receipt, and in the record of a stream: one behind each hole.
pub(crate) const MAX_RUNS: usize = 2 * MAX_UNACKNOWLEDGED;

/// Caches that an endpoint tells its contacts to be its own. Two are enough while one is down; four while it moves.
pub const MAX_TOLD: usize = 4;

/// Endpoints whose caches are remembered, 160 bytes each. Beyond that one gives way that has no link.
pub(crate) const MAX_TELLERS: usize = 4_096;

/// Sessions that one link may have open. One is enough; another may begin while the last one ends.
pub(crate) const MAX_SESSIONS: usize = 4;

const KIBIBYTE: usize = 1024;
const MEBIBYTE: usize = 1024 * KIBIBYTE;
const DAY: u64 = 24 * 60 * 60;

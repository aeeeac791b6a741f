//! How large everything in a chat may be. One constant per limit, each with its reason.

use std::time::Duration;

/// Longest text of one message, in bytes of UTF-8: a long letter. What is longer is a file.
pub const MAX_TEXT: usize = 64 * 1024;

/// Most participants of a chat, its leader among them: all of them link pairwise.
pub const MAX_PARTICIPANTS: usize = 128;

/// Longest name of a participant or of a chat, in bytes of UTF-8: it stands in one line of a terminal.
pub const MAX_NAME: usize = 64;

/// Most earlier messages that one says it comes after, besides its sender's own. Heads beyond that are named by later ones.
pub const MAX_AFTER: usize = 16;

/// Most messages that a text refers to.
pub const MAX_REFS: usize = 16;

/// Most other forms of one text.
pub const MAX_ALTERNATES: usize = 8;

/// Longest media type of an alternate, in bytes: RFC 6838 section 4.2 allows 127 on each side of the stroke.
pub const MAX_MEDIA_TYPE: usize = 255;

/// Most bytes of all alternates of one text together.
pub const MAX_ALTERNATE_BYTES: usize = 64 * 1024;

/// Most other devices that a participant names as its own.
pub const MAX_AKA: usize = 8;

/// Longest link URI in a profile, in bytes. Usual ones have about 220.
pub const MAX_LINK: usize = 2 * 1024;

/// Longest content of one entry of a log, in bytes: the longest text with its alternates and what is around them.
pub const MAX_CONTENT: usize = MAX_TEXT + MAX_ALTERNATE_BYTES + 4 * 1024;

/// Longest entry, in bytes: its content, up to [`MAX_AFTER`] hashes, key, signature.
pub const MAX_ENTRY: usize = MAX_CONTENT + 1024;

/// Longest frame on a channel, in bytes: at least one entry, however long.
pub const MAX_FRAME: usize = 256 * 1024;

/// Entries are put into one frame up to so many bytes: enough to keep a link busy, little to hold for a peer.
pub(crate) const BATCH: usize = 64 * 1024;

/// Most acknowledgements in one frame.
pub(crate) const MAX_ACKS_PER_FRAME: usize = 512;

/// Most entries that one frame asks for.
pub(crate) const MAX_WANTS: usize = 256;

/// Most entries of a chat that wait for an earlier one. The oldest go; a catch-up brings them again.
pub const MAX_PENDING: usize = 1024;

/// Most bytes of those.
pub const MAX_PENDING_BYTES: usize = 4 * 1024 * 1024;

/// Invitations that wait for an answer. The oldest go; their leaders repeat them when the link comes up again.
pub const MAX_INVITATIONS: usize = 64;

/// Chats of one endpoint.
pub const MAX_CHATS: usize = 256;

/// How long acknowledgements wait for others to go with them.
pub const ACK_DELAY: Duration = Duration::from_millis(100);

/// How long an entry's sender has to bring it to everybody before others relay it to those who have not acknowledged it.
pub const RELAY_DELAY: Duration = Duration::from_secs(2);

/// How long an entry may wait for an earlier one before the gap is shown, and somebody else is asked.
pub const GAP_DELAY: Duration = Duration::from_secs(10);

/// How long a participant may be away before what we write goes into their mailbox.
pub const MAIL_DELAY: Duration = Duration::from_secs(15);

/// How long a letter that no mailbox has kept waits until it is made again: a full mailbox is emptied by people.
pub const MAIL_AGAIN: Duration = Duration::from_secs(60);

/// Events that a subscriber may leave unread; then the oldest give way to one that says how many.
pub const MAX_UNREAD_EVENTS: usize = 1024;

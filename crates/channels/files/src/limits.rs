//! Every limit of the channel, with its reason.

/// Version of the protocol, the first byte of the open message's body.
pub const VERSION: u8 = 1;

/// Most entries (files, folders and links together) of one transfer. Sixteen million is more than a file system is happy
/// with in one tree; a claim beyond it is refused before anything is read.
pub const MAX_ENTRIES: u64 = 1 << 24;

/// Most bytes of one transfer: what a file offset can hold.
pub const MAX_BYTES: u64 = i64::MAX as u64;

/// Longest name of a file, folder or link, in bytes: what common file systems allow.
pub const MAX_NAME: usize = 255;

/// Longest path inside a transfer, in bytes, separators included: below it other programs can still open the file on
/// Linux, where a whole path has at most 4,096 bytes.
pub const MAX_PATH: usize = 3_840;

/// Most folders inside each other. The receiver holds one open handle for each of them, twice, and a process commonly may
/// have 1,024 of those.
pub const MAX_DEPTH: usize = 128;

/// Longest target of a symbolic link, in bytes: Linux allows 4,095.
pub const MAX_LINK_TARGET: usize = 4_095;

/// Most names in one folder that is sent. They are held in memory while that folder is listed, since the list is sorted.
pub const MAX_NAMES_IN_FOLDER: usize = 1 << 20;

/// Most files and folders named to one [`crate::Offer`]: each keeps its path.
pub const MAX_ROOTS: usize = 1 << 16;

/// Bytes of list that the sender keeps in memory; beyond it the list goes to a temporary file. About 100,000 entries.
pub const LIST_IN_MEMORY: usize = 4 << 20;

/// Largest message that is held as a whole, in bytes: list and decisions come in messages of at most this size.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most file data after one message header, in bytes.
pub const MAX_DATA: usize = 1 << 20;

/// Most zeros in place of data in one message, in bytes. A message of a few bytes makes the receiver hash this much, so
/// it is no larger than what a message of data may carry.
pub const MAX_ZEROS: u64 = 1 << 20;

/// Entries that the sender may list before the first of them is dealt with. Enough for small files to keep a long, fast
/// path busy, and each side holds so many entries in memory.
pub const LIST_AHEAD: usize = 8_192;

/// Points at which the receiver of a half-received file says what it has, so that the sender finds the longest part that
/// is right.
pub const MAX_PREFIXES: usize = 32;

/// Least distance between two such points, in bytes; a closer one saves less than it costs to hash and to say.
pub const PREFIX_STEP: u64 = 4 << 20;

/// Files received before they are synced and put in place together. One sync of many files costs about what one of a
/// single file costs.
pub const BATCH_FILES: usize = 2_048;

/// Bytes received before they are synced and put in place, with the file that passes it.
pub const BATCH_BYTES: u64 = 64 << 20;

/// How much of a large file is written before the system is asked to start writing it to the disk, in bytes.
pub(crate) const WRITEBACK_STEP: u64 = 32 << 20;

/// Bytes of one piece that is read from a file or from the channel: large enough that the calls cost nothing, small enough
/// to stay in a processor's cache between hashing and writing.
pub(crate) const PIECE: usize = 256 * 1024;

/// Pieces between a transfer's thread and the network: one in work, one waiting, one on its way.
pub(crate) const PIECES_WAITING: usize = 3;

/// Problems that a [`crate::Report`] lists. All are counted.
pub const MAX_PROBLEMS: usize = 1_000;

/// Longest name of a transfer, in bytes.
pub const MAX_TRANSFER_NAME: usize = 255;

/// Transfers that one link may have open at once. Each holds two threads and a few megabytes.
pub const MAX_TRANSFERS: usize = 8;

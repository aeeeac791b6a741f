//! The `files` channel: files and folders to a peer, checked, resumable, and never outside the target folder.
//!
//! [`Offer::scan`] lists what is to be sent, [`send`] sends it over a link (any [`Opener`](telemesh_channel::Opener)). On the
//! other side a [`Receiver`] takes transfers into a [`Target`] folder by itself, or a handler reads each [`Request`] and
//! decides. [`Progress`] counts on either side.
//!
//! # What a transfer promises
//! - **What was reported is on the disk.** A file gets its name only when its content is complete, has the sender's hash
//!   (blake3) and is synced; the sender hears of it after that. Half-received files lie in [`STATE_FOLDER`] inside the
//!   target folder.
//! - **It goes on where it stopped**, whichever side died, at any moment: the same offer sent again sends what is missing.
//!   A half-received file is compared by hash at several points, and continued from the last one that is right.
//! - **Nothing leaves the target folder.** On the wire an entry has one name and a depth, never a path. On Unix each
//!   name is opened relative to an open folder and no symbolic link is followed; elsewhere paths are checked before each use.
//! - **Nothing is overwritten unless asked**, see [`Existing`]. The same content is left as it is.
//! - **Single files do not fail a transfer.** What cannot be sent or kept is left out, with a [`Reason`] that both sides
//!   report. Only the link, a full disk or a broken protocol end a transfer early.
//! - **Memory is bounded** whatever is sent: the list passes by, see [`limits`].
//!
//! # What is sent
//! Names (UTF-8, without backslashes), contents, permission bits (less the receiver's umask, see [`Target::exact_modes`]),
//! modification times to the nanosecond, empty folders, and symbolic links that stay within the folder that is sent. Long
//! runs of zeros are not sent and become holes. Not owners, other times, hard links (each becomes a file), extended
//! attributes. Names that differ only by case collide on a target that ignores case: the first one is taken.
//!
//! # What is where
//! `offer`: listing. `send`: the sender's thread. `receive`: the receiver's two. `disk`: folders as handles. `wire`: the
//! messages. On the wire: an open message of type `files` whose body is a version, the transfer's id and totals; then the
//! messages that `wire` describes.
//!
//! Each transfer has one thread that reads or writes files (the receiver a second one that syncs), taken from Tokio's
//! blocking threads; files are never touched on the runtime's own.

pub mod limits;

mod disk;
mod error;
mod list;
mod names;
mod offer;
mod progress;
mod receive;
mod report;
mod send;
mod wire;

pub use error::{OfferError, ReceiveError, SendError};
pub use list::TransferId;
pub use names::{Escaped, STATE_FOLDER, escaped};
pub use offer::Offer;
pub use progress::{Event, Progress, Snapshot};
pub use receive::{Ending, Existing, Leftover, Receiver, Request, Target};
pub use report::{FailureCode, Problem, Reason, Renamed, Report};
pub use send::send;

/// The channel's type.
pub const FILES: &str = "files";

/// Priority of the channel among those of its link: behind everything that people wait for.
pub(crate) const BULK_PRIORITY: i32 = -1;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! What became of a transfer and of each entry that made trouble: the same words on both sides.

use std::fmt;

use crate::limits::MAX_PROBLEMS;
use crate::names::escaped;

/// What a transfer did, on either side. Entries with problems do not make a transfer fail; [`Self::is_complete`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Files that are there now, with those that were there before.
    pub files: u64,
    /// Of these, files that needed no data: the receiver had the same content, or had taken them in an earlier attempt.
    pub files_already_there: u64,
    /// Folders that are there now.
    pub folders: u64,
    /// Symbolic links that are there now.
    pub links: u64,
    /// Bytes in `files`.
    pub bytes: u64,
    /// Bytes of file data that crossed the link in this attempt.
    pub bytes_transferred: u64,
    /// The first [`MAX_PROBLEMS`] entries that are not there, and why; in the order of the list. At the sender what could not be
    /// offered ([`Offer::left_out`](crate::Offer::left_out)) comes before them.
    pub problems: Vec<Problem>,
    /// How many entries are not there.
    pub problem_count: u64,
    /// The receiver's, and the first [`MAX_PROBLEMS`] only: files that were given another name because theirs was taken.
    pub renamed: Vec<Renamed>,
}

impl Report {
    /// Whether everything is there; at the sender, everything that was to be sent.
    pub fn is_complete(&self) -> bool {
        self.problem_count == 0
    }

    /// What could not even be offered comes first. The receiver never hears of it.
    pub(crate) fn add_left_out(&mut self, problems: &[Problem], count: u64) {
        self.problems.splice(..0, problems.iter().cloned());
        self.problems.truncate(MAX_PROBLEMS);
        self.problem_count += count;
    }

    pub(crate) fn add_renamed(&mut self, renamed: Renamed) {
        if self.renamed.len() < MAX_PROBLEMS {
            self.renamed.push(renamed);
        }
    }
}

/// An entry that was not sent or not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Its path inside the transfer, with `/` between names. A peer chose the names: show it through
    /// [`escaped`](crate::escaped), as `Display` does.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", escaped(&self.path), self.reason)
    }
}

/// Problems as they are met, which is not always in the list's order.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// Each with the number of its entry.
    kept: Vec<(u64, Problem)>,
    count: u64,
}

impl Problems {
    pub(crate) fn add(&mut self, index: u64, problem: Problem) {
        self.count += 1;
        if self.kept.len() < MAX_PROBLEMS {
            self.kept.push((index, problem));
        }
    }

    /// Counts problems of which nothing is known.
    pub(crate) fn count_more(&mut self, count: u64) {
        self.count += count;
    }

    /// Puts them into a report, in order.
    pub(crate) fn report_to(&mut self, report: &mut Report) {
        self.kept.sort_by_key(|(index, _)| *index);
        report.problems = self.kept.drain(..).map(|(_, problem)| problem).collect();
        report.problem_count = self.count;
    }
}

/// A file that is there under another name than the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renamed {
    /// The sender's path inside the transfer.
    pub path: String,
    /// The name it has now, in the same folder.
    pub name: String,
}

/// Declares an enum with a code per value, so that codes and words stand beside each other.
macro_rules! coded {
    ($(#[$meta:meta])* $name:ident, else $other:ident: $(#[$value_meta:meta] $value:ident = $code:literal, $words:literal;)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum $name {
            $(#[$value_meta] #[error($words)] $value,)*
        }

        impl $name {
            /// The code on the wire.
            pub(crate) fn code(self) -> u8 {
                match self { $(Self::$value => $code,)* }
            }

            /// A newer build's code is not an error.
            pub(crate) fn from_code(code: u8) -> Self {
                match code { $($code => Self::$value,)* _ => Self::$other }
            }

            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$value,)*];
        }
    };
}

coded! {
    /// Why an entry was not sent or not kept.
    Reason, else Other:
    /// A reason of a newer build.
    Other = 0, "for a reason this build does not know";
    /// The receiver has something else of this name, and its policy is to keep that.
    Exists = 1, "something else of this name is there already";
    /// A folder was to be made, or a link or folder replaced, where something of another kind is.
    InTheWay = 2, "something of another kind is in the way";
    /// A folder of the target turned out to be a symbolic link, and links are not followed.
    LinkInTheWay = 3, "a symbolic link is in the way, which is not followed";
    /// The receiver's system cannot have a file of this name.
    Name = 4, "the receiver's system does not allow the name";
    /// On the receiver's system, which ignores case, another entry of the transfer has this name.
    NameCollides = 5, "differs only by case from another name, which the receiver's system does not tell apart";
    /// The receiver takes no symbolic links.
    LinksNotTaken = 6, "symbolic links are not taken";
    /// The link leads out of the folder that is sent.
    LinkLeaves = 7, "the symbolic link leads out of the folder that is sent";
    /// The operating system does not allow it.
    Permission = 8, "permission denied";
    /// The path is too long, or too many folders are inside each other.
    PathTooLong = 9, "the path is too long";
    /// The folder it lies in could not be made or read.
    Folder = 10, "the folder it lies in has a problem";
    /// It changed after it was listed.
    Changed = 11, "it changed while it was sent";
    /// It was gone when its turn came.
    Vanished = 12, "it is gone";
    /// It could not be read.
    Unreadable = 13, "it could not be read";
    /// What arrived is not what was sent.
    WrongHash = 14, "what arrived is not what was sent";
    /// A device, a socket, a pipe.
    Special = 15, "neither file, folder nor symbolic link";
    /// The name cannot be sent: not UTF-8, or with a backslash.
    Unsendable = 16, "the name is not UTF-8, or has a backslash";
    /// More names in one folder, or more entries in all, than a transfer may have.
    TooMany = 17, "too many entries";
    /// The receiver's disk or file system failed for this entry only.
    Disk = 18, "it could not be written";
}

coded! {
    /// Why a receiver gave up the whole transfer. What it has so far is kept for the next attempt.
    FailureCode, else Other:
    /// A reason of a newer build.
    Other = 0, "for a reason this build does not know";
    /// No room on the receiver's disk, or its quota is used up.
    DiskFull = 1, "its disk is full";
    /// The receiver may not write where it should.
    Permission = 2, "it may not write there";
    /// The receiver's disk or file system failed.
    Disk = 3, "its disk failed";
    /// The sender broke the protocol, as the receiver sees it.
    Protocol = 4, "we broke the protocol, it says";
}

impl FailureCode {
    /// How the peer is told of a local error.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Permission,
            _ => Self::Disk,
        }
    }
}

//! [`Offer`]: what is to be sent, listed once.

mod list;
mod scan;

pub(crate) use list::{Entries, List};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::OfferError;
use crate::limits::MAX_TRANSFER_NAME;
use crate::list::TransferId;
use crate::report::Problem;
use crate::wire::Hello;

/// Files and folders to send, listed when the offer was made. It can be sent any number of times, to anyone; a clone is
/// the same offer.
///
/// What happens to the files after that is noticed: a file that is not what was listed is left out of the transfer with
/// [`Reason::Changed`](crate::Reason::Changed) or [`Reason::Vanished`](crate::Reason::Vanished).
#[derive(Clone)]
pub struct Offer {
    list: Arc<List>,
    name: Arc<str>,
}

impl Offer {
    /// Lists files and folders, each with everything in it, as the last part of its path is called. Listing reads names
    /// and sizes, no contents, and takes some seconds per million files.
    ///
    /// A path that is a symbolic link is followed. Deeper inside links are sent as links if they stay within the
    /// folder, and never followed. What cannot be sent is left out, see [`left_out`](Self::left_out). Folders called
    /// [`STATE_FOLDER`](crate::STATE_FOLDER) are not part of any transfer.
    ///
    /// # Errors
    /// [`OfferError`]: trouble with one of the paths themselves, or too much.
    pub async fn scan<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OfferError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        match tokio::task::spawn_blocking(move || Self::scan_now(paths)).await {
            Ok(offer) => offer,
            Err(error) => Err(OfferError::List(std::io::Error::other(error))),
        }
    }

    /// As [`scan`](Self::scan), on this thread.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_now<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OfferError> {
        let list = scan::scan(paths.into_iter().map(Into::into))?;
        let name = list.roots.first().map_or("", |root| &root.name).into();
        Ok(Self { list: Arc::new(list), name })
    }

    /// Gives the transfer another name than that of its first file or folder. The receiver's people see it; it decides
    /// nothing. Cut off after [`MAX_TRANSFER_NAME`] bytes.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = name.get(..name.floor_char_boundary(MAX_TRANSFER_NAME)).unwrap_or_default().into();
        self
    }

    /// What the transfer is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the transfer.
    pub fn id(&self) -> TransferId {
        self.list.id
    }

    /// How many files it has.
    pub fn files(&self) -> u64 {
        self.list.files
    }

    /// How many files, folders and links it has.
    pub fn entries(&self) -> u64 {
        self.list.entries
    }

    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.list.bytes
    }

    /// The first [`MAX_PROBLEMS`](crate::limits::MAX_PROBLEMS) things that were found but cannot be sent, and why.
    pub fn left_out(&self) -> &[Problem] {
        &self.list.left_out
    }

    /// How many things were found but cannot be sent.
    pub fn left_out_count(&self) -> u64 {
        self.list.left_out_count
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            id: self.list.id.0,
            entries: self.list.entries,
            files: self.list.files,
            bytes: self.list.bytes,
            name: (*self.name).into(),
        }
    }

    pub(crate) fn list(&self) -> &Arc<List> {
        &self.list
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Offer")
            .field("name", &self.name)
            .field("id", &self.list.id)
            .field("entries", &self.list.entries)
            .field("bytes", &self.list.bytes)
            .finish_non_exhaustive()
    }
}

//! The trait of what notices that the machine's own network has changed.

use std::{
    fmt, io,
    task::{Context, Poll},
};

/// What has changed about the machine's network. The greater one includes the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NetworkChange {
    /// There are new addresses; what worked before still does.
    Gained,
    /// Addresses are gone, or packets leave the machine another way: what worked before may not.
    Moved,
}

/// Notices changes of the machine's network. It sends nothing.
///
/// It may tell as often as something changes: how often an endpoint does something about it is the mesh's business.
pub trait NetworkWatch: fmt::Debug + Send + Sync + 'static {
    /// The next change since the last one that was told. One task may wait.
    ///
    /// # Errors
    /// When noticing has failed for good.
    fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<io::Result<NetworkChange>>;
}

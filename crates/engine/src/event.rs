//! What an engine tells its owner.

use crate::EngineError;

/// Names a stream within its engine. Both ends use the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) quinn_proto::StreamId);

impl StreamId {
    /// The stream's number, as in RFC 9000, section 2.1.
    #[must_use]
    pub fn index(self) -> u64 {
        quinn_proto::VarInt::from(self.0).into_inner()
    }
}

/// Something that the application may be waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The other side has opened this stream.
    Opened(StreamId),
    /// The stream has bytes, its end, or a reset to read.
    Readable(StreamId),
    /// The stream takes bytes again after [`crate::WriteError::Blocked`].
    Writable(StreamId),
    /// All bytes and the end of the stream were acknowledged.
    Finished(StreamId),
    /// The other side does not want the rest; its code.
    Stopped(StreamId, u32),
    /// [`crate::Engine::open`] may work again after it returned `None`.
    Available,
    /// The engine is dead: its streams are lost. The link may start another with the next number.
    Failed(EngineError),
}

//! What can go wrong: one enum per operation.

use std::io;

use telemesh_channel::{ChannelError, Fault, OpenError};
use telemesh_wire::Refusal;

/// Somebody else's error: a service's, a body's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the frames of a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A kind that this build does not know.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    /// Data before the head, a second head, trailers that do not end the message.
    #[error("a frame out of order")]
    Order,
    /// Data of no bytes that ends nothing.
    #[error("an empty frame")]
    Empty,
    /// A head or trailers beyond [`MAX_HEADER_LIST`](crate::limits::MAX_HEADER_LIST).
    #[error("a head of {0} bytes")]
    TooLong(usize),
    /// Bytes behind the end of the message.
    #[error("bytes behind the end of the message")]
    AfterEnd,
}

/// Why a head or trailers are none that this channel type carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Lengths that do not fit, or bytes left over.
    #[error("headers that cannot be read")]
    Malformed,
    /// More than [`MAX_HEADER_LIST`](crate::limits::MAX_HEADER_LIST) bytes together.
    #[error("headers of {0} bytes together")]
    ListTooLong(usize),
    /// One header longer than [`MAX_HEADER`](crate::limits::MAX_HEADER).
    #[error("a header of {0} bytes")]
    HeaderTooLong(usize),
    /// More than [`MAX_HEADERS`](crate::limits::MAX_HEADERS).
    #[error("too many headers")]
    TooMany,
    /// Not a lower-case token (RFC 9110, section 5.6.2).
    #[error("a header's name that is none")]
    Name,
    /// Control characters, or space at either end (RFC 9110, section 5.5).
    #[error("a header's value with characters that are not allowed")]
    Value,
    /// A header that concerns one connection only (RFC 9110, section 7.6.1) or is said in another way.
    #[error("the header {0} is not carried")]
    Forbidden(&'static str),
    /// A name beginning with a colon that is unknown, twice there, behind other headers, or in trailers.
    #[error("a name with a colon that does not belong there")]
    Pseudo,
    /// One of those that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not a method, or `CONNECT`, for which there are other channels.
    #[error("an unusable method")]
    Method,
    /// Not a path with an optional query: a whole URL, a fragment, spaces.
    #[error("a request target that is not a path")]
    Path,
    /// Not a host with an optional port, or another one than the header `host` says.
    #[error("an unusable authority")]
    Authority,
    /// Not a number from 100 to 999.
    #[error("an unusable status")]
    Status,
    /// More than one length, one that is no number, or one where none may be.
    #[error("an unusable content-length")]
    ContentLength,
    /// An upgrade to something that is not the name of a protocol, or with a body.
    #[error("an unusable upgrade")]
    Upgrade,
}

/// Why a message could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The channel failed; [`ChannelError::of`] tells more.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The channel ended in the middle of the message.
    #[error("the message was cut")]
    Cut,
    /// The peer broke the rules of frames.
    #[error("the peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// The peer sent a head or trailers that are none.
    #[error("the peer sent {0}")]
    Head(#[from] HeadError),
    /// More or fewer bytes than the header `content-length` has announced.
    #[error("the body is not as long as its content-length says")]
    Length,
    /// A body that came from elsewhere failed.
    #[error("the body failed: {0}")]
    Other(#[source] BoxError),
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The peer does not serve us, or nobody.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
    /// The channel could not be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The request cannot be sent like this.
    #[error("the request has {0}")]
    Request(#[source] HeadError),
    /// The request's body failed.
    #[error("the request's body failed: {0}")]
    Body(#[source] BoxError),
    /// The response could not be read.
    #[error("no response: {0}")]
    Response(#[source] BodyError),
    /// The peer switched to a protocol that was not asked for, or sent too many interim responses.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
}

impl RequestError {
    /// Whose fault it is; `None` if the link was closed in order.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Refused(_) | Self::Protocol(_) => Some(Fault::Peer),
            Self::Open(error) => error.fault(),
            Self::Request(_) | Self::Body(_) => Some(Fault::Ours),
            Self::Response(BodyError::Io(error)) => {
                ChannelError::of(error).map_or(Some(Fault::Network), ChannelError::fault)
            }
            Self::Response(_) => Some(Fault::Peer),
        }
    }

    pub(crate) fn opening(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Open(error),
        }
    }

    /// Why the response was not read: a refusal comes out of the first read.
    pub(crate) fn reading(error: BodyError) -> Self {
        if let BodyError::Io(io) = &error
            && let Some(ChannelError::Refused(refusal)) = ChannelError::of(io)
        {
            return Self::Refused(refusal.clone());
        }
        Self::Response(error)
    }
}

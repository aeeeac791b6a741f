//! [`Upgraded`]: a channel after both sides have switched to another protocol.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures_core::future::BoxFuture;
use http::{Request, Response};
use telemesh_channel::{ReadHalf, WriteHalf};
use telemesh_hashname::Hashname;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::Body;
use crate::leave::Guard;

/// The bytes of an upgraded connection, both ways.
///
/// As with any channel, `shutdown` ends writing in order; dropped before, it is reset. At the end that serves, reading and writing fail from when the peer is served no more.
pub struct Upgraded {
    /// Came together with the head, and is read first.
    early: Bytes,
    read: ReadHalf,
    write: WriteHalf,
    /// At the end that serves: whether it still does.
    guard: Option<Guard>,
}

impl Upgraded {
    pub(crate) fn new(early: Bytes, read: ReadHalf, write: WriteHalf) -> Self {
        Self { early, read, write, guard: None }
    }

    pub(crate) fn guarded(self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    fn check(&mut self) -> io::Result<()> {
        self.guard.as_mut().map_or(Ok(()), Guard::check)
    }

    /// The endpoint at the other end.
    #[must_use]
    pub fn peer(&self) -> Hashname {
        self.read.peer()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(guard) = &mut self.guard {
            guard.poll(cx)?;
        }
        if self.early.is_empty() {
            return Pin::new(&mut self.read).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..count).unwrap_or_default());
        self.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.write).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upgraded").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// In the extensions of a response that has switched protocols.
#[derive(Clone)]
pub(crate) struct Waiting(Arc<Mutex<Option<Upgraded>>>);

impl Waiting {
    pub(crate) fn new(upgraded: Upgraded) -> Self {
        Self(Arc::new(Mutex::new(Some(upgraded))))
    }
}

/// The connection behind a response with the status `101 Switching Protocols`; `None` if it has another status, or the
/// connection was taken before.
pub fn upgraded<B>(response: &mut Response<B>) -> Option<Upgraded> {
    let Waiting(upgraded) = response.extensions_mut().remove()?;
    upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Answers requests to switch to one protocol at one path; see [`Server::upgrade`](crate::Server::upgrade).
pub trait UpgradeHandler: Send + Sync + 'static {
    /// Decides on one request. The peer has the grant to ask; it is in the extensions as [`Peer`](crate::Peer).
    fn decide(&self, request: Request<()>) -> Decision;
}

/// See [`UpgradeHandler`].
pub enum Decision {
    /// Switches, with these headers in the response; the status is set.
    Switch {
        /// The response.
        response: Response<()>,
        /// Serves the connection to its end, in the task of its channel. Dropped when the peer is served no more.
        serve: Box<dyn FnOnce(Upgraded) -> BoxFuture<'static, ()> + Send>,
    },
    /// Answers in some other way.
    Refuse(Response<Body>),
}

impl fmt::Debug for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch { response, .. } => formatter.debug_tuple("Switch").field(response).finish(),
            Self::Refuse(response) => formatter.debug_tuple("Refuse").field(response).finish(),
        }
    }
}

//! [`WebSocket`]: messages in both directions.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use futures_sink::Sink;
use telemesh_hashname::Hashname;
use telemesh_thtp::Upgraded;
use tokio::io::AsyncWrite as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::error::SocketError;
use crate::limits::{BUFFER, CLOSE_TIMEOUT};
use crate::message::{Close, Message};

/// A WebSocket (RFC 6455): `Stream` and `Sink` of [`Message`].
///
/// [`receive`](Self::receive), [`send`](Self::send) and [`close`](Self::close) do for those who do not use the traits. Pings and the peer's
/// close are answered by themselves while somebody receives or sends. Dropped without a close, what was sent arrives, and then
/// the peer sees that the connection was cut (its code 1006).
pub struct WebSocket {
    inner: WebSocketStream<Upgraded>,
    protocol: Option<String>,
    max_message: usize,
    sending: Sending,
}

/// What is left of this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// The last frame is queued.
    Closing,
    /// The channel's direction has ended.
    Ended,
}

impl WebSocket {
    pub(crate) async fn new(io: Upgraded, role: Role, protocol: Option<String>, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let inner = WebSocketStream::from_raw_socket(io, role, Some(config)).await;
        Self { inner, protocol, max_message, sending: Sending::Open }
    }

    /// The endpoint at the other end.
    #[must_use]
    pub fn peer(&self) -> Hashname {
        self.inner.get_ref().peer()
    }

    /// The sub-protocol that both sides have agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Waits for the next message; `None` is the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SocketError`], after which there is nothing more. The peer was told with the code that goes with it.
    pub async fn receive(&mut self) -> Result<Option<Message>, SocketError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    /// Sends one message and waits until it is with the channel.
    ///
    /// # Errors
    /// [`SocketError`]. `TooLarge` and `Usage` concern this message only.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SocketError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        Pin::new(&mut *self).start_send(message.into())?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Closes with a code and a reason, and waits until the peer has closed as well, but no longer than
    /// [`CLOSE_TIMEOUT`]. Messages that come until then are dropped.
    ///
    /// # Errors
    /// [`SocketError`]: the peer has not heard of it.
    pub async fn close(mut self, code: u16, reason: impl Into<String>) -> Result<(), SocketError> {
        match self.send(Message::Close(Some(Close::new(code, reason)))).await {
            // The peer was first.
            Ok(()) | Err(SocketError::Closed) => {}
            Err(error) => return Err(error),
        }
        let rest = async { while let Ok(Some(_)) = self.receive().await {} };
        // A peer that does not answer has heard it all the same.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
        Ok(())
    }

    /// After the last frame the channel's direction ends, so that it arrives although the socket is dropped next.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if self.sending == Sending::Closing {
            let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
            // The first call counts.
            let _ = Pin::new(self.inner.get_mut()).poll_shutdown(cx);
            self.sending = Sending::Ended;
            match flushed {
                Ok(()) | Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the peer what it did wrong (RFC 6455, section 7.1.7).
    fn fail(&mut self, error: &SocketError, cx: &mut Context<'_>) {
        let code = match error {
            SocketError::TooLarge { .. } => CloseCode::Size,
            SocketError::Utf8 => CloseCode::Invalid,
            SocketError::Protocol(_) => CloseCode::Protocol,
            _ => return,
        };
        if self.sending == Sending::Open {
            let close = CloseFrame { code, reason: "".into() };
            let _ = Pin::new(&mut self.inner).start_send(tungstenite::Message::Close(Some(close)));
            self.sending = Sending::Closing;
        }
        // If there is no room for it, the end of the connection says enough.
        let _ = self.poll_end(cx);
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        if self.sending != Sending::Ended {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.inner).poll_flush(&mut cx);
            let _ = Pin::new(self.inner.get_mut()).poll_shutdown(&mut cx);
        }
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            // A peer that has closed may not take our answer any more; what it has sent is there to be read.
            let _ = ready!(self.poll_end(cx));
            let message = match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    let error = SocketError::from(error);
                    self.fail(&error, cx);
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    if self.sending == Sending::Open {
                        self.sending = Sending::Closing;
                    }
                    let _ = self.poll_end(cx);
                    return Poll::Ready(None);
                }
            };
            if message.is_close() && self.sending == Sending::Open {
                // The answer is queued below; nothing may follow it.
                self.sending = Sending::Closing;
                let _ = self.poll_end(cx);
            }
            if let Some(message) = Message::from_inner(message) {
                return Poll::Ready(Some(Ok(message)));
            }
        }
    }
}

impl Sink<Message> for WebSocket {
    type Error = SocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if self.sending != Sending::Open {
            return Poll::Ready(Err(SocketError::Closed));
        }
        Pin::new(&mut self.inner).poll_ready(cx).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SocketError> {
        if self.sending != Sending::Open {
            return Err(SocketError::Closed);
        }
        let message = message.into_inner(self.max_message)?;
        let closes = message.is_close();
        Pin::new(&mut self.inner).start_send(message)?;
        if closes {
            self.sending = Sending::Closing;
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self.sending {
            Sending::Open => Pin::new(&mut self.inner).poll_flush(cx).map_err(Into::into),
            Sending::Closing | Sending::Ended => self.poll_end(cx),
        }
    }

    /// Sends what is left and a close without a code.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if self.sending == Sending::Open {
            ready!(Pin::new(&mut self.inner).poll_ready(cx))?;
            Pin::new(&mut self.inner).start_send(tungstenite::Message::Close(None))?;
            self.sending = Sending::Closing;
        }
        self.poll_end(cx)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocket")
            .field("peer", &self.peer())
            .field("protocol", &self.protocol)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

//! Writing a message to a channel.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use telemesh_channel::{ChannelError, WriteHalf};
use tokio::io::AsyncWrite as _;

use crate::error::{BoxError, HeadError};
use crate::fields::write_trailers;
use crate::frame::{FRAME_HEADER, Kind, put_header};
use crate::limits::{COPY, MAX_DATA_FRAME};

/// Frames that are to be written. Small ones are joined, so that they travel in one packet.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    ready: VecDeque<Bytes>,
    open: BytesMut,
}

impl Frames {
    pub(crate) fn head(&mut self, block: &Bytes, end: bool) {
        put_header(&mut self.open, Kind::Head, end, block.len());
        self.open.extend_from_slice(block);
    }

    pub(crate) fn data(&mut self, mut data: Bytes, end: bool) {
        if data.is_empty() {
            if end {
                put_header(&mut self.open, Kind::Data, true, 0);
            }
            return;
        }
        while !data.is_empty() {
            let mut piece = data.split_to(data.len().min(MAX_DATA_FRAME));
            self.open.reserve(FRAME_HEADER + piece.len().min(COPY));
            put_header(&mut self.open, Kind::Data, end && data.is_empty(), piece.len());
            self.open.extend_from_slice(&piece.split_to(piece.len().min(COPY)));
            if !piece.is_empty() {
                self.ready.push_back(self.open.split().freeze());
                self.ready.push_back(piece);
            }
        }
    }

    fn trailers(&mut self, block: &Bytes) {
        put_header(&mut self.open, Kind::Trailers, true, block.len());
        self.open.extend_from_slice(block);
    }

    /// What is at the front, up to `most` bytes.
    pub(crate) fn take_front(&mut self, most: usize) -> Bytes {
        self.close_open();
        let mut taken = BytesMut::new();
        while let Some(front) = self.ready.front_mut()
            && taken.len() < most
        {
            let piece = front.split_to(front.len().min(most - taken.len()));
            let is_whole = front.is_empty();
            if is_whole {
                self.ready.pop_front();
            }
            // The usual case: everything is in one piece already.
            if taken.is_empty() && is_whole && self.ready.is_empty() {
                return piece;
            }
            taken.extend_from_slice(&piece);
        }
        taken.freeze()
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.ready.push_back(self.open.split().freeze());
        }
    }
}

/// The message that goes out over a channel.
#[derive(Debug)]
pub(crate) struct MessageWriter {
    write: WriteHalf,
    frames: Frames,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The body failed, or has trailers that are not carried.
    Body(BoxError),
    /// The channel failed, or the peer wants no more.
    Channel(io::Error),
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Channel(error)
    }
}

impl From<HeadError> for SendError {
    fn from(error: HeadError) -> Self {
        Self::Body(error.into())
    }
}

impl MessageWriter {
    pub(crate) fn new(write: WriteHalf, frames: Frames) -> Self {
        Self { write, frames }
    }

    pub(crate) fn frames(&mut self) -> &mut Frames {
        &mut self.frames
    }

    /// Whether everything is with the channel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.frames.ready.is_empty() && self.frames.open.is_empty()
    }

    /// Hands everything to the channel, which waits while the peer does not read.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.close_open();
        while let Some(front) = self.frames.ready.front_mut() {
            if ready!(self.write.poll_write_chunk(cx, front))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if front.is_empty() {
                self.frames.ready.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a body to its end, at the pace at which the peer reads.
    pub(crate) async fn send_body<B>(&mut self, mut body: Pin<&mut B>) -> Result<(), SendError>
    where
        B: HttpBody + ?Sized,
        B::Error: Into<BoxError>,
    {
        self.flush().await?;
        loop {
            let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
            let frame = frame.transpose().map_err(|error| SendError::Body(error.into()))?;
            let end = queue(&mut self.frames, frame, || body.is_end_stream())?;
            if end {
                self.cork();
            }
            self.flush().await?;
            if end {
                return Ok(());
            }
        }
    }

    /// What is written from now on travels with the end of the direction, as far as it is short.
    pub(crate) fn cork(&mut self) {
        self.write.cork(true);
    }

    /// Ends the channel's direction. It does not wait: what was written arrives.
    pub(crate) fn finish(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        // The first call counts. What fails here has failed for the reader as well.
        let _ = Pin::new(&mut self.write).poll_shutdown(&mut cx);
        self.write.cork(false);
    }

    /// Resolves when nobody reads what is written.
    pub(crate) fn stopped(&self) -> impl Future<Output = ChannelError> + Send + use<> {
        self.write.stopped()
    }

    pub(crate) fn reset(self, code: u32) {
        self.write.reset(code);
    }

    pub(crate) fn into_raw(self) -> WriteHalf {
        self.write
    }
}

/// Queues what a body gives. Whether that was the end.
pub(crate) fn queue<D: bytes::Buf>(
    frames: &mut Frames,
    frame: Option<http_body::Frame<D>>,
    is_end: impl FnOnce() -> bool,
) -> Result<bool, SendError> {
    let Some(frame) = frame else {
        frames.data(Bytes::new(), true);
        return Ok(true);
    };
    match frame.into_data() {
        Ok(mut data) => {
            let end = is_end();
            frames.data(data.copy_to_bytes(data.remaining()), end);
            Ok(end)
        }
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => {
                frames.trailers(&write_trailers(&trailers)?);
                Ok(true)
            }
            // A kind of frame that this version of the crate does not have.
            Err(_) => Ok(false),
        },
    }
}

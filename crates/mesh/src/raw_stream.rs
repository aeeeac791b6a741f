//! A reliable channel over a link, as the channel framework wants it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use telemesh_channel::{ChannelError, OpenError, Pending, RawStream, Refusal};
use telemesh_engine::{Engine, ReadError, StreamId, WriteError};
use telemesh_wire::Answer;
use tokio::io::ReadBuf;

use crate::cell::LinkCell;
use crate::streams::{Streams, Waiter};

/// How much of an answer is read at once, in bytes: acceptance has one.
const ANSWER_CHUNK: usize = 2_048;

/// Bytes taken in one write: a few batches of packets, so that they are copied, sealed and sent while they
/// are in the processor's cache.
const WRITE_STEP: usize = 256 << 10;

/// One stream of one engine of one link.
pub(crate) struct MeshStream {
    cell: Arc<LinkCell>,
    /// Which of the link's engines: streams of an earlier one are lost.
    epoch: u64,
    id: StreamId,
    answer: AnswerState,
    /// Bytes that came together with an open message or an answer.
    early: Bytes,
    /// What is written may wait for more, see [`RawStream::cork`].
    corked: bool,
    /// How reading has ended: with the last byte, or for this reason. The engine says it only once.
    ended: Option<Result<(), ChannelError>>,
}

/// What the opener knows of the peer's answer.
enum AnswerState {
    Given,
    Waiting(BytesMut),
    Refused(Refusal),
}

impl MeshStream {
    /// A stream that was opened here.
    pub(crate) fn opener(cell: Arc<LinkCell>, epoch: u64, id: StreamId) -> Self {
        let answer = AnswerState::Waiting(BytesMut::new());
        Self { cell, epoch, id, answer, early: Bytes::new(), corked: false, ended: None }
    }

    /// A stream that the peer has opened, and what came behind its open message.
    pub(crate) fn incoming(cell: Arc<LinkCell>, epoch: u64, id: StreamId, early: Bytes) -> Self {
        Self { cell, epoch, id, answer: AnswerState::Given, early, corked: false, ended: None }
    }

    fn poll_answer(&mut self, waiter: Waiter, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        loop {
            let held = match &mut self.answer {
                AnswerState::Given => return Poll::Ready(Ok(())),
                AnswerState::Refused(refusal) => {
                    return Poll::Ready(Err(ChannelError::Refused(refusal.clone())));
                }
                AnswerState::Waiting(held) => held,
            };
            match Answer::decode_delimited(held) {
                Ok(Some((Answer::Accepted, taken))) => {
                    held.advance(taken);
                    self.early = std::mem::take(held).freeze();
                    self.answer = AnswerState::Given;
                    continue;
                }
                Ok(Some((Answer::Refused(refusal), _))) => {
                    self.answer = AnswerState::Refused(refusal);
                    continue;
                }
                Ok(None) => {}
                Err(_) => return Poll::Ready(Err(ChannelError::Protocol("an answer that cannot be read"))),
            }
            let chunk = ready!(self.poll_engine(waiter, cx, |engine, id| {
                engine.read_chunk(id, ANSWER_CHUNK).map(|chunk| (chunk.is_none(), chunk))
            }));
            match (chunk?, &mut self.answer) {
                (Some(chunk), AnswerState::Waiting(held)) => held.extend_from_slice(&chunk),
                _ => return Poll::Ready(Err(ChannelError::Protocol("the channel ended before its answer"))),
            }
        }
    }

    /// Reads with `read`, which also says whether that was the end.
    fn poll_engine<T: Default>(
        &mut self,
        waiter: Waiter,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Engine, StreamId) -> Result<(bool, T), ReadError>,
    ) -> Poll<Result<T, ChannelError>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone().map(|()| T::default()));
        }
        let id = self.id;
        match ready!(self.cell.read(self.epoch, id, waiter, cx, |engine| read(engine, id))) {
            Ok((end, value)) => {
                self.ended = end.then_some(Ok(()));
                Poll::Ready(Ok(value))
            }
            Err(error) => {
                self.ended = Some(Err(error.clone()));
                Poll::Ready(Err(error))
            }
        }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Engine, StreamId) -> Result<usize, WriteError>,
    ) -> Poll<io::Result<usize>> {
        let id = self.id;
        let written = self.cell.write(self.epoch, id, self.corked, cx, |engine| write(engine, id));
        let error = match ready!(written) {
            Ok(written) => return Poll::Ready(Ok(written)),
            Err(error) => error,
        };
        // A peer that refuses stops us as well, and its words say more than a bare stop. They may come a little later.
        match (self.poll_answer(Waiter::Writer, cx), error) {
            (Poll::Ready(Err(refused @ ChannelError::Refused(_))), _) => Poll::Ready(Err(refused.into())),
            (Poll::Pending, ChannelError::Stopped(_)) => Poll::Pending,
            (_, error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl RawStream for MeshStream {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OpenError>> {
        self.poll_answer(Waiter::Reader, cx).map_err(|error| match error {
            ChannelError::Refused(refusal) => OpenError::Refused(refusal),
            other => OpenError::Channel(other),
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(Waiter::Reader, cx))?;
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let space = buf.initialize_unfilled();
        let length = ready!(self.poll_engine(Waiter::Reader, cx, |engine, id| {
            engine.read(id, space).map(|read| (read.end, read.length))
        }))?;
        buf.advance(length);
        Poll::Ready(Ok(()))
    }

    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        ready!(self.poll_answer(Waiter::Reader, cx))?;
        if !self.early.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.early))));
        }
        let chunk = ready!(self.poll_engine(Waiter::Reader, cx, |engine, id| {
            engine.read_chunk(id, usize::MAX).map(|chunk| (chunk.is_none(), chunk))
        }))?;
        Poll::Ready(Ok(chunk))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let data = data.get(..WRITE_STEP).unwrap_or(data);
        self.write(cx, |engine, id| engine.write(id, data))
    }

    fn poll_write_chunk(&mut self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<io::Result<usize>> {
        self.write(cx, |engine, id| engine.write_chunk(id, chunk))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cell.flush(self.epoch, self.id, cx).map_err(Into::into)
    }

    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<ChannelError> {
        self.cell.poll_stopped(self.epoch, self.id, cx)
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let finish = |streams: &mut Streams| streams.finish(self.id);
        let finished = match self.corked {
            true => self.cell.streams_quietly(self.epoch, finish),
            false => self.cell.streams(self.epoch, finish),
        };
        Poll::Ready(finished.map_err(Into::into))
    }

    fn reset(&mut self, code: u32) {
        let _ = self.cell.streams(self.epoch, |streams| streams.reset(self.id, code));
    }

    fn stop(&mut self, code: u32) {
        let _ = self.cell.streams(self.epoch, |streams| streams.stop(self.id, code));
    }

    fn cork(&mut self, corked: bool) {
        if std::mem::replace(&mut self.corked, corked) && !corked {
            self.cell.end_quiet();
        }
    }

    fn set_priority(&mut self, priority: i32) {
        let _ = self.cell.streams(self.epoch, |streams| streams.set_priority(self.id, priority));
    }
}

impl Drop for MeshStream {
    fn drop(&mut self) {
        self.cell.detach(self.epoch, self.id);
    }
}

/// A stream that the peer has opened and nobody has decided upon.
pub(crate) struct PendingStream(pub(crate) MeshStream);

impl PendingStream {
    /// If the engine has died meanwhile, whoever uses the stream learns it then.
    fn decide(&self, act: impl FnOnce(&mut Streams, StreamId)) {
        let Self(stream) = self;
        let _ = stream.cell.streams(stream.epoch, |streams| act(streams, stream.id));
    }
}

impl Pending<Box<dyn RawStream>> for PendingStream {
    /// What the handler writes first takes the answer along, as does waiting for what the opener writes.
    fn accept(self: Box<Self>) -> Box<dyn RawStream> {
        let Self(stream) = *self;
        let begin =
            |streams: &mut Streams| streams.begin(stream.id, Answer::Accepted.encode_delimited().into());
        // If the engine has died meanwhile, whoever uses the stream learns it then.
        let _ = stream.cell.streams_quietly(stream.epoch, begin);
        Box::new(stream)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        self.decide(|streams, id| {
            streams.begin(id, Answer::Refused(refusal).encode_delimited().into());
            streams.finish(id);
            streams.stop(id, telemesh_channel::CANCELLED);
        });
    }

    fn ignore(self: Box<Self>) {
        let Self(stream) = &*self;
        stream.cell.drive(|inner, now, _| {
            if let Ok(streams) = inner.streams_of(stream.epoch) {
                streams.ignore(stream.id, now);
            }
        });
    }
}

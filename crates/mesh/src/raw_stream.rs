//! A reliable channel over a link, as the channel framework wants it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use telemesh_channel::{ChannelError, OpenError, Pending, RawStream, Refusal};
use telemesh_engine::StreamId;
use telemesh_wire::Answer;
use tokio::io::ReadBuf;

use crate::cell::LinkCell;

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
    /// The engine has reported the end.
    ended: bool,
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
        Self { cell, epoch, id, answer, early: Bytes::new(), ended: false }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
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
            let read =
                self.cell.read(self.epoch, self.id, cx, |engine| engine.read_chunk(self.id, ANSWER_CHUNK));
            match std::task::ready!(read)? {
                Some(chunk) => held.extend_from_slice(&chunk),
                None => {
                    return Poll::Ready(Err(ChannelError::Protocol("the channel ended before its answer")));
                }
            }
        }
    }

    /// A write that failed may have done so because the peer refused: its words say more than a bare stop.
    fn explain(&mut self, cx: &mut Context<'_>, error: ChannelError) -> ChannelError {
        match self.poll_answer(cx) {
            Poll::Ready(Err(refused @ ChannelError::Refused(_))) => refused,
            _ => error,
        }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut telemesh_engine::Engine, StreamId) -> Result<usize, telemesh_engine::WriteError>,
    ) -> Poll<io::Result<usize>> {
        let id = self.id;
        self.cell
            .write(self.epoch, id, cx, |engine| write(engine, id))
            .map_err(|error| self.explain(cx, error).into())
    }
}

impl RawStream for MeshStream {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OpenError>> {
        self.poll_answer(cx).map_err(|error| match error {
            ChannelError::Refused(refusal) => OpenError::Refused(refusal),
            other => OpenError::Channel(other),
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_answer(cx))?;
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let id = self.id;
        let space = buf.initialize_unfilled();
        let read = std::task::ready!(self.cell.read(self.epoch, id, cx, |engine| engine.read(id, space)))?;
        self.ended = read.end;
        buf.advance(read.length);
        Poll::Ready(Ok(()))
    }

    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        std::task::ready!(self.poll_answer(cx))?;
        if !self.early.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.early))));
        }
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let id = self.id;
        let chunk = std::task::ready!(
            self.cell.read(self.epoch, id, cx, |engine| engine.read_chunk(id, usize::MAX))
        )?;
        self.ended = chunk.is_none();
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

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.cell.streams(self.epoch, |streams| streams.finish(self.id)).map_err(Into::into))
    }

    fn reset(&mut self, code: u32) {
        let _ = self.cell.streams(self.epoch, |streams| streams.reset(self.id, code));
    }

    fn stop(&mut self, code: u32) {
        let _ = self.cell.streams(self.epoch, |streams| streams.stop(self.id, code));
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
pub(crate) struct PendingStream {
    pub(crate) cell: Arc<LinkCell>,
    pub(crate) epoch: u64,
    pub(crate) id: StreamId,
    pub(crate) early: Bytes,
}

impl Pending<Box<dyn RawStream>> for PendingStream {
    fn accept(self: Box<Self>) -> Box<dyn RawStream> {
        let answer = Answer::Accepted.encode_delimited();
        // If the engine has died meanwhile, the stream says so at its first use.
        let _ = self.cell.streams(self.epoch, |streams| streams.begin(self.id, answer.into()));
        Box::new(MeshStream {
            cell: self.cell,
            epoch: self.epoch,
            id: self.id,
            answer: AnswerState::Given,
            early: self.early,
            ended: false,
        })
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        let answer = Answer::Refused(refusal).encode_delimited();
        let _ = self.cell.streams(self.epoch, |streams| {
            streams.begin(self.id, answer.into());
            streams.finish(self.id);
            streams.stop(self.id, telemesh_channel::CANCELLED);
            streams.detach(self.id);
        });
    }

    fn ignore(self: Box<Self>) {
        let _ = self.cell.streams(self.epoch, |streams| {
            streams.stop(self.id, telemesh_channel::CANCELLED);
            streams.reset(self.id, telemesh_channel::CANCELLED);
            streams.detach(self.id);
        });
    }
}

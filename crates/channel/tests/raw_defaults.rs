//! What a carrier gets from the trait's defaults when it implements only the plain byte functions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking, their helpers too")]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use telemesh_channel::{CANCELLED, Channel, ChannelError, Hashname, OpenError, RawStream};
use tokio::io::{AsyncWrite, ReadBuf};

/// Gives `input`, takes a few bytes per write, and writes down what is asked of it.
#[derive(Default)]
struct Plain {
    input: Bytes,
    ended: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl Plain {
    fn note(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }
}

impl RawStream for Plain {
    fn poll_accepted(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), OpenError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() && !self.ended {
            return Poll::Pending;
        }
        let size = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input.split_to(size));
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let data = data.get(..3).unwrap_or(data);
        self.note(format!("write {}", String::from_utf8_lossy(data)));
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_stopped(&mut self, _cx: &mut Context<'_>) -> Poll<ChannelError> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note("shutdown".to_owned());
        Poll::Pending
    }

    fn reset(&mut self, code: u32) {
        self.note(format!("reset {code}"));
    }

    fn stop(&mut self, code: u32) {
        self.note(format!("stop {code}"));
    }

    fn set_priority(&mut self, priority: i32) {
        self.note(format!("priority {priority}"));
    }
}

fn channel(plain: Plain) -> (Channel, Arc<Mutex<Vec<String>>>) {
    let log = Arc::clone(&plain.log);
    (Channel::new(Hashname::from_bytes([1; 32]), "org.example.plain", Box::new(plain)), log)
}

fn taken(log: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn chunks_are_read_through_the_byte_function() {
    let input: Vec<u8> = (0..20_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (mut channel, _) = channel(Plain { input: input.clone().into(), ended: true, ..Plain::default() });
    let mut cx = Context::from_waker(Waker::noop());
    let mut read = Vec::new();
    while let Poll::Ready(Ok(Some(chunk))) = channel.poll_read_chunk(&mut cx) {
        assert!(!chunk.is_empty());
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, input);
    assert!(matches!(channel.poll_read_chunk(&mut cx), Poll::Ready(Ok(None))));
}

#[test]
fn a_chunk_read_waits_when_the_byte_function_does() {
    let (mut channel, _) = channel(Plain::default());
    assert!(channel.poll_read_chunk(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn chunks_are_written_through_the_byte_function() {
    let (mut channel, log) = channel(Plain::default());
    let mut chunk = Bytes::from_static(b"abcd");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(channel.poll_write_chunk(&mut cx, &mut chunk), Poll::Ready(Ok(3))));
    assert_eq!(chunk, "d");
    assert_eq!(taken(&log), ["write abc"]);
}

#[test]
fn a_vectored_write_takes_the_first_slice_that_has_something() {
    let (mut channel, log) = channel(Plain::default());
    assert!(!channel.is_write_vectored());
    let mut cx = Context::from_waker(Waker::noop());
    let slices = [IoSlice::new(b""), IoSlice::new(b"xy"), IoSlice::new(b"z")];
    assert!(matches!(Pin::new(&mut channel).poll_write_vectored(&mut cx, &slices), Poll::Ready(Ok(2))));
    assert_eq!(taken(&log), ["write xy"]);
}

#[test]
fn a_dropped_channel_is_reset_and_stopped_with_the_code_for_nobody_s_choice() {
    let (mut channel, log) = channel(Plain::default());
    channel.set_priority(-3);
    drop(channel);
    assert_eq!(CANCELLED, 0);
    assert_eq!(taken(&log), ["priority -3", "reset 0", "stop 0"]);
}

#[test]
fn a_shutdown_that_still_waits_counts_as_the_end() {
    let (mut channel, log) = channel(Plain { ended: true, ..Plain::default() });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut channel).poll_shutdown(&mut cx).is_pending());
    assert!(matches!(channel.poll_read_chunk(&mut cx), Poll::Ready(Ok(None))));
    drop(channel);
    assert_eq!(taken(&log), ["shutdown"], "neither reset nor stopped");
}

#[test]
fn each_direction_is_given_up_once_with_its_own_code() {
    let (mut channel, log) = channel(Plain::default());
    channel.stop_reading(4);
    channel.stop_reading(5);
    channel.reset_writing(6);
    drop(channel);
    assert_eq!(taken(&log), ["stop 4", "reset 6"]);
}

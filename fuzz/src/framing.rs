//! Messages over a byte stream that gives its bytes in pieces of any size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use telemesh_channel::{MessageError, Messages};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::input::Input;

/// Whatever the bytes and whatever the pieces: the messages are those that a plain reading of all bytes at once gives,
/// and what they are written as is what was read.
pub fn messages(data: &[u8]) {
    let mut input = Input::new(data);
    let max_size = usize::from(input.word());
    let sizes = input.counted();
    let bytes = input.all();

    let mut reader = Messages::new(Pieces::new(bytes, sizes)).with_max_size(max_size);
    let (mut rest, mut received) = (bytes, Vec::new());
    loop {
        let got = ready(reader.receive());
        match plain_read(&mut rest, max_size) {
            Plain::Message(expected) => {
                let Ok(Some(message)) = got else { panic!("a message is missing: {got:?}") };
                assert_eq!(message, expected);
                received.push(message);
                continue;
            }
            Plain::End => assert!(matches!(got, Ok(None)), "{got:?}"),
            Plain::Cut => assert!(matches!(got, Err(MessageError::Truncated)), "{got:?}"),
            Plain::TooLarge => assert!(matches!(got, Err(MessageError::TooLarge { .. })), "{got:?}"),
        }
        break;
    }
    assert!(matches!(ready(reader.receive()), Ok(None)), "nothing follows the end or an error");

    let mut writer = Messages::new(Pieces::new(&[], sizes)).with_max_size(max_size);
    for message in received {
        assert!(ready(writer.send(message)).is_ok());
    }
    assert!(ready(writer.finish()).is_ok());
    let (written, _) = writer.into_parts();
    let used = bytes.len() - rest.len();
    assert_eq!(bytes.get(..used), Some(written.written.as_slice()));
}

/// What stands at the beginning of some bytes.
enum Plain<'a> {
    Message(&'a [u8]),
    End,
    Cut,
    TooLarge,
}

/// The framing in its simplest form: a length of four bytes, the highest first, and the message.
fn plain_read<'a>(rest: &mut &'a [u8], max_size: usize) -> Plain<'a> {
    if rest.is_empty() {
        return Plain::End;
    }
    let Some((header, after)) = rest.split_first_chunk::<4>() else { return Plain::Cut };
    let size = u32::from_be_bytes(*header) as usize;
    if size > max_size {
        return Plain::TooLarge;
    }
    let Some((message, after)) = after.split_at_checked(size) else { return Plain::Cut };
    *rest = after;
    Plain::Message(message)
}

/// The result of a future that never has to wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

/// Gives and takes bytes in pieces of the given sizes, over and over.
#[derive(Debug)]
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: &'a [u8],
    turn: usize,
    written: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], sizes: &'a [u8]) -> Self {
        Self { bytes, sizes, turn: 0, written: Vec::new() }
    }

    fn next_size(&mut self) -> usize {
        self.turn += 1;
        let size = self.sizes.get(self.turn % self.sizes.len().max(1)).copied();
        // A piece of no bytes would mean the end.
        size.map_or(usize::MAX, |size| usize::from(size) * usize::from(size) + 1)
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.next_size().min(buffer.remaining()).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(size);
        self.bytes = rest;
        buffer.put_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let size = self.next_size().min(bytes.len());
        self.written.extend(Bytes::copy_from_slice(bytes).slice(..size));
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

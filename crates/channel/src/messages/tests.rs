//! Framing of messages: any split of the bytes, limits, and what a hostile length costs.

use std::task::Waker;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// A byte stream that gives and takes a few bytes at a time, as a plan says, and lets the caller wait in between.
#[derive(Debug, Default)]
struct Trickle {
    input: Bytes,
    output: Vec<u8>,
    /// Bytes per call, over and over; 0 waits once. Empty: everything at once.
    plan: Vec<usize>,
    step: usize,
    vectored: bool,
    /// How many bytes each read offered room for.
    rooms: Vec<usize>,
    shut_down: bool,
    /// After the input the stream is idle rather than at its end.
    stays_open: bool,
}

impl Trickle {
    fn reading(input: impl Into<Bytes>, plan: Vec<usize>) -> Self {
        Self { input: input.into(), plan, ..Self::default() }
    }

    /// Bytes for this call.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(&size) = self.plan.get(self.step % self.plan.len().max(1)) else {
            return Poll::Ready(usize::MAX);
        };
        self.step += 1;
        if size == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(size)
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stays_open && self.input.is_empty() {
            return Poll::Pending;
        }
        let size = ready!(self.next(cx)).min(buf.remaining()).min(self.input.len());
        self.rooms.push(buf.remaining());
        buf.put_slice(&self.input.split_to(size));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let size = ready!(self.next(cx)).min(data.len());
        self.output.extend_from_slice(&data[..size]);
        Poll::Ready(Ok(size))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = ready!(self.next(cx));
        let before = self.output.len();
        self.output.extend(data.iter().flat_map(|slice| slice.iter()).take(size));
        Poll::Ready(Ok(self.output.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The framing, written down a second time.
fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            length.into_iter().chain(message.iter().copied())
        })
        .collect()
}

fn collect(messages: Messages<Trickle>) -> Vec<Result<Bytes, MessageError>> {
    block_on(messages.collect())
}

fn some_messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // Around the size up to which messages are copied, and some that take more than one read.
    let size = prop_oneof![4 => 0..40_usize, 2 => 1020..1030_usize, 1 => 0..30_000_usize];
    let message = (size, any::<u8>()).prop_map(|(size, seed)| {
        (0..size).map(|at| u8::try_from((at * 31 + usize::from(seed)) % 251).unwrap()).collect()
    });
    prop::collection::vec(message, 0..12)
}

fn some_plan() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(0_usize), 1..8_usize, 500..20_000_usize], 0..6)
        .prop_filter("must get on", |plan| plan.is_empty() || plan.iter().any(|size| *size > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_arrive_as_sent_however_the_bytes_are_split(messages in some_messages(), plan in some_plan()) {
        let received = collect(Messages::new(Trickle::reading(framed(&messages), plan)));
        let received: Vec<Vec<u8>> = received.into_iter().map(|message| message.unwrap().to_vec()).collect();
        prop_assert_eq!(received, messages);
    }

    #[test]
    fn the_same_bytes_go_out_however_the_writes_are_split(
        messages in some_messages(), plan in some_plan(), vectored: bool, flush_each: bool,
    ) {
        let mut sending = Messages::new(Trickle { plan, vectored, ..Trickle::default() });
        block_on(async {
            for message in &messages {
                let message = Bytes::copy_from_slice(message);
                if flush_each {
                    sending.send(message).await.unwrap();
                } else {
                    sending.feed(message).await.unwrap();
                }
            }
            sending.finish().await.unwrap();
        });
        prop_assert!(sending.io().shut_down);
        prop_assert_eq!(&sending.io().output, &framed(&messages));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_whole_messages_and_then_says_so(
        messages in some_messages(), cut in any::<prop::sample::Index>(), plan in some_plan(),
    ) {
        let bytes = framed(&messages);
        let cut = if bytes.is_empty() { 0 } else { cut.index(bytes.len()) };
        let mut whole = 0;
        let mut boundary = 0;
        while whole < messages.len() && boundary + HEADER_SIZE + messages[whole].len() <= cut {
            boundary += HEADER_SIZE + messages[whole].len();
            whole += 1;
        }
        let mut received = collect(Messages::new(Trickle::reading(bytes[..cut].to_vec(), plan)));
        if cut > boundary {
            prop_assert!(matches!(received.pop(), Some(Err(MessageError::Truncated))));
        }
        prop_assert_eq!(received.len(), whole);
        for (message, sent) in received.into_iter().zip(&messages) {
            prop_assert_eq!(&message.unwrap()[..], &sent[..]);
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), plan in some_plan()) {
        let messages = Messages::new(Trickle::reading(bytes.clone(), plan)).with_max_size(64);
        let total: usize = collect(messages).into_iter().flatten().map(|message| message.len()).sum();
        prop_assert!(total <= bytes.len());
    }
}

#[test]
fn a_claimed_four_gib_is_refused_before_anything_is_stored() {
    let mut messages = Messages::new(Trickle::reading(vec![0xff; 5], vec![]));
    let error = block_on(messages.receive()).unwrap_err();
    assert!(
        matches!(error, MessageError::TooLarge { size, max } if size == u64::from(u32::MAX) && max == MAX_MESSAGE_SIZE)
    );
    assert!(messages.received.capacity() <= MIN_READ_SIZE);
    assert!(block_on(messages.receive()).unwrap().is_none(), "nothing comes after an error");
}

#[test]
fn a_claimed_four_gib_that_is_allowed_takes_memory_only_for_what_arrives() {
    let mut input = vec![0xff; HEADER_SIZE];
    input.resize(HEADER_SIZE + 100_000, 7);
    let mut io = Trickle::reading(input, vec![1000]);
    io.stays_open = true;
    let mut messages = Messages::new(io).with_max_size(usize::MAX);
    let mut cx = Context::from_waker(Waker::noop());
    while !messages.io().input.is_empty() {
        assert!(messages.poll_receive(&mut cx).is_pending());
    }
    assert!(messages.received.len() >= 100_000);
    assert!(messages.received.capacity() <= 4 * 100_000, "{}", messages.received.capacity());
    assert!(messages.io().rooms.iter().all(|room| *room <= 3 * 100_000));
}

#[test]
fn a_message_at_the_limit_passes_and_one_past_it_does_not() {
    let mut sending = Messages::new(Trickle::default()).with_max_size(10);
    block_on(async {
        sending.send(Bytes::from_static(&[1; 10])).await.unwrap();
        let error = sending.send(Bytes::from_static(&[2; 11])).await.unwrap_err();
        assert!(matches!(error, MessageError::TooLarge { size: 11, max: 10 }));
        sending.send(Bytes::from_static(&[3; 1])).await.unwrap();
    });
    assert_eq!(sending.io().output, framed(&[vec![1; 10], vec![3; 1]]), "the one too large left no trace");

    let input = framed(&[vec![1; 10], vec![2; 11], vec![3; 1]]);
    let received = collect(Messages::new(Trickle::reading(input, vec![])).with_max_size(10));
    assert_eq!(received.len(), 2);
    assert!(received[0].is_ok());
    assert!(matches!(received[1], Err(MessageError::TooLarge { size: 11, max: 10 })));
}

#[test]
fn the_default_limit_is_16_mib_exactly() {
    let mut sending = Messages::new(Trickle::default());
    block_on(async {
        sending.send(vec![0; MAX_MESSAGE_SIZE].into()).await.unwrap();
        assert!(sending.send(vec![0; MAX_MESSAGE_SIZE + 1].into()).await.is_err());
    });
    let mut receiving = Messages::new(Trickle::reading(sending.io().output.clone(), vec![]));
    assert_eq!(block_on(receiving.receive()).unwrap().unwrap().len(), 16 * 1024 * 1024);
}

#[test]
fn large_messages_are_not_copied_and_small_ones_do_not_pin_the_buffer() {
    let mut sending = Messages::new(Trickle { plan: vec![0], ..Trickle::default() });
    let large = Bytes::from(vec![5; COPY_UP_TO + 1]);
    sending.outgoing.push(large.clone(), MAX_MESSAGE_SIZE).unwrap();
    assert!(sending.outgoing.chunks.iter().any(|chunk| std::ptr::eq(chunk.as_ptr(), large.as_ptr())));

    let input = framed(&[vec![1; COPY_UP_TO], vec![2; COPY_UP_TO + 1]]);
    let mut receiving = Messages::new(Trickle::reading(input, vec![]));
    let small = block_on(receiving.receive()).unwrap().unwrap();
    let buffer = receiving.received.as_ptr_range();
    assert!(!buffer.contains(&small.as_ptr()));
    let at = receiving.received.as_ptr().wrapping_add(HEADER_SIZE);
    let large = block_on(receiving.receive()).unwrap().unwrap();
    assert!(std::ptr::eq(large.as_ptr(), at), "a large one stays where it was read");
}

#[test]
fn a_sink_that_cannot_write_takes_no_more_than_its_mark() {
    let mut sending = Messages::new(Trickle { plan: vec![0], ..Trickle::default() });
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while Pin::new(&mut sending).poll_ready(&mut cx).is_ready() {
        Pin::new(&mut sending).start_send(Bytes::from_static(&[0; 1000])).unwrap();
        taken += 1000;
        assert!(taken <= WRITE_AT + 1000);
    }
    assert!(taken >= WRITE_AT - 1000);
}

#[test]
fn what_was_read_beyond_the_messages_is_given_back() {
    let mut input = framed(&[b"one".to_vec()]);
    input.extend_from_slice(b"\0\0");
    let mut messages = Messages::new(Trickle::reading(input, vec![]));
    assert_eq!(block_on(messages.receive()).unwrap().unwrap(), "one");
    let (_, rest) = messages.into_parts();
    assert_eq!(rest, &b"\0\0"[..]);
}

#[test]
fn a_dropped_receive_loses_nothing() {
    let mut messages = Messages::new(Trickle::reading(framed(&[b"whole".to_vec()]), vec![3, 0]));
    let mut cx = Context::from_waker(Waker::noop());
    let mut waited = 0;
    let message = loop {
        // A new future each time, dropped while it waits.
        match pin!(messages.receive()).poll(&mut cx) {
            Poll::Ready(message) => break message,
            Poll::Pending => waited += 1,
        }
    };
    assert_eq!(message.unwrap().unwrap(), "whole");
    assert!(waited > 1);
}

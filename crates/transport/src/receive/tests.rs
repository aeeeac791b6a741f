//! Tests of the receive buffers: what goes in comes out, and memory neither leaks nor is shared by mistake.

use proptest::prelude::*;

use super::*;

fn source(port: u16) -> PathAddress {
    PathAddress::Udp(([192, 0, 2, 1], port).into())
}

fn arrival(length: usize, stride: usize) -> Arrival {
    Arrival { source: source(42_424), length, stride, ecn: None }
}

/// Writes `contents` to the first free buffer, as a transport does.
fn fill(batch: &mut ReceiveBatch, contents: &[u8], stride: usize) {
    let buffer = batch.buffers().next().expect("there is room");
    buffer[..contents.len()].copy_from_slice(contents);
    batch.commit(0, arrival(contents.len(), stride));
}

fn lengths(received: Received) -> Vec<usize> {
    received.into_datagrams().map(|datagram| datagram.len()).collect()
}

#[test]
fn a_run_is_cut_at_its_stride() {
    let mut batch = ReceiveBatch::new(1);
    fill(&mut batch, &[1; 250], 100);
    let received = batch.drain().next().unwrap();
    assert_eq!(received.source, source(42_424));
    assert_eq!(lengths(received), [100, 100, 50]);
}

#[test]
fn an_empty_datagram_is_still_a_datagram() {
    let mut batch = ReceiveBatch::new(1);
    fill(&mut batch, &[], 0);
    assert_eq!(lengths(batch.drain().next().unwrap()), [0]);
}

#[test]
fn a_stride_of_zero_or_beyond_the_contents_is_one_datagram() {
    let mut batch = ReceiveBatch::new(1);
    for stride in [0, 3, 4, usize::MAX] {
        fill(&mut batch, &[1, 2, 3], stride);
        assert_eq!(lengths(batch.drain().next().unwrap()), [3], "stride {stride}");
    }
}

#[test]
fn a_short_run_has_memory_of_its_own_and_a_long_one_that_of_the_buffer() {
    let mut batch = ReceiveBatch::new(1);
    let place = batch.buffers().next().unwrap().as_ptr();
    fill(&mut batch, &[1; COPY_LIMIT - 1], 1_000);
    let short = batch.drain().next().unwrap();
    assert_ne!(short.contents.as_ptr(), place);
    assert!(short.contents.capacity() < 2 * COPY_LIMIT, "held memory is in proportion to what arrived");
    fill(&mut batch, &[1; COPY_LIMIT], 1_000);
    assert_eq!(batch.drain().next().unwrap().contents.as_ptr(), place, "not copied");
}

#[test]
fn a_buffer_is_used_again_once_its_run_has_been_dropped() {
    for length in [COPY_LIMIT, BUFFER_SIZE / 2, BUFFER_SIZE - 1, BUFFER_SIZE] {
        let mut batch = ReceiveBatch::new(1);
        let place = batch.buffers().next().unwrap().as_ptr();
        fill(&mut batch, &vec![1; length], 1_452);
        batch.drain().flat_map(Received::into_datagrams).for_each(drop);
        let buffer = batch.buffers().next().unwrap();
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, BUFFER_SIZE), "after a run of {length} bytes");
    }
}

#[test]
fn a_datagram_that_somebody_keeps_is_not_overwritten_by_the_next_run() {
    let mut batch = ReceiveBatch::new(1);
    fill(&mut batch, &[1; 60_000], 1_000);
    let mut datagrams: Vec<_> = batch.drain().flat_map(Received::into_datagrams).collect();
    let kept = datagrams.swap_remove(30);
    drop(datagrams);
    fill(&mut batch, &[2; 60_000], 1_000);
    assert_eq!(kept, [1; 1_000][..]);
    assert_eq!(batch.drain().next().unwrap().contents, [2; 60_000][..]);
}

#[test]
fn a_full_batch_takes_nothing_until_it_is_drained() {
    let mut batch = ReceiveBatch::new(2);
    assert_eq!((batch.room(), batch.is_empty()), (2, true));
    fill(&mut batch, b"one", 3);
    fill(&mut batch, b"two", 3);
    assert_eq!((batch.room(), batch.is_empty()), (0, false));
    assert_eq!(batch.buffers().len(), 0);
    batch.commit(0, arrival(3, 3));
    let handed =
        Received { source: source(1), stride: 5, ecn: None, contents: BytesMut::from(&b"three"[..]) };
    let handed = batch.push(handed).unwrap_err();
    assert_eq!(batch.drain().map(|received| received.contents).collect::<Vec<_>>(), [&b"one"[..], b"two"]);
    batch.push(handed).unwrap();
    assert_eq!(batch.drain().next().unwrap().contents, b"three"[..]);
}

#[test]
fn a_transports_mistakes_cost_a_datagram_at_most() {
    let mut batch = ReceiveBatch::new(0);
    assert_eq!(batch.room(), 1, "a batch can always receive");
    batch.commit(1, arrival(3, 3));
    assert!(batch.is_empty());
    batch.commit(0, arrival(usize::MAX, 1_452));
    assert_eq!(batch.drain().next().unwrap().contents.len(), BUFFER_SIZE);
}

proptest! {
    #[test]
    fn any_sequence_of_runs_comes_out_as_it_went_in(
        runs in prop::collection::vec((0usize..=BUFFER_SIZE, 1usize..=2_000, any::<u8>(), any::<bool>()), 1..20),
    ) {
        let mut batch = ReceiveBatch::new(3);
        let mut kept = Vec::new();
        for (length, stride, byte, keep) in runs {
            fill(&mut batch, &vec![byte; length], stride);
            let datagrams: Vec<_> = batch.drain().flat_map(Received::into_datagrams).collect();
            prop_assert_eq!(datagrams.len(), length.div_ceil(stride).max(1));
            prop_assert_eq!(datagrams.iter().map(BytesMut::len).sum::<usize>(), length);
            prop_assert!(datagrams.iter().rev().skip(1).all(|datagram| datagram.len() == stride));
            prop_assert!(datagrams.iter().all(|datagram| *datagram == vec![byte; datagram.len()]));
            if keep {
                kept.push((byte, datagrams));
            }
        }
        for (byte, datagrams) in kept {
            let unchanged = datagrams.iter().all(|datagram| *datagram == vec![byte; datagram.len()]);
            prop_assert!(unchanged, "kept datagrams stay as they were");
        }
    }
}

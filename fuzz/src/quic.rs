//! QUIC datagrams: what is read of their outside, and packets in parts.

use bytes::{Bytes, BytesMut};
use telemesh_quic::{GROUP, HEADER, Joiner, MAX_WAITING, Outside, Splitter};

use crate::input::Input;

/// What the filter reads is in the datagram; packets come out as they went in, in whatever order their parts arrive; parts
/// that somebody made up cost no more than the memory that there is for them.
pub fn quic(data: &[u8]) {
    if let Some(outside) = Outside::read(data) {
        assert!(data.len() > outside.destination.len());
        assert!(
            data.windows(outside.destination.len().max(1)).any(|bytes| bytes == outside.destination)
                || outside.destination.is_empty()
        );
    }
    let mut input = Input::new(data);
    if input.flag() { made_up(&mut input) } else { split(&mut input) }
}

fn split(input: &mut Input<'_>) {
    let limit = usize::from(input.word() % 2_000);
    let (mut splitter, mut joiner) = (Splitter::default(), Joiner::default());
    while !input.is_empty() {
        let packets: Vec<&[u8]> = (0..=input.choice(GROUP)).map(|_| input.counted()).take(GROUP).collect();
        let Some(mut datagrams) = splitter.split(packets.iter().copied(), limit) else {
            assert!(packets.iter().any(|packet| packet.len() > 2 * limit.saturating_sub(HEADER)));
            continue;
        };
        let mut out = Vec::new();
        while !datagrams.is_empty() {
            let next = datagrams.swap_remove(input.choice(datagrams.len()));
            assert!(next.len() <= limit.max(HEADER));
            out.extend(joined(&mut joiner, next));
        }
        let mut packets: Vec<Vec<u8>> = packets.into_iter().map(<[u8]>::to_vec).collect();
        packets.sort();
        out.sort();
        assert_eq!(out, packets);
        assert_eq!(joiner.waiting(), 0);
    }
}

fn made_up(input: &mut Input<'_>) {
    let mut joiner = Joiner::default();
    let mut held = 0;
    while !input.is_empty() {
        let datagram = Bytes::copy_from_slice(input.counted());
        held += datagram.len();
        if let Some(packet) = joined(&mut joiner, datagram) {
            assert!(packet.len() < held);
        }
        assert!(joiner.waiting() <= MAX_WAITING);
    }
}

fn joined(joiner: &mut Joiner, datagram: Bytes) -> Option<Vec<u8>> {
    joiner.join(datagram).map(|packet| {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes);
        assert_eq!(bytes.len(), packet.length());
        bytes.to_vec()
    })
}

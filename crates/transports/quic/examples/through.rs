//! Batches there and back through QUIC, and what a stranger gets meanwhile.
//! `cargo run --release -p telemesh-quic --example through`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    future::poll_fn,
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_quic::QuicTransport;
use telemesh_transport::{PathAddress, ReceiveBatch, SendError, Transmit, Transport};

/// Bytes of one packet: what a link sends on Ethernet, which is more than fits a QUIC datagram there.
const PACKET: usize = 1_452;

/// Packets of one batch.
const BATCH: usize = 32;

/// Batches to send.
const ROUNDS: usize = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS21, &[7; 32])?;
    let listener = QuicTransport::listen("127.0.0.1:0".parse()?, &keys)?;
    let bound = *listener.bound_addresses().first().ok_or("no socket")?;

    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    stranger.set_nonblocking(true)?;
    for first in 0..=u8::MAX {
        stranger.send_to(&[first; 1_200], bound)?;
    }

    let dialler = QuicTransport::dial_only()?;
    dialler.expect(&PathAddress::Quic(bound), &keys);
    let start = Instant::now();
    tokio::select! {
        outcome = echo(&listener) => outcome?,
        outcome = count(&dialler, PathAddress::Quic(bound)) => {
            let packets = outcome?;
            let took = start.elapsed();
            let mib = (packets * PACKET) as f64 / f64::from(1 << 20);
            println!("{packets} packets there and back in {took:.2?}: {:.0} MiB/s", mib / took.as_secs_f64());
        }
    }
    let heard = stranger.recv(&mut [0; 2_000]).map_err(|error| error.kind());
    println!("a stranger sent 256 datagrams, {} were dropped, and it heard: {heard:?}", listener.dropped());
    Ok(())
}

/// Sends every run back where it came from.
async fn echo(listener: &QuicTransport) -> io::Result<()> {
    let mut batch = ReceiveBatch::new(32);
    loop {
        poll_fn(|cx| listener.poll_receive(cx, &mut batch)).await?;
        for run in batch.drain() {
            send(listener, Transmit::segmented(run.source, &run.contents, run.stride)).await?;
        }
    }
}

/// Sends the batches, each after the answer to the one before, and returns how many packets came back.
async fn count(dialler: &QuicTransport, to: PathAddress) -> io::Result<usize> {
    let contents = vec![0x5a; PACKET * BATCH];
    let mut batch = ReceiveBatch::new(32);
    let mut returned = 0;
    for round in 1..=ROUNDS {
        send(dialler, Transmit::segmented(to, &contents, PACKET)).await?;
        while returned < round * BATCH {
            let receive = poll_fn(|cx| dialler.poll_receive(cx, &mut batch));
            // A lost packet ends the example instead of stopping it for ever.
            tokio::time::timeout(Duration::from_secs(5), receive).await??;
            returned += batch.drain().flat_map(|run| run.into_datagrams()).count();
        }
    }
    Ok(returned)
}

/// Sends the whole run, waiting where the transport has no room.
async fn send(transport: &QuicTransport, mut transmit: Transmit<'_>) -> io::Result<()> {
    loop {
        match transport.try_send(&transmit) {
            Ok(()) => return Ok(()),
            Err(SendError::Blocked { sent }) => {
                transmit.contents = transmit.contents.get(sent..).unwrap_or_default();
            }
            Err(SendError::Connecting) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        poll_fn(|cx| transport.poll_writable(cx)).await?;
    }
}

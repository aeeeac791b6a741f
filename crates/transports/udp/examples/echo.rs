//! Two transports on this machine: one echoes, the other counts how long 10,000 batches take there and back.
//! `cargo run --release -p telemesh-udp --example echo`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    future::poll_fn,
    io,
    time::{Duration, Instant},
};

use telemesh_transport::{PathAddress, ReceiveBatch, SendError, Transmit, Transport};
use telemesh_udp::UdpTransport;

/// Bytes of one datagram: what fits an Ethernet frame over IPv6.
const DATAGRAM: usize = 1_452;

/// Datagrams of one batch.
const BATCH: usize = 40;

/// Batches to send.
const ROUNDS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, server) = (UdpTransport::bind_default()?, UdpTransport::bind_default()?);
    println!("others reach the server at:");
    for address in server.local_addresses() {
        println!("  {address}");
    }
    let port = server.bound_addresses().first().ok_or("no socket")?.port();
    let destination = format!("udp:127.0.0.1:{port}").parse()?;

    let start = Instant::now();
    tokio::select! {
        outcome = echo(&server) => outcome?,
        outcome = count(&client, destination) => {
            let datagrams = outcome?;
            let took = start.elapsed();
            let mib = (datagrams * DATAGRAM) as f64 / f64::from(1 << 20);
            println!("{datagrams} datagrams there and back in {took:.2?}: {:.0} MiB/s", mib / took.as_secs_f64());
        }
    }
    Ok(())
}

/// Sends every run back where it came from.
async fn echo(server: &UdpTransport) -> io::Result<()> {
    let mut batch = ReceiveBatch::new(32);
    loop {
        poll_fn(|cx| server.poll_receive(cx, &mut batch)).await?;
        for run in batch.drain() {
            send(server, Transmit::segmented(run.source, &run.contents, run.stride)).await?;
        }
    }
}

/// Sends the batches, each after the answer to the one before, and returns how many datagrams came back.
async fn count(client: &UdpTransport, destination: PathAddress) -> io::Result<usize> {
    let contents = vec![0x5a; DATAGRAM * BATCH];
    let mut batch = ReceiveBatch::new(32);
    let mut returned = 0;
    for round in 1..=ROUNDS {
        send(client, Transmit::segmented(destination, &contents, DATAGRAM)).await?;
        while returned < round * BATCH {
            let receive = poll_fn(|cx| client.poll_receive(cx, &mut batch));
            // A lost datagram ends the example instead of stopping it for ever.
            tokio::time::timeout(Duration::from_secs(5), receive).await??;
            returned += batch.drain().flat_map(|run| run.into_datagrams()).count();
        }
    }
    Ok(returned)
}

/// Sends the whole run, waiting where the kernel has no room.
async fn send(transport: &UdpTransport, mut transmit: Transmit<'_>) -> io::Result<()> {
    loop {
        match transport.try_send(&transmit) {
            Ok(()) => return Ok(()),
            Err(SendError::Blocked { sent }) => {
                transmit.contents = transmit.contents.get(sent..).unwrap_or_default();
                poll_fn(|cx| transport.poll_writable(cx)).await?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

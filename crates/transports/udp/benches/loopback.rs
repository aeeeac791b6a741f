//! What datagrams of 1,452 bytes (the payload of an Ethernet frame over IPv6) cost on loopback.
//!
//! `batch` sends a batch, wakes the receiver on the same thread, receives and cuts it up; `tokio` does the same with plain
//! tokio sockets, one datagram per call. `echo` is a round trip to another thread. Receivers wait before anything is sent,
//! as a receive task does.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros write no docs, and a benchmark without loopback has to stop"
)]

use std::{
    future::poll_fn,
    net::Ipv4Addr,
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemesh_transport::{PathAddress, ReceiveBatch, Received, Transmit, Transport};
use telemesh_udp::UdpTransport;
use tokio::{net::UdpSocket, runtime::Runtime};

/// Bytes of one datagram.
const DATAGRAM: usize = 1_452;

/// Segments of a full batch: as many as fit one 65,507-byte call.
const FULL_BATCH: usize = 45;

struct Pair {
    sender: UdpTransport,
    receiver: UdpTransport,
    destination: PathAddress,
    batch: ReceiveBatch,
}

impl Pair {
    fn new() -> std::io::Result<Self> {
        let sender = UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let receiver = UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let destination = receiver.local_addresses()[0];
        Ok(Self { sender, receiver, destination, batch: ReceiveBatch::new(32) })
    }

    /// Sends `contents` as datagrams and takes them in on the other side.
    async fn transfer(&mut self, contents: &[u8], datagrams: usize) {
        let transmit = Transmit::segmented(self.destination, contents, DATAGRAM);
        let (mut received, mut sent) = (0, false);
        while received < datagrams {
            poll_fn(|cx| {
                let polled = self.receiver.poll_receive(cx, &mut self.batch);
                if !sent {
                    assert!(polled.is_pending(), "nothing can be there yet");
                    self.sender.try_send(&transmit).expect("loopback takes a batch at any time");
                    sent = true;
                }
                polled
            })
            .await
            .expect("the socket works");
            for run in self.batch.drain() {
                for datagram in run.into_datagrams() {
                    std::hint::black_box(&datagram);
                    received += 1;
                }
            }
        }
    }
}

fn batches(criterion: &mut Criterion) {
    let runtime = current_thread();
    let mut group = criterion.benchmark_group("udp_loopback");
    for datagrams in [1, 4, 10, FULL_BATCH] {
        let contents = vec![0x5a; DATAGRAM * datagrams];
        group.throughput(Throughput::Bytes(contents.len() as u64));
        group.bench_function(format!("{datagrams}x{DATAGRAM}"), |bencher| {
            bencher.iter_custom(|iterations| {
                runtime.block_on(async {
                    let mut pair = Pair::new().expect("loopback is there");
                    timed(iterations, async || pair.transfer(&contents, datagrams).await).await
                })
            });
        });
    }
    group.throughput(Throughput::Bytes(DATAGRAM as u64));
    group.bench_function(format!("tokio/1x{DATAGRAM}"), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback is there");
                sender.writable().await.expect("the socket works");
                let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback is there");
                let destination = receiver.local_addr().expect("bound");
                let contents = [0x5a; DATAGRAM];
                let mut buffer = vec![0; DATAGRAM];
                timed(iterations, async || {
                    let mut received = pin!(receiver.recv_from(&mut buffer));
                    let mut sent = false;
                    poll_fn(|cx| {
                        let polled = received.as_mut().poll(cx);
                        if !sent {
                            assert!(polled.is_pending(), "nothing can be there yet");
                            sender.try_send_to(&contents, destination).expect("loopback takes it");
                            sent = true;
                        }
                        polled
                    })
                    .await
                    .expect("the socket works");
                })
                .await
            })
        });
    });
    group.finish();
}

fn echo(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("udp_echo");
    group.bench_function("64", |bencher| {
        bencher.iter_custom(|iterations| {
            let (address_is, address) = std::sync::mpsc::channel();
            let server = thread::spawn(move || {
                current_thread().block_on(async {
                    let server =
                        UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback is there");
                    address_is.send(server.local_addresses()[0]).expect("somebody waits for it");
                    let mut batch = ReceiveBatch::new(32);
                    for _ in 0..iterations {
                        let run = receive_one(&server, &mut batch).await;
                        server
                            .try_send(&Transmit::single(run.source, &run.contents))
                            .expect("loopback takes it");
                    }
                })
            });
            let destination = address.recv().expect("the server has started");
            let elapsed = current_thread().block_on(async {
                let client = UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback is there");
                let mut batch = ReceiveBatch::new(32);
                timed(iterations, async || {
                    client.try_send(&Transmit::single(destination, &[7; 64])).expect("loopback takes it");
                    receive_one(&client, &mut batch).await;
                })
                .await
            });
            server.join().expect("the server echoes to the end");
            elapsed
        });
    });
    group.bench_function("tokio/64", |bencher| {
        bencher.iter_custom(|iterations| {
            let server = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
            server.set_nonblocking(true).expect("a socket option");
            let destination = server.local_addr().expect("bound");
            let server = thread::spawn(move || {
                current_thread().block_on(async {
                    let server = UdpSocket::from_std(server).expect("a runtime is there");
                    let mut buffer = [0; 2_048];
                    for _ in 0..iterations {
                        let (length, client) = server.recv_from(&mut buffer).await.expect("the socket works");
                        server.send_to(&buffer[..length], client).await.expect("loopback takes it");
                    }
                })
            });
            let elapsed = current_thread().block_on(async {
                let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback is there");
                let mut buffer = [0; 2_048];
                timed(iterations, async || {
                    client.send_to(&[7; 64], destination).await.expect("loopback takes it");
                    client.recv_from(&mut buffer).await.expect("the socket works");
                })
                .await
            });
            server.join().expect("the server echoes to the end");
            elapsed
        });
    });
    group.finish();
}

async fn receive_one(at: &UdpTransport, batch: &mut ReceiveBatch) -> Received {
    poll_fn(|cx| at.poll_receive(cx, batch)).await.expect("the socket works");
    batch.drain().next().expect("ready means that something is there")
}

async fn timed(iterations: u64, mut work: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        work().await;
    }
    start.elapsed()
}

fn current_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime")
}

criterion_group!(benches, batches, echo);
criterion_main!(benches);

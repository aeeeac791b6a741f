//! The copy loop: data and round trips between a local client and a local server, through a pair of endpoints in memory.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemesh_channel::{Network as _, memory};
use telemesh_sock::{Over, SockNetwork as _, forward};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SIZE: usize = 16 << 20;

/// A client whose bytes come back through the tunnel.
async fn tunnelled() -> (TcpStream, impl Sized) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await
    });
    let pair = memory::pair_with(memory::MemoryConfig { stream_capacity: 512 << 10, ..Default::default() });
    let sock = pair.right.on_sock_granted().unwrap();
    pair.right.grant(pair.left.hashname(), &format!("sock:{target}"));
    let listener = forward::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let local = listener.local_addr().unwrap();
    let route = Arc::new(Over(pair.to_right.clone()));
    let forwarding = tokio::spawn(forward::tcp(listener, route, target.try_into().unwrap()));
    let client = TcpStream::connect(local).await.unwrap();
    client.set_nodelay(true).unwrap();
    (client, (pair, sock, serving, forwarding))
}

fn pump(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, _kept) = runtime.block_on(tunnelled());
    let data = vec![7; SIZE];
    let mut back = vec![0; SIZE];
    let mut group = criterion.benchmark_group("pump");
    group.sample_size(10).throughput(Throughput::Bytes(2 * SIZE as u64));
    group.bench_function("16 MiB there and back", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let (mut read, mut write) = client.split();
                let (sent, received) = tokio::join!(write.write_all(&data), read.read_exact(&mut back));
                sent.and(received.map(|_| ())).unwrap();
            });
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one byte there and back", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                client.write_all(&[1]).await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            });
        });
    });
    group.finish();
}

criterion_group!(benches, pump);
criterion_main!(benches);

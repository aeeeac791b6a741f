//! What the tests share: servers on loopback, and a pair of endpoints in memory of which the right one serves.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use telemesh_channel::memory::{MemoryPair, pair};
use telemesh_channel::{BoxFuture, Network as _};
use telemesh_sock::{Granted, Name, Resolve, Sock, SockNetwork as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A pair whose right endpoint serves what it grants to the left one.
pub(crate) fn granting(grants: &[&str]) -> (MemoryPair, Sock) {
    let pair = pair();
    let sock = pair.right.on_sock_granted().unwrap();
    for grant in grants {
        pair.right.grant(pair.left.hashname(), grant);
    }
    (pair, sock)
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port on loopback that nobody listens at.
pub(crate) async fn nobody() -> SocketAddr {
    listener().await.1
}

/// Sends everything back, for each connection until its end.
pub(crate) async fn echo() -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await?;
                write.shutdown().await
            });
        }
    });
    address
}

/// Sends every datagram back.
pub(crate) async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..size], from).await;
        }
    });
    address
}

/// Ends a connection with a reset.
pub(crate) fn reset(socket: TcpStream) {
    SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(socket);
}

/// How reading goes on until it ends: all bytes, or the error.
pub(crate) async fn read_all(mut from: impl tokio::io::AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).await.map(|_| all)
}

/// Writes, and ends the sending half.
pub(crate) async fn write_all(to: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) {
    to.write_all(bytes).await.unwrap();
    to.shutdown().await.unwrap();
}

/// Bytes that differ everywhere.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    (0..size as u64).map(|at| ((at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Answers each look-up with the next of these, and counts.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().rev().map(|all| all.iter().map(|ip| ip.parse().unwrap()).collect());
        Self { answers: Arc::new(Mutex::new(answers.collect())), asked: Arc::default() }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(std::future::ready(answer.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
}

/// A pair whose right endpoint resolves names as scripted.
pub(crate) fn resolving(grants: &[&str], resolver: &Scripted) -> MemoryPair {
    let pair = pair();
    pair.right.on_sock_with(Granted::of(&*pair.right), resolver.clone()).unwrap();
    for grant in grants {
        pair.right.grant(pair.left.hashname(), grant);
    }
    pair
}

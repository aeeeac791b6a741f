//! The floor of a round trip: two tokio UDP sockets that send 64 bytes to each other.

use std::{
    net::SocketAddr,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{net::UdpSocket, sync::oneshot, time::timeout};

use crate::{
    cores::{self, CLIENT_CORE, SERVER_CORE},
    machine::Meter,
    peers::LOOPBACK,
    sample::{Findings, Settings},
    service::MESSAGE,
    workloads::rtt,
};

/// Sends `requests` datagrams one after the other, after a tenth as many that are not measured.
pub(super) fn rtt(requests: u32) -> Result<Findings> {
    let (listening, address) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = cores::spawn("server", SERVER_CORE, move || async move {
        tokio::select! {
            outcome = echo(listening) => outcome,
            _ = stopped => Ok(()),
        }
    })?;
    let Ok(address) = address.recv() else {
        server.join()?;
        bail!("the server never listened");
    };
    // One datagram lost on loopback means that something is badly wrong, so nothing is sent twice.
    let outcome = cores::spawn("client", CLIENT_CORE, move || async move {
        timeout(Duration::from_secs(60), client(address, requests)).await.context("a datagram was lost")?
    })?
    .join();
    drop(stop);
    server.join()?;
    outcome
}

async fn echo(listening: mpsc::Sender<SocketAddr>) -> Result<()> {
    let socket = UdpSocket::bind(LOOPBACK).await?;
    listening.send(socket.local_addr()?)?;
    let mut message = [0; MESSAGE];
    loop {
        let (length, from) = socket.recv_from(&mut message).await?;
        socket.send_to(&message[..length], from).await?;
    }
}

async fn client(server: SocketAddr, requests: u32) -> Result<Findings> {
    let socket = UdpSocket::bind(LOOPBACK).await?;
    socket.connect(server).await?;
    let warm_up = requests / 10;
    let mut nanoseconds = Vec::with_capacity(requests as usize);
    let meter = Meter::start();
    for counter in 0..warm_up + requests {
        let mut message = [0x5a; MESSAGE];
        message[..4].copy_from_slice(&counter.to_le_bytes());
        let mut answer = [0; MESSAGE];
        let sent = Instant::now();
        socket.send(&message).await?;
        let length = socket.recv(&mut answer).await?;
        if counter >= warm_up {
            nanoseconds.push(u64::try_from(sent.elapsed().as_nanos())?);
        }
        ensure!(answer == message && length == MESSAGE, "the echo differs from the message");
    }
    rtt::findings(Settings::new(), &meter.read(), &mut nanoseconds)
}

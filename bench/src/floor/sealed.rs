//! The ceiling of throughput: UDP datagrams in batches of the kernel (GSO, GRO, `recvmmsg`), each sealed and opened with
//! AES-256-GCM by ring, without acknowledgements, retransmission or streams.
//!
//! A datagram is an 8-byte counter, the ciphertext and its 16-byte tag. The receiver grants bytes now and then, so that
//! the sender cannot overrun the socket's buffer; a datagram that is lost nevertheless fails the measurement.

use std::{io::IoSliceMut, net::SocketAddr, sync::mpsc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use tokio::{io::Interest, net::UdpSocket, time::timeout};

use crate::{
    cores::{self, CLIENT_CORE, SERVER_CORE},
    machine::Meter,
    payload::{self, Checksum},
    peers::{LOOPBACK, UDP_PAYLOAD},
    sample::{Findings, Settings},
    workloads::throughput,
};

const DATAGRAM: usize = UDP_PAYLOAD as usize;
const COUNTER: usize = 8;
const TAG: usize = 16;
/// Bytes of the transfer in one datagram.
const CONTENT: usize = DATAGRAM - COUNTER - TAG;
/// The largest UDP payload over IPv4, which also bounds a batch that the kernel cuts into datagrams.
const LARGEST_SEND: usize = 65_507;
/// Bytes that may be on their way: a quarter of the socket's buffer, because the kernel also counts its own overhead.
const WINDOW: u64 = 1 << 20;
/// Bytes that arrive before the receiver grants more.
const GRANT_EVERY: u64 = WINDOW / 4;
const SOCKET_BUFFER: usize = 4 << 20;
/// How long either end waits for the other before it takes a datagram for lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `size_mib` MiB in sealed datagrams.
pub(super) fn transfer(size_mib: u64) -> Result<Findings> {
    let total = size_mib << 20;
    let (listening, address) = mpsc::channel();
    let receiver =
        cores::spawn("receiver", SERVER_CORE, move || async move { receive(listening, total).await })?;
    let Ok(address) = address.recv() else {
        receiver.join()?;
        bail!("the receiver never listened");
    };
    let outcome =
        cores::spawn("sender", CLIENT_CORE, move || async move { send(address, total).await })?.join();
    receiver.join()?;
    outcome
}

async fn send(receiver: SocketAddr, total: u64) -> Result<Findings> {
    let socket = Batched::bind().await?;
    let key = key()?;
    let block = payload::block();
    let expected = payload::expected(&block, total);
    let segments = socket.state.max_gso_segments().min(LARGEST_SEND / DATAGRAM);
    let mut batch = Vec::with_capacity(segments * DATAGRAM);
    let (mut sent, mut granted, mut counter, mut place) = (0, WINDOW, 0, 0);

    let meter = Meter::start();
    while sent < total {
        batch.clear();
        for _ in 0..segments {
            let content = usize::try_from(total - sent).map_or(CONTENT, |left| left.min(CONTENT));
            if content == 0 {
                break;
            }
            // A datagram may reach over the end of the block, so that all but the last are full.
            let first = content.min(block.len() - place);
            seal(&key, counter, &block[place..place + first], &block[..content - first], &mut batch)?;
            place = (place + content) % block.len();
            counter += 1;
            sent += content as u64;
        }
        socket.send(receiver, &batch).await?;
        while sent < total && sent + batch.len() as u64 > granted {
            let (count, _) = socket.answer().await?;
            granted = count + WINDOW;
        }
    }
    let (count, checksum) = loop {
        let answer = socket.answer().await?;
        if answer.0 >= total {
            break answer;
        }
    };
    let used = meter.read();
    ensure!(count == total && checksum == expected, "what arrived is not what was sent");

    let settings = Settings::from([
        ("udp_payload".to_owned(), DATAGRAM.to_string()),
        ("gso_segments".to_owned(), segments.to_string()),
        ("gro_segments".to_owned(), socket.state.gro_segments().to_string()),
    ]);
    Ok(throughput::findings(settings, &used, total >> 20))
}

async fn receive(listening: mpsc::Sender<SocketAddr>, total: u64) -> Result<()> {
    let socket = Batched::bind().await?;
    let key = key()?;
    listening.send(socket.socket.local_addr()?)?;
    let mut buffers = vec![vec![0; DATAGRAM * socket.state.gro_segments().max(1)]; BATCH_SIZE];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let mut checksum = Checksum::default();
    let (mut count, mut granted) = (0, 0);
    while count < total {
        let received = socket.receive(&mut buffers, &mut metas).await?;
        for (buffer, meta) in buffers.iter_mut().zip(&metas).take(received) {
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                let content = open(&key, datagram)?;
                checksum.update(content);
                count += content.len() as u64;
            }
        }
        if count >= granted + GRANT_EVERY || count >= total {
            granted = count;
            let mut answer = [0; 16];
            answer[..8].copy_from_slice(&count.to_le_bytes());
            answer[8..].copy_from_slice(&checksum.finish().to_le_bytes());
            socket.send(metas[0].addr, &answer).await?;
        }
    }
    Ok(())
}

/// Appends the datagram number `counter` with the content `first` and `rest` to `batch`.
fn seal(key: &LessSafeKey, counter: u64, first: &[u8], rest: &[u8], batch: &mut Vec<u8>) -> Result<()> {
    let start = batch.len();
    batch.extend_from_slice(&counter.to_le_bytes());
    batch.extend_from_slice(first);
    batch.extend_from_slice(rest);
    let sealed = &mut batch[start + COUNTER..];
    let tag = key
        .seal_in_place_separate_tag(nonce(counter), Aad::empty(), sealed)
        .map_err(|_| anyhow!("cannot seal a datagram"))?;
    batch.extend_from_slice(tag.as_ref());
    Ok(())
}

fn open<'a>(key: &LessSafeKey, datagram: &'a mut [u8]) -> Result<&'a [u8]> {
    let (counter, sealed) = datagram.split_first_chunk_mut::<COUNTER>().context("a datagram is too short")?;
    let nonce = nonce(u64::from_le_bytes(*counter));
    let content =
        key.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| anyhow!("a datagram was changed"))?;
    Ok(content)
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The key of both ends. It is no secret: this is a measurement of work, not a protocol.
fn key() -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| anyhow!("ring refuses the key"))?;
    Ok(LessSafeKey::new(key))
}

/// A tokio socket with the kernel's batches.
struct Batched {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Batched {
    async fn bind() -> Result<Self> {
        let socket = UdpSocket::bind(LOOPBACK).await?;
        let state = UdpSocketState::new((&socket).into())?;
        state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        let actual = state.recv_buffer_size((&socket).into())?;
        ensure!(actual as u64 >= 2 * WINDOW, "the kernel allows a receive buffer of {actual} bytes only");
        Ok(Self { socket, state })
    }

    async fn send(&self, destination: SocketAddr, contents: &[u8]) -> Result<()> {
        let transmit =
            Transmit { destination, ecn: None, contents, segment_size: Some(DATAGRAM), src_ip: None };
        let write = || self.state.try_send((&self.socket).into(), &transmit);
        Ok(self.socket.async_io(Interest::WRITABLE, write).await?)
    }

    async fn receive(&self, buffers: &mut [Vec<u8>], metas: &mut [RecvMeta]) -> Result<usize> {
        let mut slices: Vec<IoSliceMut<'_>> =
            buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let read = || self.state.recv((&self.socket).into(), &mut slices, metas);
        let received = timeout(PATIENCE, self.socket.async_io(Interest::READABLE, read)).await;
        Ok(received.context("a datagram was lost")??)
    }

    /// The receiver's next answer: bytes that arrived, and their checksum.
    async fn answer(&self) -> Result<(u64, u64)> {
        let mut answer = [0; 16];
        let received = timeout(PATIENCE, self.socket.recv(&mut answer)).await;
        ensure!(
            received.context("a datagram was lost")?? == answer.len(),
            "the receiver's answer is too short"
        );
        let ([count, checksum], _) = answer.as_chunks::<8>() else {
            bail!("the receiver's answer is too short")
        };
        Ok((u64::from_le_bytes(*count), u64::from_le_bytes(*checksum)))
    }
}

//! The plain forwarder: batches in with `recvmmsg` and receive offload, one look-up of the source's address, batches out with
//! segmentation offload. No check, no limit, no cryptography: what forwarding costs on this machine at the least.

use std::{
    collections::HashMap,
    io::{ErrorKind, IoSliceMut},
    net::SocketAddr,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use anyhow::Result;
use parking_lot::RwLock;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::sync::Arc;
use tokio::{io::Interest, net::UdpSocket};

use crate::peers::LOOPBACK;

/// Buffers that one receive call fills, and bytes of each: as many as an endpoint of ours has.
const BUFFERS: usize = 8;
const BUFFER: usize = 65_536;
const SOCKET_BUFFER: usize = 4 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    /// Where packets from an address go.
    table: RwLock<HashMap<SocketAddr, SocketAddr>>,
    packets: AtomicU64,
    lost: AtomicU64,
}

/// What it has forwarded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) lost: u64,
}

impl Forwarder {
    /// Packets from either of these go to the other from now on.
    pub(super) fn join(&self, [one, other]: [SocketAddr; 2]) {
        self.table.write().extend([(one, other), (other, one)]);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { packets: self.packets.load(Ordering::Relaxed), lost: self.lost.load(Ordering::Relaxed) }
    }

    /// Says where it listens, and forwards until the socket fails.
    pub(super) async fn run(self: Arc<Self>, told: mpsc::Sender<SocketAddr>) -> Result<()> {
        let socket = UdpSocket::bind(LOOPBACK).await?;
        let state = UdpSocketState::new((&socket).into())?;
        state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        told.send(socket.local_addr()?)?;
        let mut buffers = vec![vec![0; BUFFER]; BUFFERS];
        let mut metas = [RecvMeta::default(); BUFFERS];
        loop {
            let received = {
                let mut slices: Vec<IoSliceMut<'_>> =
                    buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
                let read = || state.recv((&socket).into(), &mut slices, &mut metas);
                socket.async_io(Interest::READABLE, read).await?
            };
            for (buffer, meta) in buffers.iter().zip(&metas).take(received) {
                let Some(contents) = buffer.get(..meta.len) else { continue };
                self.pass_on(&socket, &state, meta, contents)?;
            }
        }
    }

    fn pass_on(
        &self,
        socket: &UdpSocket,
        state: &UdpSocketState,
        meta: &RecvMeta,
        contents: &[u8],
    ) -> Result<()> {
        let Some(destination) = self.table.read().get(&meta.addr).copied() else { return Ok(()) };
        let stride = meta.stride.max(1);
        let packets = contents.len().div_ceil(stride) as u64;
        let segment_size = (stride < contents.len()).then_some(stride);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        match state.try_send(socket.into(), &transmit) {
            Ok(()) => self.packets.fetch_add(packets, Ordering::Relaxed),
            // Lost, as on the way; a router of ours does the same.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.lost.fetch_add(packets, Ordering::Relaxed)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn packets_of_those_who_are_joined_go_to_the_other_and_those_of_others_nowhere() {
        let forwarder = Arc::new(Forwarder::default());
        let (told, place) = mpsc::channel();
        let running = tokio::spawn(forwarder.clone().run(told));
        let bind = || UdpSocket::bind(LOOPBACK);
        let (one, other, stranger) = (bind().await.unwrap(), bind().await.unwrap(), bind().await.unwrap());
        forwarder.join([one.local_addr().unwrap(), other.local_addr().unwrap()]);
        let place = loop {
            match place.try_recv() {
                Ok(place) => break place,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let mut buffer = [0; 16];
        stranger.send_to(b"stranger", place).await.unwrap();
        for (from, to, text) in [(&one, &other, b"there"), (&other, &one, b"again")] {
            from.send_to(text, place).await.unwrap();
            let (length, source) = tokio::time::timeout(Duration::from_secs(10), to.recv_from(&mut buffer))
                .await
                .unwrap()
                .unwrap();
            assert_eq!((&buffer[..length], source), (text.as_slice(), place));
        }
        assert_eq!(forwarder.counts().packets, 2);
        running.abort();
    }
}

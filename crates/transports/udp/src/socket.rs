//! One bound UDP socket: its options, its system calls, and when to wait.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    task::{Context, Poll, ready},
};

use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use telemesh_transport::{Arrival, Ecn, ExtraSocket, PathAddress, ReceiveBatch, SendError, Transmit};
use tokio::{io::Interest, net::UdpSocket};

use crate::{
    address::is_usable,
    send::{Kernel, send_run},
};

/// Kernel buffer asked for in each direction, in bytes. A burst at full speed has to wait somewhere while the receiver
/// decrypts the batch before it; 4 MiB are a few milliseconds of it. The kernel grants less where an administrator's limit
/// (`net.core.rmem_max`) is lower.
pub const KERNEL_BUFFER: usize = 4 * 1024 * 1024;

/// After so many datagrams without segmentation offload it is tried again. One refusal (a path over a device that cannot,
/// a route that became narrower) ends offload for the whole socket, although the next network may have it.
const RETRY_OFFLOAD_AFTER: u32 = 65_536;

/// Reports about earlier sends that one poll skips before it lets other tasks run.
const MAX_SKIPPED_REPORTS: usize = 32;

/// A bound socket, registered with the runtime.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// The number of an extra socket.
    extra: Option<u32>,
    /// Whether the kernel could do segmentation offload when the socket was made.
    offers_offload: bool,
    /// Datagrams sent since offload was given up.
    without_offload: AtomicU32,
    /// Set when somebody was told to wait, cleared when waiting has ended.
    blocked: AtomicBool,
}

impl Socket {
    /// Binds to `address`, for its address family only. Has to be called within a tokio runtime.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own, so that no IPv4 address ever shows up as a mapped IPv6 one.
            raw.set_only_v6(true)?;
        }
        raw.set_nonblocking(true)?;
        raw.bind(&address.into())?;
        let io = UdpSocket::from_std(raw.into())?;
        let state = UdpSocketState::new((&io).into())?;
        enlarge_buffers(&io, &state);
        let local = io.local_addr()?;
        let offers_offload = state.max_gso_segments() > 1;
        Ok(Self {
            io,
            state,
            local,
            extra: None,
            offers_offload,
            without_offload: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
        })
    }

    /// Binds an extra socket: to the same address as the usual one, on a port that the system chooses.
    pub(crate) fn bind_extra(mut address: SocketAddr, number: u32) -> io::Result<Self> {
        address.set_port(0);
        Ok(Self { extra: Some(number), ..Self::bind(address)? })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn can_reach(&self, destination: SocketAddr) -> bool {
        is_usable(self.local, destination)
    }

    pub(crate) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(crate) fn try_send(&self, destination: SocketAddr, transmit: &Transmit<'_>) -> Result<(), SendError> {
        if !self.can_reach(destination) {
            return Err(SendError::UnusableAddress);
        }
        let call = SendCall { socket: self, destination, ecn: transmit.ecn.map(to_codepoint) };
        let result = send_run(&call, transmit.contents, transmit.datagram_size());
        if matches!(result, Err(SendError::Blocked { .. })) {
            self.set_blocked();
        }
        result
    }

    /// Whether offload was given up so long ago that it should be [tried again](Self::retry_offload).
    pub(crate) fn offload_retry_due(&self) -> bool {
        self.offers_offload && self.without_offload.load(Ordering::Relaxed) >= RETRY_OFFLOAD_AFTER
    }

    /// Asks the kernel afresh what it can do.
    pub(crate) fn retry_offload(&mut self) {
        self.without_offload.store(0, Ordering::Relaxed);
        match UdpSocketState::new((&self.io).into()) {
            Ok(state) => self.state = state,
            Err(error) => tracing::debug!(%error, "segmentation offload stays off"),
        }
    }

    pub(crate) fn set_blocked(&self) {
        self.blocked.store(true, Ordering::Release);
    }

    /// Whether somebody waits for this socket to become writable.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    /// Ready when the kernel has room again.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready = ready!(self.io.poll_send_ready(cx));
        self.blocked.store(false, Ordering::Release);
        Poll::Ready(ready)
    }

    /// Receives as many runs as one system call gives. Ready means that the batch has grown.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        batch: &mut ReceiveBatch,
    ) -> Poll<io::Result<()>> {
        for _ in 0..MAX_SKIPPED_REPORTS {
            ready!(self.io.poll_recv_ready(cx))?;
            match self.receive(batch) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_report_about_sending(&error) => {
                    tracing::trace!(%error, "skipping a report about an earlier send");
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // Still busy with reports: come back, but let others run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut received = 0;
        let attempt = self.io.try_io(Interest::READABLE, || {
            let (filled, offered) = self.receive_call(batch, &mut metas)?;
            received = filled;
            if DRAINED_WHEN_SHORT && filled < offered {
                // The call stopped because the socket was empty. Saying so here clears tokio's readiness without another
                // system call; whatever arrives from now on makes a new edge.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        if received == 0 {
            return attempt;
        }
        for (index, meta) in metas.iter().take(received).enumerate() {
            batch.commit(index, self.arrival(meta));
        }
        Ok(())
    }

    fn arrival(&self, meta: &RecvMeta) -> Arrival {
        let source = match self.extra {
            None => PathAddress::Udp(meta.addr),
            Some(number) => PathAddress::Extra(ExtraSocket { to: meta.addr, number }),
        };
        Arrival {
            source: source.canonical(),
            length: meta.len,
            stride: meta.stride,
            ecn: meta.ecn.map(from_codepoint),
        }
    }

    /// One receive call into the free buffers of `batch`: how many it filled, and how many it could have.
    fn receive_call(&self, batch: &mut ReceiveBatch, metas: &mut [RecvMeta]) -> io::Result<(usize, usize)> {
        let mut buffers = batch.buffers();
        let offered = buffers.len().min(BATCH_SIZE);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let slices = slices.get_mut(..offered).unwrap_or_default();
        let received = self.state.recv((&self.io).into(), slices, metas)?;
        Ok((received, offered))
    }
}

/// Whether a batch receive that filled fewer buffers than it was offered has emptied the socket. So it is with Linux's
/// `recvmmsg`; elsewhere one call may mean one datagram.
const DRAINED_WHEN_SHORT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Sending to one destination through a socket.
struct SendCall<'a> {
    socket: &'a Socket,
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
}

impl Kernel for SendCall<'_> {
    fn max_segments(&self) -> usize {
        self.socket.max_segments()
    }

    fn send(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let Socket { io, state, .. } = self.socket;
        let transmit = quinn_udp::Transmit {
            destination: self.destination,
            ecn: self.ecn,
            contents,
            segment_size,
            src_ip: None,
        };
        // Tokio takes a socket for unwritable until its driver has run once, and asking it costs a little each time: so the
        // kernel is asked first, and tokio only learns of a full buffer.
        let result = match state.try_send(io.into(), &transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                io.try_io(Interest::WRITABLE, || state.try_send(io.into(), &transmit))
            }
            result => result,
        };
        if segment_size.is_none() && self.max_segments() == 1 {
            self.socket.without_offload.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

/// Asks for large kernel buffers and lives with what it gets.
fn enlarge_buffers(io: &UdpSocket, state: &UdpSocketState) {
    if let Err(error) = state.set_send_buffer_size(io.into(), KERNEL_BUFFER) {
        tracing::debug!(%error, "send buffer stays as it is");
    }
    if let Err(error) = state.set_recv_buffer_size(io.into(), KERNEL_BUFFER) {
        tracing::debug!(%error, "receive buffer stays as it is");
    }
}

/// Whether a failed receive tells of an earlier datagram that did not arrive (an ICMP message), which is no reason to stop
/// receiving. Windows reports a closed port as a reset, others as a refusal.
fn is_report_about_sending(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    quinn_udp::is_msg_size_err(error)
        || matches!(
            error.kind(),
            Kind::ConnectionRefused
                | Kind::ConnectionReset
                | Kind::HostUnreachable
                | Kind::NetworkUnreachable
                | Kind::NetworkDown
                | Kind::PermissionDenied
                | Kind::Interrupted
        )
}

fn to_codepoint(ecn: Ecn) -> EcnCodepoint {
    match ecn {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}

fn from_codepoint(ecn: EcnCodepoint) -> Ecn {
    match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}

#[cfg(test)]
mod tests;

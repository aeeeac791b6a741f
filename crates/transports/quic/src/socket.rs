//! A UDP socket for quinn that shows it only what the filter lets through.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::filter::Filter;

/// Kernel buffer asked for in each direction, in bytes: as for UDP, a burst has to wait somewhere.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;

/// Receives without anything that passes, after which others may run first. Strangers cannot keep a thread busy.
const RECEIVES_PER_TURN: usize = 8;

/// See the module's page.
pub(crate) struct FilteredSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    filter: Arc<Filter>,
}

impl FilteredSocket {
    /// Binds to `address`; a wildcard of IPv6 is one for IPv4 too. Has to be called within a tokio runtime.
    pub(crate) fn bind(address: SocketAddr, filter: Arc<Filter>) -> io::Result<Arc<Self>> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        for outcome in
            [socket.set_send_buffer_size(KERNEL_BUFFER), socket.set_recv_buffer_size(KERNEL_BUFFER)]
        {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a socket buffer stays as it is");
            }
        }
        socket.bind(&address.into())?;
        let socket = TokioRuntime.wrap_udp_socket(socket.into())?;
        Ok(Arc::new(Self { socket, filter }))
    }
}

impl AsyncUdpSocket for FilteredSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..RECEIVES_PER_TURN {
            let received = ready!(self.socket.poll_recv(cx, buffers, metas))?;
            let mut any = false;
            for (meta, buffer) in metas.iter_mut().zip(buffers.iter_mut()).take(received) {
                // A run of nothing is one that quinn passes over.
                any |= self.filter.sift(meta, buffer);
            }
            if any {
                return Poll::Ready(Ok(received));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

impl fmt::Debug for FilteredSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilteredSocket")
            .field("local", &self.socket.local_addr().ok())
            .finish_non_exhaustive()
    }
}

//! The transport itself: sending, receiving and rebinding over the sockets of both address families.

use std::{
    io,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use telemesh_transport::{ExtraSocket, PathAddress, ReceiveBatch, SendError, Transmit, Transport};
use tokio::runtime::Handle;

use crate::{
    binding::{Binding, Sockets},
    interfaces::reachable_addresses,
    socket::Socket,
    waker::WakerSlot,
};

/// Carries datagrams over UDP, on IPv4 and IPv6 at once.
///
/// All of it works on the tokio runtime in which it was bound; sending may happen on any thread.
#[derive(Debug)]
pub struct UdpTransport {
    binding: Binding,
    runtime: Handle,
    /// Swapped by rebinding only. Senders hold it shared for the length of a system call that never blocks, so that a socket
    /// is closed for certain once it has been replaced.
    sockets: RwLock<Sockets>,
    receiver: WakerSlot,
    writer: WakerSlot,
    /// The number of the next extra socket.
    extra: AtomicU32,
    /// Which family is asked first for datagrams; alternates, so that neither starves the other.
    v6_first: AtomicBool,
}

impl UdpTransport {
    /// Listens on every interface, over IPv4 and IPv6, on a port that the operating system chooses (the same one for both
    /// where possible). A machine without one of the families gets the other.
    ///
    /// # Errors
    /// Outside a tokio runtime, or if no socket can be had.
    ///
    /// # Panics
    /// If the runtime was built without I/O.
    pub fn bind_default() -> io::Result<Self> {
        Self::bind_wildcard(0)
    }

    /// Listens on every interface, over IPv4 and IPv6, on `port`; 0 is [`bind_default`](Self::bind_default).
    ///
    /// # Errors
    /// Outside a tokio runtime, if the port is taken in either family, or if no socket can be had.
    ///
    /// # Panics
    /// If the runtime was built without I/O.
    pub fn bind_wildcard(port: u16) -> io::Result<Self> {
        Self::open(Binding::Wildcard { port })
    }

    /// Listens on exactly `address`, and so on its address family only. Port 0 lets the operating system choose.
    ///
    /// # Errors
    /// Outside a tokio runtime, or if the address cannot be bound.
    ///
    /// # Panics
    /// If the runtime was built without I/O.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::open(Binding::Address(address))
    }

    /// Listens on one address of each family.
    ///
    /// # Errors
    /// Outside a tokio runtime, or if one of them cannot be bound.
    ///
    /// # Panics
    /// If the runtime was built without I/O.
    pub fn bind_both(v4: SocketAddrV4, v6: SocketAddrV6) -> io::Result<Self> {
        Self::open(Binding::Both { v4: v4.into(), v6: v6.into() })
    }

    fn open(binding: Binding) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        Ok(Self {
            binding,
            runtime,
            sockets: RwLock::new(binding.open()?),
            receiver: WakerSlot::default(),
            writer: WakerSlot::default(),
            extra: AtomicU32::new(0),
            v6_first: AtomicBool::new(false),
        })
    }

    /// The addresses that the sockets are bound to, IPv4 first: with the real port, and unspecified (`0.0.0.0`, `::`) for
    /// every interface. [`local_addresses`](Transport::local_addresses) are those that others can use.
    pub fn bound_addresses(&self) -> Vec<SocketAddr> {
        self.sockets().iter().map(|socket| socket.local()).collect()
    }

    // A panic while the lock is held leaves the sockets whole, so poisoning means nothing here.
    fn sockets(&self) -> RwLockReadGuard<'_, Sockets> {
        self.sockets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets_mut(&self) -> RwLockWriteGuard<'_, Sockets> {
        self.sockets.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// New sockets in place of the old ones, which are closed.
    fn replace_sockets(&self) -> io::Result<()> {
        if !self.binding.has_chosen_port() {
            let opened = self.binding.open()?;
            // Assigned under the lock, dropped after it: closing sockets is no reason to keep senders waiting.
            let _closed = std::mem::replace(&mut *self.sockets_mut(), opened);
            return Ok(());
        }
        let mut sockets = self.sockets_mut();
        *sockets = Sockets::default();
        *sockets = self.binding.open().or_else(|error| {
            // Somebody was faster. An endpoint on another port is better than a deaf one.
            tracing::warn!(%error, "the chosen port is gone, taking any");
            self.binding.with_any_port().open()
        })?;
        Ok(())
    }
}

impl Transport for UdpTransport {
    fn carries(&self, address: &PathAddress) -> bool {
        let sockets = self.sockets();
        sockets.of_path(address).is_some_and(|(socket, destination)| socket.can_reach(destination))
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        self.sockets().reachable(reachable_addresses).into_iter().map(PathAddress::Udp).collect()
    }

    fn open_extra(&self, to: &PathAddress, count: usize) -> Vec<PathAddress> {
        let _entered = self.runtime.enter();
        let usual = |(usual, to): (&Socket, SocketAddr)| usual.can_reach(to).then(|| (usual.local(), to));
        let Some((local, destination)) = self.sockets().of_path(to).and_then(usual) else {
            return Vec::new();
        };
        let count = count.min(MAX_EXTRA.saturating_sub(self.sockets().extra.len()));
        let number = || self.extra.fetch_add(1, Ordering::Relaxed);
        let open = |number| Some((number, Socket::bind_extra(local, number).ok()?));
        let mut opened = (0..count).map_while(|_| open(number())).collect::<Vec<_>>();
        if opened.len() < count {
            // These were the last that there were, and others need some, too.
            opened.truncate(opened.len() / 2);
        }
        let path = |number| PathAddress::Extra(ExtraSocket { to: destination, number });
        let paths = opened.iter().map(|(number, _)| path(*number)).collect();
        self.sockets_mut().extra.extend(opened);
        // It has to wait for them, too.
        self.receiver.wake();
        paths
    }

    fn close_extra(&self, path: &PathAddress) {
        if let PathAddress::Extra(extra) = path {
            // Closed when the lock is released: that is no reason to keep senders waiting.
            let _closed = self.sockets_mut().extra.remove(&extra.number);
        }
    }

    fn max_send_segments(&self) -> usize {
        self.sockets().iter().map(|socket| socket.max_segments()).min().unwrap_or(1)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let sockets = self.sockets();
        let Some((socket, destination)) = sockets.of_path(&transmit.destination) else {
            return Err(SendError::UnusableAddress);
        };
        let result = socket.try_send(destination, transmit);
        if socket.offload_retry_due() {
            drop(sockets);
            if let Some(socket) = self.sockets_mut().of_path_mut(&transmit.destination) {
                socket.retry_offload();
            }
        }
        result
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sockets = self.sockets();
        let mut waiting = false;
        for socket in sockets.in_turn(false).filter(|socket| socket.is_blocked()) {
            if let Poll::Ready(outcome) = socket.poll_writable(cx) {
                return Poll::Ready(outcome);
            }
            waiting = true;
        }
        if !waiting {
            return Poll::Ready(Ok(()));
        }
        // Registered while the sockets are held: a rebind after this finds the waker, one before has swapped them already.
        self.writer.register(cx.waker());
        Poll::Pending
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let sockets = self.sockets();
        let v6_first = self.v6_first.fetch_xor(true, Ordering::Relaxed);
        let mut failure = None;
        for socket in sockets.in_turn(v6_first) {
            if batch.room() == 0 {
                break;
            }
            if let Poll::Ready(Err(error)) = socket.poll_receive(cx, batch) {
                failure = Some(error);
            }
        }
        if !batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = failure {
            return Poll::Ready(Err(error));
        }
        // As in `poll_writable`.
        self.receiver.register(cx.waker());
        Poll::Pending
    }

    fn rebind(&self) -> io::Result<()> {
        let outcome = {
            let _entered = self.runtime.enter();
            self.replace_sockets()
        };
        // Also after a failure, which may have left fewer sockets than there were.
        self.receiver.wake();
        self.writer.wake();
        outcome
    }
}

/// Extra sockets at a time: so many for whoever tries ports at the moment, and as many that are kept. A process may have 1,024 files
/// open where nobody has allowed it more.
const MAX_EXTRA: usize = 512;

#[cfg(test)]
mod tests;

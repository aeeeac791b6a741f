//! The system's word that something about its network is new; what it is, it does not say here.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often to look where the system does not tell. Reading the interfaces takes some 50 µs.
const LOOK: Duration = Duration::from_secs(5);

/// See the module's page.
#[derive(Debug)]
pub(crate) enum Signal {
    /// The kernel tells.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Kernel(kernel::Socket),
    /// It is always time to look.
    Clock(Interval),
}

impl Signal {
    /// The best there is. Has to be called within a tokio runtime.
    pub(crate) fn open() -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        match kernel::Socket::open() {
            Ok(socket) => return Self::Kernel(socket),
            Err(error) => tracing::debug!(%error, "the kernel does not tell of its network"),
        }
        Self::by_clock()
    }

    pub(crate) fn by_clock() -> Self {
        let mut interval = interval(LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Clock(interval)
    }

    /// Ready when something may be new.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Kernel(socket) => socket.poll(cx),
            Self::Clock(interval) => interval.poll_tick(cx).map(|_| Ok(())),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use std::io;
    use std::task::{Context, Poll};

    use rustix::io::Errno;
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    use tokio::io::ReadBuf;
    use tokio::net::UdpSocket;

    /// Interfaces, addresses and routes, of IPv4 and IPv6: `RTMGRP_LINK` and so on of `linux/rtnetlink.h`.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    /// Messages that are taken at once. Whatever is left is the next signal.
    const TAKEN_AT_ONCE: usize = 64;

    /// A netlink socket (rtnetlink(7)) whose messages are counted and forgotten. It is no UDP socket, but of what tokio can wait for
    /// without unsafe code that is the one that does nothing but receive.
    #[derive(Debug)]
    pub(crate) struct Socket(UdpSocket);

    impl Socket {
        pub(super) fn open() -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // Protocol 0, which is what no protocol means, is NETLINK_ROUTE.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            UdpSocket::from_std(socket.into()).map(Self)
        }

        pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            for taken in 0..TAKEN_AT_ONCE {
                // What does not fit is cut off, and nobody wants it.
                let mut message = [0; 64];
                match self.0.poll_recv(cx, &mut ReadBuf::new(&mut message)) {
                    Poll::Ready(Ok(())) => {}
                    // Too many for the socket's buffer are news as well.
                    Poll::Ready(Err(error)) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
                    Poll::Pending if taken > 0 => return Poll::Ready(Ok(())),
                    other => return other,
                }
            }
            Poll::Ready(Ok(()))
        }
    }
}

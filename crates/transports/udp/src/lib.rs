//! UDP transport with segmentation and receive offload.
//!
//! [`UdpTransport`] implements [`Transport`](telemesh_transport::Transport) over one socket per address family:
//!
//! - **One system call for a batch.** A run of up to 64 equal datagrams leaves in one `sendmsg` (GSO), and one `recvmmsg`
//!   brings in up to 32 runs that the kernel has put together again (GRO). Where the kernel or a device cannot, the same
//!   run goes out one datagram at a time, and offload is tried again later.
//! - **Sending is inline**: any thread, no task and no channel in between, no allocation.
//! - **IPv4 and IPv6 side by side**, IPv6 sockets for IPv6 only, on one port where possible.
//! - **Rebinding** swaps the sockets under the feet of senders and of the receive task, which is woken and goes on.
//! - Don't-fragment is set, congestion marks (ECN) are carried both ways, socket buffers are 4 MiB where allowed.
//!
//! It needs a tokio runtime with I/O. It sends nothing by itself: no keep-alive, no answer to anything.
//!
//! # Out of scope
//! Watching the network interfaces (whoever does calls `rebind`), port mapping, and choosing the local address of a
//! datagram: the routing table does that.

mod address;
mod binding;
mod interfaces;
mod send;
mod socket;
mod transport;
mod waker;

pub use socket::KERNEL_BUFFER;
pub use transport::UdpTransport;

// The README's code compiles and runs with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

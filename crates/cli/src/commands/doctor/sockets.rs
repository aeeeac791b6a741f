//! UDP on this machine: sockets of both families, a real datagram there and back, and what the kernel can do for speed.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use telemesh::udp::KERNEL_BUFFER;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::report::Check;

/// Longer than loopback takes on the busiest machine.
const LIMIT: Duration = Duration::from_secs(2);

/// Bytes of a datagram on a network of 1,280 bytes, the least that IPv6 allows (RFC 8200 section 5).
const DATAGRAM: usize = 1_200;

/// Datagrams that are sent as one run.
const RUN: usize = 8;

pub(super) async fn checks() -> Vec<Check> {
    let v4 = exchange(Ipv4Addr::LOCALHOST.into()).await;
    let v6 = exchange(Ipv6Addr::LOCALHOST.into()).await;
    let mut checks = vec![
        match &v4 {
            Ok(_) => Check::ok("ipv4", "a datagram has gone over loopback and back"),
            Err(error) => Check::failed("ipv4", failure(error), LOOPBACK_ADVICE),
        },
        match (&v6, &v4) {
            (Ok(_), _) => Check::ok("ipv6", "a datagram has gone over loopback and back"),
            (Err(error), Ok(_)) => Check::warning(
                "ipv6",
                failure(error),
                "switch IPv6 on if the network has it: it needs no hole punching",
            ),
            (Err(error), Err(_)) => Check::failed("ipv6", failure(error), LOOPBACK_ADVICE),
        },
    ];
    match v4.or(v6) {
        Ok(seen) => checks.extend(seen.checks()),
        Err(_) => checks.push(Check::skipped("udp", "there is no socket to ask")),
    }
    checks
}

const LOOPBACK_ADVICE: &str = "nothing works without UDP: look at the firewall, at a sandbox around this program, and at `ip link show lo`";

fn failure(error: &io::Error) -> String {
    format!("no datagram goes over loopback: {error}")
}

/// What a socket and a datagram on it have told.
#[derive(Debug)]
struct Seen {
    send_buffer: io::Result<usize>,
    receive_buffer: io::Result<usize>,
    max_segments: usize,
    /// Whether a run of datagrams left in one system call.
    run_sent: bool,
    /// Whether such a run came in as one.
    run_received: bool,
    may_fragment: bool,
    ecn: bool,
}

/// Sends a datagram from one socket to another, sends it back, and then a run of them.
async fn exchange(ip: IpAddr) -> io::Result<Seen> {
    let (here, there) = (End::bind(ip)?, End::bind(ip)?);
    let datagram: Vec<u8> =
        (0..DATAGRAM).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect();
    here.send(&datagram, None, there.address)?;
    let arrived = there.receive(here.address).await?;
    there.send(&arrived.bytes, None, here.address)?;
    let back = here.receive(there.address).await?;
    if back.bytes != datagram {
        return Err(io::Error::other("what came back is something else"));
    }
    let max_segments = here.state.max_gso_segments();
    let run = datagram.repeat(RUN);
    let run_sent = max_segments >= RUN && here.send(&run, Some(DATAGRAM), there.address).is_ok();
    let mut run_received = false;
    if run_sent {
        let mut rest = RUN;
        while let Some(less) = rest.checked_sub(1) {
            let Ok(arrived) = there.receive(here.address).await else { break };
            run_received |= arrived.bytes.len() > DATAGRAM;
            rest = (less + 1).saturating_sub((arrived.bytes.len() / DATAGRAM).max(1));
        }
    }
    Ok(Seen {
        send_buffer: here.state.send_buffer_size((&here.socket).into()),
        receive_buffer: here.state.recv_buffer_size((&here.socket).into()),
        max_segments,
        run_sent,
        run_received,
        may_fragment: here.state.may_fragment(),
        ecn: back.ecn == Some(EcnCodepoint::Ect0),
    })
}

impl Seen {
    fn checks(&self) -> Vec<Check> {
        vec![
            buffer("receive-buffer", &self.receive_buffer, "net.core.rmem_max"),
            buffer("send-buffer", &self.send_buffer, "net.core.wmem_max"),
            self.offload(),
            if self.may_fragment {
                let advice = "nothing to do: paths with small packets may be slower or lose more here";
                Check::warning("dont-fragment", "the system may cut up large datagrams", advice)
            } else {
                Check::ok("dont-fragment", "datagrams are never cut up, so a path's size can be probed")
            },
            if self.ecn {
                Check::ok("ecn", "congestion marks arrive")
            } else {
                let advice = "nothing to do: congestion is noticed by loss instead";
                Check::warning("ecn", "congestion marks are lost on the way", advice)
            },
        ]
    }

    fn offload(&self) -> Check {
        let received = if self.run_received { "and received as one" } else { "and received one by one" };
        if self.run_sent && self.run_received {
            let found = format!("runs of up to {} datagrams are sent {received}", self.max_segments);
            return Check::ok("offload", found);
        }
        let found = if self.run_sent {
            format!("runs of up to {} datagrams are sent as one, {received}", self.max_segments)
        } else {
            "each datagram is a system call of its own".to_owned()
        };
        if cfg!(target_os = "linux") {
            return Check::warning(
                "offload",
                found,
                "a newer kernel is several times faster (Linux 5.0 or later)",
            );
        }
        Check::ok("offload", format!("{found}: this system has nothing faster"))
    }
}

fn buffer(name: &'static str, granted: &io::Result<usize>, setting: &str) -> Check {
    let granted = match granted {
        // Linux counts its own bookkeeping too, and says twice of what it gives.
        Ok(bytes) if cfg!(target_os = "linux") => *bytes / 2,
        Ok(bytes) => *bytes,
        Err(error) => return Check::skipped(name, format!("the system does not say: {error}")),
    };
    let found = format!("{} KiB of the {} KiB asked for", granted / 1024, KERNEL_BUFFER / 1024);
    if granted >= KERNEL_BUFFER {
        return Check::ok(name, found);
    }
    let advice = if cfg!(target_os = "linux") {
        format!(
            "bursts get lost; as root: `sysctl -w {setting}={KERNEL_BUFFER}`, and the same in /etc/sysctl.d/"
        )
    } else if cfg!(target_os = "macos") {
        format!("bursts get lost; as root: `sysctl -w kern.ipc.maxsockbuf={}`", 2 * KERNEL_BUFFER)
    } else {
        "bursts get lost; raise the system's limit for socket buffers".to_owned()
    };
    Check::warning(name, found, advice)
}

/// A socket as the transport has it.
struct End {
    socket: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

/// What has come in: one datagram, or a run of them that the kernel has put together.
struct Arrived {
    bytes: Vec<u8>,
    ecn: Option<EcnCodepoint>,
}

impl End {
    fn bind(ip: IpAddr) -> io::Result<Self> {
        let address = SocketAddr::new(ip, 0);
        let raw = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        raw.set_nonblocking(true)?;
        raw.bind(&address.into())?;
        let socket = UdpSocket::from_std(raw.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // What is granted is asked for afterwards.
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
        let address = socket.local_addr()?;
        Ok(Self { socket, state, address })
    }

    fn send(&self, contents: &[u8], segment_size: Option<usize>, destination: SocketAddr) -> io::Result<()> {
        let ecn = Some(EcnCodepoint::Ect0);
        let transmit = Transmit { destination, ecn, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// The next datagrams from this address. What others send to our port in the meantime is none of ours.
    async fn receive(&self, from: SocketAddr) -> io::Result<Arrived> {
        let receive = async {
            loop {
                self.socket.readable().await?;
                match self.socket.try_io(Interest::READABLE, || self.receive_call()) {
                    Ok((source, arrived)) if source == from => return Ok(arrived),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        match tokio::time::timeout(LIMIT, receive).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not arrive")),
        }
    }

    /// One buffer only: a system call then brings one datagram or one run.
    fn receive_call(&self) -> io::Result<(SocketAddr, Arrived)> {
        let mut bytes = vec![0; usize::from(u16::MAX)];
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        self.state.recv((&self.socket).into(), &mut buffers, &mut metas)?;
        let meta = metas.first().copied().unwrap_or_default();
        bytes.truncate(meta.len);
        Ok((meta.addr, Arrived { bytes, ecn: meta.ecn }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_small_buffer_is_a_warning_that_names_the_setting() {
        let small = buffer("receive-buffer", &Ok(212_992), "net.core.rmem_max");
        assert_eq!(small.status, Status::Warning);
        #[cfg(target_os = "linux")]
        assert!(small.advice.unwrap().contains("net.core.rmem_max"));
        assert_eq!(buffer("send-buffer", &Ok(2 * KERNEL_BUFFER), "x").status, Status::Ok);
        assert_eq!(buffer("send-buffer", &Err(io::Error::other("no")), "x").status, Status::Skipped);
    }

    #[test]
    fn every_property_of_a_socket_has_its_check() {
        let seen = |good: bool| Seen {
            send_buffer: Ok(if good { 2 * KERNEL_BUFFER } else { 1 }),
            receive_buffer: Ok(if good { 2 * KERNEL_BUFFER } else { 1 }),
            max_segments: if good { 64 } else { 1 },
            run_sent: good,
            run_received: good,
            may_fragment: !good,
            ecn: good,
        };
        assert!(seen(true).checks().iter().all(|check| check.status == Status::Ok));
        let worse = seen(false).checks();
        assert!(worse.iter().all(|check| check.status != Status::Failed), "slow is not broken: {worse:?}");
        assert_eq!(
            worse.iter().filter(|check| check.status == Status::Warning).count(),
            if cfg!(target_os = "linux") { 5 } else { 4 }
        );
    }
}

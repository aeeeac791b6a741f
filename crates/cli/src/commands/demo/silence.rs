//! A stranger sends all that strangers can send, and must not get one byte back.

use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use telemesh::{LinkInfo, Mesh, PathAddress};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::report::Outcome;

/// How long an endpoint may take to look at what was sent.
const HANDLED_LIMIT: Duration = Duration::from_secs(10);

/// How long the stranger listens after that: an answer on loopback takes less than a millisecond.
const LISTEN: Duration = Duration::from_millis(500);

/// Sizes of packets: nothing, one byte, the edges of every packet type, the largest that UDP has.
const SIZES: [usize; 12] = [0, 1, 3, 4, 31, 32, 33, 64, 1_199, 1_200, 1_201, 65_507];

/// Longest packet that is forwarded.
const MAX_PACKET: usize = 65_535;

/// What the stranger has found out.
struct Attack {
    socket: UdpSocket,
    target: SocketAddr,
    sent: u64,
}

/// Junk of all types and sizes first, then a genuine handshake by somebody whom Alice does not know.
pub(super) async fn run(alice: &Endpoint) -> Outcome<()> {
    let target = alice.address().ok_or("alice has no address")?;
    let socket = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await?;
    let mut attack = Attack { socket, target, sent: 0 };
    let before = alice.mesh.metrics();
    attack.junk().await;
    // The handshake travels through the stranger's own socket, where answers to it would arrive.
    let mallory = Endpoint::new().await.map_err(|failure| failure.to_string())?;
    let disguised = LinkInfo::new(alice.info().keys().clone())?
        .with_path(PathAddress::Udp(attack.socket.local_addr()?))?;
    mallory.mesh.add_contact(disguised)?.connect();
    attack.forward_handshake().await?;

    let dropped = || alice.mesh.metrics().dropped_in_all() - before.dropped_in_all();
    let known = before.dropped.get(NOT_TRUSTED).copied().unwrap_or_default();
    let deadline = Instant::now() + HANDLED_LIMIT;
    while not_trusted(&alice.mesh) <= known || dropped() < attack.sent {
        if Instant::now() > deadline {
            return Err(
                format!("of {} packets only {} were counted as dropped", attack.sent, dropped()).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answered = attack.answers(mallory.address()).await?;
    if answered > 0 {
        return Err(format!("{answered} bytes came back").into());
    }
    if alice.mesh.find(&mallory.mesh.hashname()).is_some() {
        return Err("the stranger became a contact".into());
    }
    Ok(((), format!("{} packets, a valid handshake among them, 0 bytes back", attack.sent)))
}

impl Attack {
    async fn send(&mut self, packet: &[u8]) {
        // What the system itself refuses to send, the largest size on some, is not part of the attack.
        if self.socket.send_to(packet, self.target).await.is_ok() {
            self.sent += 1;
        }
    }

    async fn junk(&mut self) {
        for size in SIZES {
            for kind in 0..8u8 {
                let mut packet = noise(size, kind);
                for (byte, value) in packet.iter_mut().zip([kind, 0, 0, 0]) {
                    *byte = value;
                }
                self.send(&packet).await;
            }
        }
    }

    /// Forwards the first initiation that arrives, as it is, and again with a changed bit, and cut short.
    async fn forward_handshake(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut packet = vec![0; MAX_PACKET];
        let received = tokio::time::timeout(HANDLED_LIMIT, self.socket.recv_from(&mut packet)).await;
        let (length, _) = received.map_err(|_| "no handshake was sent")??;
        packet.truncate(length);
        self.send(&packet).await;
        let mut changed = packet.clone();
        if let Some(byte) = changed.get_mut(length / 2) {
            *byte ^= 1;
        }
        self.send(&changed).await;
        self.send(packet.get(..length / 2).unwrap_or_default()).await;
        self.send(&packet).await;
        Ok(())
    }

    /// Bytes that arrive from anybody but the one whose handshake is forwarded.
    async fn answers(&self, own: Option<SocketAddr>) -> Result<usize, std::io::Error> {
        let deadline = Instant::now() + LISTEN;
        let mut buffer = vec![0; MAX_PACKET];
        let mut bytes = 0;
        while let Ok(received) = tokio::time::timeout_at(deadline, self.socket.recv_from(&mut buffer)).await {
            let (length, from) = received?;
            if Some(from) != own {
                // An empty packet is an answer too.
                bytes += length.max(1);
            }
        }
        Ok(bytes)
    }
}

fn not_trusted(mesh: &Mesh) -> u64 {
    mesh.metrics().dropped.get(NOT_TRUSTED).copied().unwrap_or_default()
}

/// Bytes that mean nothing.
fn noise(size: usize, seed: u8) -> Vec<u8> {
    let blocks =
        (0..=size / 32).flat_map(|number| Sha256::digest([&[seed][..], &number.to_be_bytes()].concat()));
    blocks.take(size).collect()
}

/// The name under which an endpoint counts valid handshakes of strangers.
const NOT_TRUSTED: &str = "not trusted";

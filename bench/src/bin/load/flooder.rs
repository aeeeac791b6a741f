//! Initiations that are not wanted, of every kind, from many addresses, at a steady rate.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::crowd::{self, Crowd};
use crate::priority;

/// Different initiations of strangers; each is sent again when all were sent, as somebody would who cannot afford more.
const STRANGERS: usize = 2_000;
/// Bytes of an initiation in front of mac1, and in front of mac2: what a stranger changes to get it wrong.
const MAC1_AT: usize = 1_160;
const MAC2_AT: usize = 1_184;
/// Packets leave in groups so far apart.
const TICK: Duration = Duration::from_millis(1);

/// What comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By somebody who does not know the endpoint's public key.
    WrongMac1,
    /// By strangers who do.
    Strangers,
    /// Copies of an initiation by a contact, with its return tag.
    TaggedReplay,
    /// The same with another mac2.
    TaggedForged,
}

/// Kinds, and what they are called in the report.
pub(crate) const KINDS: [(Kind, &str); 4] = [
    (Kind::WrongMac1, "wrong mac1"),
    (Kind::Strangers, "right mac1, untagged"),
    (Kind::TaggedReplay, "tagged, a replay"),
    (Kind::TaggedForged, "tagged, wrong mac2"),
];

/// The sockets and the packets.
pub(crate) struct Flooder {
    sockets: Arc<Vec<UdpSocket>>,
    to: SocketAddr,
    strangers: Vec<Vec<u8>>,
    tagged: Vec<u8>,
}

impl Flooder {
    /// Makes the packets. The first peer of the crowd has had a link with the endpoint; its next initiation is delivered
    /// from its own address, and is what is replayed.
    pub(crate) fn new(crowd: &mut Crowd, uri: &str, sockets: usize) -> Result<Self> {
        let server = crowd::server(uri)?;
        let to = crowd::address(&server)?;
        let stranger = |number| crowd::initiation(&mut crowd::link(&server, number)?.link);
        let strangers = (0..STRANGERS).map(stranger).collect::<Result<_>>()?;
        let tagged = crowd.initiation(0)?;
        crowd.send(0, to, &tagged)?;
        let sockets = Arc::new(crowd::sockets_at_many_addresses(sockets)?);
        Ok(Self { sockets, to, strangers, tagged })
    }

    fn packets(&self, kind: Kind) -> Vec<Vec<u8>> {
        let changed = |packet: &Vec<u8>, at: usize| {
            let mut packet = packet.clone();
            packet.iter_mut().skip(at).take(8).for_each(|byte| *byte ^= 0x55);
            packet
        };
        match kind {
            Kind::WrongMac1 => self.strangers.iter().map(|packet| changed(packet, MAC1_AT)).collect(),
            Kind::Strangers => self.strangers.clone(),
            Kind::TaggedReplay => vec![self.tagged.clone()],
            Kind::TaggedForged => vec![changed(&self.tagged, MAC2_AT)],
        }
    }

    /// Begins to send so many a second.
    pub(crate) fn start(&self, kind: Kind, rate: u32) -> Flood {
        let (packets, sockets, to) = (self.packets(kind), self.sockets.clone(), self.to);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            priority::first();
            send(&packets, &sockets, to, rate, &stopped)
        });
        Flood { thread, stop }
    }

    /// Datagrams that came back since the last time.
    pub(crate) fn replies(&self) -> Result<usize> {
        let mut replies = 0;
        for socket in &*self.sockets {
            loop {
                match socket.recv_from(&mut [0; 2_048]) {
                    Ok(_) => replies += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(replies)
    }
}

/// A flood that is going on.
pub(crate) struct Flood {
    thread: JoinHandle<Result<u64>>,
    stop: Arc<AtomicBool>,
}

impl Flood {
    /// Ends it; how many were sent.
    pub(crate) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the flooding thread panicked"))?
    }
}

fn send(
    packets: &[Vec<u8>],
    sockets: &[UdpSocket],
    to: SocketAddr,
    rate: u32,
    stop: &AtomicBool,
) -> Result<u64> {
    let started = Instant::now();
    let mut sent = 0_u64;
    let mut pairs = packets.iter().cycle().zip(sockets.iter().cycle());
    while !stop.load(Ordering::Relaxed) {
        let due = started.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while u128::from(sent) < due {
            let Some((packet, socket)) = pairs.next() else { break };
            match socket.send_to(packet, to) {
                // A packet that finds no room is one that was not sent.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => sent += 1,
            }
        }
        thread::sleep(TICK);
    }
    Ok(sent)
}

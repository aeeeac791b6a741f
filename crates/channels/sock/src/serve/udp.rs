//! `udp` and `udp-bind`: datagrams for a peer.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{Datagrams, Incoming};
use telemesh_hashname::Hashname;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::buffer::{SIZE, with_buffer};
use crate::datagram::{Datagram, MAX_DATAGRAM, Message, Reassembly, Sender};
use crate::failure::SockError;
use crate::grant::Action;
use crate::leave::{Leave, name_of};
use crate::service::Service;
use crate::sockets;
use crate::targets::Target;

/// A tunnel that carries nothing for so long is closed; whoever uses it again opens another one. RFC 4787, REQ-5, wants two
/// minutes or more of a translator.
pub(crate) const IDLE: Duration = Duration::from_secs(150);

/// How often a listener says that it is there. A peer that has closed it says so then, if that was lost before.
const PROBE: Duration = Duration::from_secs(30);

/// Other ends of one tunnel; those that were used longest ago give way. A resolver or a game talks to a few.
const MAX_PLACES: usize = 256;

/// Sends a peer's datagrams to where it may send them, and brings the answers of those and nobody else.
pub(crate) async fn udp(service: Arc<Service>, incoming: Incoming, target: Option<Target>) {
    let peer = incoming.peer();
    let mut changes = service.changes.subscribe();
    let mut places = Places { service, peer, target, known: HashMap::new() };
    if places.target.is_some()
        && let Err(error) = places.find(None).await
    {
        tracing::debug!(peer = %peer.short(), %error, "no datagrams for a peer");
        return incoming.refuse(error.refusal());
    }
    let Ok(mut channel) = incoming.accept_datagrams() else { return };
    // If it is lost the first datagram says the same.
    let _ = channel.send(Message::Ready.encode());
    let (mut v4, mut v6) = (None, None);
    let (mut sender, mut reassembly) = (Sender::default(), Reassembly::new());
    let mut idle = Instant::now() + IDLE;
    loop {
        tokio::select! {
            message = channel.recv() => {
                let Ok(Some(message)) = message else { return };
                let Some(datagram) = Message::decode(message).ok().and_then(|message| reassembly.take(message)) else {
                    continue;
                };
                let Ok(address) = places.find(datagram.place.as_ref()).await else { continue };
                let socket = if address.is_ipv4() { &mut v4 } else { &mut v6 };
                send(socket, address, &datagram.data).await;
            }
            (data, from) = receive(v4.as_ref()) => places.bring(&channel, &mut sender, data, from),
            (data, from) = receive(v6.as_ref()) => places.bring(&channel, &mut sender, data, from),
            () = changes.changed() => {
                if !places.keep_allowed() {
                    return;
                }
                continue;
            }
            () = sleep_until(idle) => return,
        }
        idle = Instant::now() + IDLE;
    }
}

/// Sends from a socket that is opened with the first datagram.
async fn send(socket: &mut Option<UdpSocket>, to: SocketAddr, data: &[u8]) {
    if socket.is_none() {
        let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        *socket = sockets::datagrams(SocketAddr::new(any, 0)).ok();
    }
    if let Some(socket) = socket {
        // What cannot be sent is lost.
        let _ = socket.send_to(data, to).await;
    }
}

/// The next datagram of a socket that may not be there.
pub(crate) async fn receive(socket: Option<&UdpSocket>) -> (Bytes, SocketAddr) {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        if socket.readable().await.is_err() {
            return std::future::pending().await;
        }
        let received = with_buffer(SIZE, |buffer| -> io::Result<_> {
            let (size, from) = socket.try_recv_from(buffer)?;
            Ok((Bytes::copy_from_slice(buffer.get(..size).unwrap_or_default()), from))
        });
        match received {
            Ok((data, from)) if data.len() <= MAX_DATAGRAM => return (data, from),
            // Too long, nothing there after all, or what became of an earlier one.
            _ => {}
        }
    }
}

/// Where a tunnel sends to, each checked once.
struct Places {
    service: Arc<Service>,
    peer: Hashname,
    /// What a datagram without a place is for.
    target: Option<Target>,
    /// `None` is the tunnel's target.
    known: HashMap<Option<Target>, Place>,
}

struct Place {
    address: SocketAddr,
    used: Instant,
}

impl Places {
    /// The address to send to.
    async fn find(&mut self, place: Option<&Target>) -> Result<SocketAddr, SockError> {
        let key = place.cloned();
        if let Some(place) = self.known.get_mut(&key) {
            place.used = Instant::now();
            return Ok(place.address);
        }
        let target = place.or(self.target.as_ref()).ok_or(SockError::NotAllowed)?;
        let allowed = self.service.checker.check(self.peer, Action::Udp, target).await?;
        let address = *allowed.first().ok_or(SockError::NotAllowed)?;
        if self.known.len() >= MAX_PLACES {
            let oldest =
                self.known.iter().filter(|(key, _)| key.is_some()).min_by_key(|(_, place)| place.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.known.remove(&key);
            }
        }
        self.known.insert(key, Place { address, used: Instant::now() });
        Ok(address)
    }

    /// Forgets what is allowed no more; whether the tunnel is.
    fn keep_allowed(&mut self) -> bool {
        let Self { service, peer, target, known } = self;
        let known_before = known.contains_key(&None);
        known.retain(|place, Place { address, .. }| {
            let name = place.as_ref().or(target.as_ref()).and_then(name_of);
            service.checker.allows(*peer, Action::Udp, name, *address)
        });
        !known_before || known.contains_key(&None)
    }

    /// Brings an answer to the peer. Nobody else than those it has sent to gets through.
    fn bring(&self, channel: &Datagrams, sender: &mut Sender, data: Bytes, from: SocketAddr) {
        let is_target = self.known.get(&None).is_some_and(|place| place.address == from);
        let place = if is_target {
            None
        } else if self.known.values().any(|place| place.address == from) {
            Target::try_from(from).ok()
        } else {
            return;
        };
        let _ = sender.send(channel, Datagram { place, data });
    }
}

/// Listens for datagrams at an address if the peer may, and answers those who have sent some.
pub(crate) async fn udp_bind(service: Arc<Service>, incoming: Incoming, at: Target) {
    let peer = incoming.peer();
    let changes = service.changes.subscribe();
    let (socket, address) = match listen(&service, peer, &at).await {
        Ok(listening) => listening,
        Err(error) => {
            tracing::debug!(peer = %peer.short(), %at, %error, "no listener for a peer");
            return incoming.refuse(error.refusal());
        }
    };
    let mut leave = Leave::new(service, changes, (peer, Action::UdpBind), &at, address);
    let Ok(mut channel) = incoming.accept_datagrams() else { return };
    let _ = channel.send(Message::Ready.encode());
    let mut sources: HashMap<SocketAddr, Instant> = HashMap::new();
    let (mut sender, mut reassembly) = (Sender::default(), Reassembly::new());
    let mut probe = tokio::time::interval_at(Instant::now() + PROBE, PROBE);
    loop {
        tokio::select! {
            message = channel.recv() => {
                let Ok(Some(message)) = message else { return };
                let datagram = Message::decode(message).ok().and_then(|message| reassembly.take(message));
                let Some(Datagram { place: Some(place), data }) = datagram else { continue };
                if let Some(to) = place.address().filter(|to| sources.contains_key(to)) {
                    let _ = socket.send_to(&data, to).await;
                }
            }
            (data, from) = receive(Some(&socket)) => {
                if sources.len() >= MAX_PLACES
                    && !sources.contains_key(&from)
                    && let Some(oldest) = sources.iter().min_by_key(|(_, used)| **used).map(|(from, _)| *from)
                {
                    sources.remove(&oldest);
                }
                sources.insert(from, Instant::now());
                let place = Target::try_from(from).ok();
                let _ = sender.send(&channel, Datagram { place, data });
            }
            () = leave.withdrawn() => return,
            _ = probe.tick() => {
                let _ = channel.send(Message::Ready.encode());
            }
        }
    }
}

async fn listen(
    service: &Service,
    peer: Hashname,
    at: &Target,
) -> Result<(UdpSocket, SocketAddr), SockError> {
    let allowed = service.checker.check(peer, Action::UdpBind, at).await?;
    let address = allowed.first().ok_or(SockError::NotAllowed)?;
    let socket = sockets::datagrams(*address).map_err(|error| SockError::of_socket(&error))?;
    Ok((socket, *address))
}

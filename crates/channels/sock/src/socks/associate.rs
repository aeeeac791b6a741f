//! UDP ASSOCIATE: datagrams of one client, for as long as its connection is open.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::wire::{Reply, decode_datagram, encode_datagram, say};
use crate::failure::SockError;
use crate::request::Request;
use crate::route::Route;
use crate::serve::receive;
use crate::sockets;
use crate::targets::{Host, Name, Target};
use crate::tunnel::UdpTunnel;

/// Names that one client's datagrams may go to; those to others are lost. Addresses have one way for all.
const MAX_NAMES: usize = 64;

/// Datagrams on their way that nobody has come round to yet; more are lost.
const QUEUE: usize = 64;

/// A way, by the name that it was asked for with.
type Ways = HashMap<Option<Name>, mpsc::Sender<(Target, Bytes)>>;

/// Opens a socket for the client's datagrams beside its connection, tells it where, and carries them until the connection ends.
/// Only datagrams from the client's own address count, and after the first one only those from its port.
pub(super) async fn run(
    mut connection: TcpStream,
    mut client: SocketAddr,
    route: Arc<dyn Route>,
) -> io::Result<()> {
    let here = connection.local_addr()?;
    let socket = match sockets::datagrams(SocketAddr::new(here.ip(), 0)) {
        Ok(socket) => socket,
        Err(error) => {
            say(&mut connection, Reply::Failed, here).await?;
            return Err(error);
        }
    };
    say(&mut connection, Reply::Succeeded, socket.local_addr()?).await?;
    let mut ways = Ways::new();
    let mut tasks = JoinSet::new();
    let (answers, mut answered) = mpsc::channel::<(Target, Bytes)>(QUEUE);
    let mut rest = [0; 64];
    loop {
        tokio::select! {
            said = connection.read(&mut rest) => if said? == 0 { return Ok(()) },
            (data, from) = receive(Some(&socket)) => {
                if from.ip() != client.ip() || (client.port() != 0 && client.port() != from.port()) {
                    continue;
                }
                let Ok((target, data)) = decode_datagram(data) else { continue };
                client = from;
                while tasks.try_join_next().is_some() {}
                let name = match target.host() {
                    Host::Name(name) => Some(name.clone()),
                    _ => None,
                };
                if let Some(way) = ways.get(&name).filter(|way| !way.is_closed()) {
                    let _ = way.try_send((target, data));
                    continue;
                }
                ways.retain(|_, way| !way.is_closed());
                if ways.len() <= MAX_NAMES {
                    let (sender, queue) = mpsc::channel(QUEUE);
                    let first = target.clone();
                    let _ = sender.try_send((target, data));
                    ways.insert(name.clone(), sender);
                    tasks.spawn(carry(route.clone(), name, first, queue, answers.clone()));
                }
            }
            Some((from, data)) = answered.recv() => {
                // What cannot be sent is lost.
                let _ = socket.send_to(&encode_datagram(&from, &data), client).await;
            }
        }
    }
}

/// Datagrams to one name, or to all addresses. When it ends, the next datagram begins anew.
async fn carry(
    route: Arc<dyn Route>,
    name: Option<Name>,
    first: Target,
    queue: mpsc::Receiver<(Target, Bytes)>,
    answers: mpsc::Sender<(Target, Bytes)>,
) {
    if let Err(error) = exchange(&*route, name, &first, queue, answers).await {
        tracing::debug!(%first, %error, "datagrams of a SOCKS client have no way");
        route.failed(&first, &error);
    }
}

async fn exchange(
    route: &dyn Route,
    name: Option<Name>,
    first: &Target,
    mut queue: mpsc::Receiver<(Target, Bytes)>,
    answers: mpsc::Sender<(Target, Bytes)>,
) -> Result<(), SockError> {
    let way = route.route(first).await?;
    let mut tunnel = UdpTunnel::open(way.link, Request::Udp(None))?;
    loop {
        tokio::select! {
            next = queue.recv() => {
                let Some((target, data)) = next else { return Ok(()) };
                // A name may be spelt otherwise at the other end: `bob.mesh` here is `localhost` there.
                let host = if name.is_some() { way.target.host() } else { target.host() };
                let place = Target::new(host.clone(), target.port())?;
                tunnel.send(Some(&place), data);
            }
            answer = tunnel.recv() => {
                let Some(answer) = answer? else { return Ok(()) };
                let Some(place) = answer.place else { continue };
                // Who has sent to a name gets the answer from that name.
                let from = match &name {
                    Some(name) => Target::new(Host::Name(name.clone()), place.port())?,
                    None => place,
                };
                let _ = answers.try_send((from, answer.data));
            }
        }
    }
}

//! Connections and datagrams that come in at a peer go to a local target.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::datagram::Datagram;
use crate::failure::SockError;
use crate::open::{RemoteConnection, RemoteListener};
use crate::pump;
use crate::serve::{IDLE, receive};
use crate::service::MAX_TUNNELS;
use crate::sockets;
use crate::targets::Target;
use crate::tunnel::UdpTunnel;

/// Those who send at a time. What others send is lost until one has been quiet for some minutes.
const MAX_CLIENTS: usize = 256;

/// Datagrams on their way that nobody has come round to yet; more are lost.
const QUEUE: usize = 64;

/// Joins the connections that come in at a peer to a target on this side, until the peer listens no more. The target is
/// ours to choose, so nothing is checked; if it does not answer, the connection is reset.
///
/// # Errors
/// [`SockError`]: why it has ended.
pub async fn remote_tcp(mut listener: RemoteListener, target: Target) -> Result<(), SockError> {
    let room = Arc::new(Semaphore::new(MAX_TUNNELS));
    loop {
        let permit = room.clone().acquire_owned().await.ok();
        let connection = listener.accept().await?;
        let target = target.clone();
        tokio::spawn(async move {
            carry(connection, &target).await;
            drop(permit);
        });
    }
}

async fn carry(connection: RemoteConnection, target: &Target) {
    let host = target.host().to_string();
    match TcpStream::connect((host.as_str(), target.port())).await {
        Ok(socket) => {
            if let Ok(channel) = connection.accept() {
                pump::join(channel, socket).await;
            }
        }
        Err(error) => {
            tracing::debug!(%target, %error, "the target of a connection did not answer");
            connection.refuse(&SockError::of_socket(&error));
        }
    }
}

/// Sends the datagrams that come in at a peer to a target on this side, each sender's from a socket of its own, and its answers
/// back, until the peer listens no more.
///
/// # Errors
/// [`SockError`]: why it has ended.
pub async fn remote_udp(mut tunnel: UdpTunnel, target: SocketAddr) -> Result<(), SockError> {
    let mut clients: HashMap<Target, mpsc::Sender<Bytes>> = HashMap::new();
    let (answers, mut answered) = mpsc::channel::<Datagram>(QUEUE);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            datagram = tunnel.recv() => {
                let Some(datagram) = datagram? else { return Ok(()) };
                while tasks.try_join_next().is_some() {}
                let Some(place) = datagram.place else { continue };
                if let Some(client) = clients.get(&place).filter(|client| !client.is_closed()) {
                    let _ = client.try_send(datagram.data);
                    continue;
                }
                clients.retain(|_, client| !client.is_closed());
                if clients.len() < MAX_CLIENTS {
                    let (sender, queue) = mpsc::channel(QUEUE);
                    let _ = sender.try_send(datagram.data);
                    clients.insert(place.clone(), sender);
                    tasks.spawn(exchange(place, target, queue, answers.clone()));
                }
            }
            Some(answer) = answered.recv() => tunnel.send(answer.place.as_ref(), answer.data),
        }
    }
}

/// One who sends to the peer, until nothing comes or goes for some minutes.
async fn exchange(
    place: Target,
    target: SocketAddr,
    mut queue: mpsc::Receiver<Bytes>,
    answers: mpsc::Sender<Datagram>,
) {
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let Ok(socket) = sockets::datagrams(SocketAddr::new(any, 0)) else { return };
    let mut idle = Instant::now() + IDLE;
    loop {
        tokio::select! {
            data = queue.recv() => match data {
                Some(data) => drop(socket.send_to(&data, target).await),
                None => return,
            },
            (data, from) = receive(Some(&socket)) => if from == target {
                let _ = answers.try_send(Datagram { place: Some(place.clone()), data });
            },
            () = sleep_until(idle) => return,
        }
        idle = Instant::now() + IDLE;
    }
}

//! Datagrams to a local socket go over a link: a tunnel for each of those who send.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::failure::SockError;
use crate::request::Request;
use crate::route::Route;
use crate::serve::{IDLE, receive};
use crate::targets::Target;
use crate::tunnel::UdpTunnel;

/// Those who send at a time. What others send is lost until one has been quiet for some minutes.
const MAX_CLIENTS: usize = 1_024;

/// Datagrams that wait until a tunnel is there; more are lost.
const QUEUE: usize = 64;

/// Takes datagrams for as long as it is polled, and sends them to the target. Answers go back to whoever has sent. Dropping the
/// future ends the tunnels.
pub async fn udp(socket: UdpSocket, route: Arc<dyn Route>, target: Target) -> Infallible {
    let socket = Arc::new(socket);
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Bytes>> = HashMap::new();
    let mut tunnels = tokio::task::JoinSet::new();
    loop {
        let (data, from) = receive(Some(&socket)).await;
        while tunnels.try_join_next().is_some() {}
        if let Some(client) = clients.get(&from)
            && !client.is_closed()
        {
            let _ = client.try_send(data);
            continue;
        }
        clients.retain(|_, client| !client.is_closed());
        if clients.len() >= MAX_CLIENTS {
            continue;
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let _ = sender.try_send(data);
        clients.insert(from, sender);
        let (socket, route, target) = (socket.clone(), route.clone(), target.clone());
        tunnels.spawn(async move {
            if let Err(error) = carry(&socket, from, queue, &*route, &target).await {
                tracing::debug!(%from, %error, "a tunnel for datagrams has ended");
                route.failed(&target, &error);
            }
        });
    }
}

/// One who sends, until nothing comes or goes for some minutes.
async fn carry(
    socket: &UdpSocket,
    from: SocketAddr,
    mut queue: mpsc::Receiver<Bytes>,
    route: &dyn Route,
    target: &Target,
) -> Result<(), SockError> {
    let way = route.route(target).await?;
    let mut tunnel = UdpTunnel::open(way.link, Request::Udp(Some(way.target)))?;
    let mut idle = Instant::now() + IDLE;
    loop {
        tokio::select! {
            data = queue.recv() => match data {
                Some(data) => tunnel.send(None, data),
                None => return Ok(()),
            },
            answer = tunnel.recv() => match answer? {
                // What cannot be sent is lost.
                Some(answer) => drop(socket.send_to(&answer.data, from).await),
                None => return Ok(()),
            },
            () = sleep_until(idle) => return Ok(()),
        }
        idle = Instant::now() + IDLE;
    }
}

//! `bind`: listens for a peer, and opens a channel back to it for each connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Channel, Incoming, Open, Opener};
use telemesh_hashname::Hashname;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::SockError;
use crate::grant::Action;
use crate::leave::Leave;
use crate::pump;
use crate::request::Request;
use crate::service::{MAX_TUNNELS, Service};
use crate::sockets;
use crate::targets::Target;

/// Before listening goes on when the system has no descriptor left: others must be closed first.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens if the peer may, until the channel ends. Connections that were made by then go on. If the peer may no more, both end.
pub(crate) async fn bind(service: Arc<Service>, incoming: Incoming, at: Target, number: u64) {
    let peer = incoming.peer();
    let changes = service.changes.subscribe();
    let (listener, address) = match listen(&service, peer, &at).await {
        Ok(listening) => listening,
        Err(error) => {
            tracing::debug!(peer = %peer.short(), %at, %error, "no listener for a peer");
            return incoming.refuse(error.refusal());
        }
    };
    let Ok(mut channel) = incoming.accept() else { return };
    let room = Arc::new(Semaphore::new(MAX_TUNNELS));
    let leave = Leave::new(service.clone(), changes, (peer, Action::Bind), &at, address);
    let mut withdrawn = leave.clone();
    loop {
        tokio::select! {
            () = ended(&mut channel) => return,
            () = withdrawn.withdrawn() => return,
            (socket, from, permit) = next(&listener, &room) => {
                let link = service.network.upgrade().and_then(|network| network.link(&peer));
                let open = Request::Accept { number, from }.open();
                tokio::spawn(bring_back(link, open, socket, leave.clone(), permit));
            }
        }
    }
}

async fn listen(
    service: &Service,
    peer: Hashname,
    at: &Target,
) -> Result<(TcpListener, SocketAddr), SockError> {
    let allowed = service.checker.check(peer, Action::Bind, at).await?;
    // Of the two addresses of `localhost` it is the first.
    let address = allowed.first().ok_or(SockError::NotAllowed)?;
    let listener = sockets::listen(*address).map_err(|error| SockError::of_socket(&error))?;
    Ok((listener, *address))
}

/// Resolves when the peer wants no more connections, or is gone.
async fn ended(channel: &mut Channel) {
    // Nothing is said on it; what is, is dropped.
    while let Ok(Some(_)) = channel.read_chunk().await {}
}

/// The next connection, once there is room for one. Those beyond wait with the system.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let permit = room.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, from)) => return (socket, from, permit),
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Gives a connection to the peer. If that does not take it, it is reset.
async fn bring_back(
    link: Option<Arc<dyn Opener>>,
    open: Open,
    socket: TcpStream,
    mut leave: Leave,
    permit: Option<OwnedSemaphorePermit>,
) {
    let channel = match link {
        Some(link) => link.open(open).await.ok(),
        None => None,
    };
    match channel {
        // What its client says goes out in the same packet as the open message.
        Some(channel) => tokio::select! {
            _ = pump::join(channel, socket) => {}
            () = leave.withdrawn() => {}
        },
        None => sockets::abort(&socket),
    }
    drop(permit);
}

//! `connect`: a connection to somewhere for a peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::Incoming;
use telemesh_hashname::Hashname;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::SockError;
use crate::grant::Action;
use crate::leave::Leave;
use crate::pump;
use crate::service::Service;
use crate::targets::Target;

/// How long one address may take to answer. The system itself would wait two minutes.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Connects if the peer may, and copies until both sides have ended, or the peer may no more: then both are reset. The peer hears of success and failure alike only after the
/// target has answered.
pub(crate) async fn connect(service: Arc<Service>, incoming: Incoming, target: Target) {
    let (peer, changes) = (incoming.peer(), service.changes.subscribe());
    match reach(&service, peer, &target).await {
        Ok((socket, address)) => {
            let mut leave = Leave::new(service, changes, (peer, Action::Connect), &target, address);
            drop(target);
            if let Ok(channel) = incoming.accept() {
                tokio::select! {
                    _ = pump::join(channel, socket) => {}
                    () = leave.withdrawn() => {}
                }
            }
        }
        Err(error) => {
            tracing::debug!(peer = %incoming.peer().short(), %target, %error, "no connection for a peer");
            incoming.refuse(error.refusal());
        }
    }
}

async fn reach(
    service: &Service,
    peer: Hashname,
    target: &Target,
) -> Result<(TcpStream, SocketAddr), SockError> {
    let mut last = SockError::NoAddress;
    for address in service.checker.check(peer, Action::Connect, target).await? {
        match to(address).await {
            Ok(socket) => return Ok((socket, address)),
            Err(error) => last = SockError::of_socket(&error),
        }
    }
    Err(last)
}

async fn to(address: SocketAddr) -> io::Result<TcpStream> {
    match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

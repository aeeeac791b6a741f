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
use crate::pump;
use crate::service::Service;
use crate::targets::Target;

/// How long one address may take to answer. The system itself would wait two minutes.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Connects if the peer may, and copies until both sides have ended. The peer hears of success and failure alike only after the
/// target has answered.
pub(crate) async fn connect(service: Arc<Service>, incoming: Incoming, target: Target) {
    match reach(&service, incoming.peer(), &target).await {
        Ok(socket) => {
            drop(service);
            if let Ok(channel) = incoming.accept() {
                pump::join(channel, socket).await;
            }
        }
        Err(error) => {
            tracing::debug!(peer = %incoming.peer().short(), %target, %error, "no connection for a peer");
            incoming.refuse(error.refusal());
        }
    }
}

async fn reach(service: &Service, peer: Hashname, target: &Target) -> Result<TcpStream, SockError> {
    let mut last = SockError::NoAddress;
    for address in service.checker.check(peer, Action::Connect, target).await? {
        match to(address).await {
            Ok(socket) => return Ok(socket),
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

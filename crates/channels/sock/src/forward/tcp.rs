//! Connections to a local listener go over a link.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::ChannelError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::failure::SockError;
use crate::open::open_connection;
use crate::pump;
use crate::route::Route;
use crate::service::MAX_TUNNELS;
use crate::sockets;
use crate::targets::Target;

/// Before listening goes on when the system has no descriptor left: others must be closed first.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for as long as it is polled, and joins each to the target in a task of its own, which goes on after that.
/// A connection that does not come about is reset: nothing else can be said on it.
pub async fn tcp(listener: TcpListener, route: Arc<dyn Route>, target: Target) -> Infallible {
    let room = Arc::new(Semaphore::new(MAX_TUNNELS));
    loop {
        let permit = room.clone().acquire_owned().await.ok();
        match listener.accept().await {
            Ok((socket, from)) => {
                let (route, target) = (route.clone(), target.clone());
                tokio::spawn(async move {
                    if let Err(error) = carry(socket, &*route, &target).await {
                        tracing::debug!(%from, %error, "a connection has not come about");
                        route.failed(&target, &error);
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn carry(socket: TcpStream, route: &dyn Route, target: &Target) -> Result<(), SockError> {
    let opened = async {
        let way = route.route(target).await?;
        open_connection(&*way.link, way.target).await
    };
    let channel = match opened.await {
        Ok(channel) => channel,
        Err(error) => {
            sockets::abort(&socket);
            return Err(error);
        }
    };
    match pump::join(channel, socket).await.failed {
        Some(error @ ChannelError::Refused(_)) => Err(error.into()),
        _ => Ok(()),
    }
}

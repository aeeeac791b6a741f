//! A SOCKS5 server (RFC 1928) whose connections go over links: CONNECT and UDP ASSOCIATE, without authentication, since it
//! listens where only this machine's own programs are.
//!
//! Which link a host means is for a [`Route`] to say. Every host
//! that is written as an address goes the same way.

mod associate;
mod wire;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use wire::{Malformed, decode_datagram, encode_datagram};

use crate::failure::SockError;
use crate::open::open_connection;
use crate::pump;
use crate::route::Route;
use crate::service::MAX_TUNNELS;
use wire::{Command, Reply, negotiate, say};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Before listening goes on when the system has no descriptor left: others must be closed first.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves clients for as long as it is polled, each in a task of its own, which goes on after that.
pub async fn serve(listener: TcpListener, route: Arc<dyn Route>) -> Infallible {
    let room = Arc::new(Semaphore::new(MAX_TUNNELS));
    loop {
        let permit = room.clone().acquire_owned().await.ok();
        match listener.accept().await {
            Ok((socket, from)) => {
                let route = route.clone();
                tokio::spawn(async move {
                    if let Err(error) = client(socket, from, route).await {
                        tracing::debug!(%from, %error, "a client of the SOCKS server has failed");
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

async fn client(mut socket: TcpStream, from: SocketAddr, route: Arc<dyn Route>) -> std::io::Result<()> {
    let asked = match timeout(PATIENCE, negotiate(&mut socket)).await {
        Ok(asked) => asked?,
        Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
    };
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    match asked {
        Ok(Command::Connect(target)) => {
            let opened = async {
                let way = route.route(&target).await?;
                let mut channel = open_connection(&*way.link, way.target).await?;
                channel.accepted().await?;
                Ok(channel)
            };
            match opened.await {
                Ok(channel) => {
                    say(&mut socket, Reply::Succeeded, any).await?;
                    drop((route, target));
                    pump::join(channel, socket).await;
                    Ok(())
                }
                Err(error) => {
                    let error: SockError = error;
                    route.failed(&target, &error);
                    say(&mut socket, Reply::of(&error), any).await?;
                    Err(error.into())
                }
            }
        }
        Ok(Command::Associate { port }) => {
            associate::run(socket, SocketAddr::new(from.ip(), port), route).await
        }
        Err(reply) => say(&mut socket, reply, any).await,
    }
}

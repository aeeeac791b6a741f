//! A tunnel as one writes it with iroh: a stream of one connection for each TCP connection, and tokio's copy loop at both ends.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use iroh::endpoint::Connection;
use tokio::{
    io::{copy_bidirectional_with_sizes, join},
    net::{TcpListener, TcpStream},
};

use crate::{
    options::TunnelWay,
    peer::Peer as _,
    peers::{
        LOOPBACK,
        iroh::{Dialer, Iroh, address, bind},
    },
    sample::Settings,
};

/// The near end, which ends when this is dropped.
pub(super) struct Near {
    _dialer: Dialer,
    connection: Connection,
}

impl Near {
    /// What is read back from the connection.
    pub(super) fn settings(&self) -> Settings {
        Iroh::settings(&self.connection)
    }
}

/// Bytes that the copy loop has for each direction: tokio's own choice, or so many that they do not count.
pub(super) fn buffer(way: TunnelWay) -> usize {
    match way {
        TunnelWay::IrohWide => 64 << 10,
        _ => 8 << 10,
    }
}

/// Leads every stream of every connection to `target`. Gives the place to dial.
pub(super) async fn far(target: SocketAddr, buffer: usize) -> Result<String> {
    let endpoint = bind().await?;
    let place = address(&endpoint)?;
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((send, receive)) = connection.accept_bi().await {
                    tokio::spawn(async move {
                        let mut stream = join(receive, send);
                        // What fails shows at the client, which reports it.
                        let Ok(mut socket) = TcpStream::connect(target).await else { return };
                        let _ = socket.set_nodelay(true);
                        let _ = copy_bidirectional_with_sizes(&mut stream, &mut socket, buffer, buffer).await;
                    });
                }
            });
        }
    });
    Ok(place)
}

/// Listens, and leads every TCP connection to the far end. Gives the place where it listens.
pub(super) async fn near(place: &str, buffer: usize) -> Result<(Near, SocketAddr)> {
    let mut dialer = Iroh::dialer(place).await?;
    let connection = Iroh::connect(&mut dialer).await.context("the far end is not reached")?;
    let listener = TcpListener::bind(LOOPBACK).await?;
    let entrance = listener.local_addr()?;
    let carrier = connection.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let carrier = carrier.clone();
            tokio::spawn(async move {
                let Ok((send, receive)) = carrier.open_bi().await else { return };
                let mut stream = join(receive, send);
                let _ = socket.set_nodelay(true);
                // What fails shows at the client, which reports it.
                let _ = copy_bidirectional_with_sizes(&mut socket, &mut stream, buffer, buffer).await;
            });
        }
    });
    Ok((Near { _dialer: dialer, connection }, entrance))
}

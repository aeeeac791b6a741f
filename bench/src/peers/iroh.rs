//! iroh without relays, address lookup and port mapping: the client is given the server's key and loopback address.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use iroh::{
    Endpoint, EndpointAddr, EndpointId,
    endpoint::{
        Connection, ConnectionError, MtuDiscoveryConfig, PathId, QuicTransportConfig, RecvStream, SendStream,
        presets,
    },
};
use serde::{Deserialize, Serialize};
use tokio::io::{Join, join};

use crate::{
    peer::{Host, Peer},
    peers::{LOOPBACK, UDP_PAYLOAD},
    sample::Settings,
    service,
};

const PROTOCOL: &[u8] = b"telemesh-bench/1";

/// See the module.
pub(crate) struct Iroh;

/// A client endpoint with an identity of its own.
pub(crate) struct Dialer {
    endpoint: Endpoint,
    server: EndpointAddr,
}

/// Who the server is, and where it listens.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    id: EndpointId,
    socket: SocketAddr,
}

impl Peer for Iroh {
    type Dialer = Dialer;
    type Connection = Connection;
    type Stream = Join<RecvStream, SendStream>;

    async fn serve(host: Host) -> Result<()> {
        let endpoint = bind().await?;
        host.listening(address(&endpoint)?)?;
        while let Some(incoming) = endpoint.accept().await {
            let host = host.clone();
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                let _connected = host.connected();
                while let Ok((send, receive)) = connection.accept_bi().await {
                    // A stream that fails shows at the client, which reports it.
                    tokio::spawn(async move { service::serve(&mut join(receive, send)).await });
                }
            });
        }
        Ok(())
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        let Address { id, socket } = serde_json::from_str(address)?;
        Ok(Dialer { endpoint: bind().await?, server: EndpointAddr::new(id).with_ip_addr(socket) })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Connection> {
        Ok(dialer.endpoint.connect(dialer.server.clone(), PROTOCOL).await?)
    }

    async fn open(connection: &mut Connection) -> Result<Self::Stream> {
        let (send, receive) = connection.open_bi().await?;
        Ok(join(receive, send))
    }

    fn settings(connection: &Connection) -> Settings {
        let paths = connection.paths();
        let payload = paths
            .get(PathId::ZERO)
            .map_or_else(|| "?".to_owned(), |path| path.stats().current_mtu.to_string());
        Settings::from([("udp_payload".to_owned(), payload), ("paths".to_owned(), paths.len().to_string())])
    }

    async fn close(_: &mut Dialer, connection: Connection) -> Result<()> {
        connection.close(0_u32.into(), b"");
        let reason = connection.closed().await;
        ensure!(reason == ConnectionError::LocallyClosed, "the connection ended before: {reason}");
        Ok(())
    }
}

/// What [`Peer::dialer`] takes.
pub(crate) fn address(endpoint: &Endpoint) -> Result<String> {
    let socket = endpoint.bound_sockets().into_iter().next().context("iroh bound no socket")?;
    Ok(serde_json::to_string(&Address { id: endpoint.id(), socket })?)
}

/// iroh's defaults, except for packets of the size that is compared, and that it stays on loopback.
pub(crate) async fn bind() -> Result<Endpoint> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(UDP_PAYLOAD);
    let transport =
        QuicTransportConfig::builder().initial_mtu(UDP_PAYLOAD).mtu_discovery_config(Some(mtu)).build();
    let endpoint = Endpoint::builder(presets::Minimal)
        .clear_ip_transports()
        .bind_addr(LOOPBACK)?
        .alpns(vec![PROTOCOL.to_vec()])
        .transport_config(transport)
        .bind()
        .await?;
    Ok(endpoint)
}

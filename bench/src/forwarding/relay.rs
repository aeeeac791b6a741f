//! iroh's relay server, and two iroh endpoints that have no other way than it.
//!
//! The relay speaks plain HTTP, so without TLS: its figures are those of forwarding alone, which is less than it does in the
//! world.

use std::sync::{Arc, mpsc};

use anyhow::{Context as _, Result, ensure};
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayConfig, RelayMap, RelayMode, RelayUrl,
    endpoint::{
        Connection, ConnectionError, MtuDiscoveryConfig, QuicTransportConfig, RecvStream, SendStream, presets,
    },
};
use iroh_relay::server::{self, Server, ServerConfig};
use serde::{Deserialize, Serialize};
use tokio::io::{Join, join};

use super::{THROUGH, WAY, middle};
use crate::{
    peer::{Host, Peer},
    peers::{LOOPBACK, UDP_PAYLOAD},
    sample::Settings,
    service,
};

const PROTOCOL: &[u8] = b"telemesh-bench/1";

/// Packets that a relay has forwarded so far, or batches of them.
pub(super) type Forwarded = Box<dyn Fn() -> u64 + Send>;

/// Runs the relay, and says where it is.
pub(super) async fn relay(told: mpsc::Sender<(String, Forwarded)>) -> Result<()> {
    let mut config = ServerConfig::default();
    config.relay = Some(server::RelayConfig::new(LOOPBACK));
    let relay = Server::spawn(config).await?;
    let url = format!("http://{}", relay.http_addr().context("the relay has no address")?);
    let metrics = Arc::clone(&relay.metrics().server);
    let forwarded: Forwarded = Box::new(move || metrics.send_packets_sent.get());
    if told.send((url, forwarded)).is_ok() {
        std::future::pending::<()>().await;
    }
    drop(relay);
    Ok(())
}

/// See the module.
pub(super) struct ThroughRelay;

/// An endpoint and whom it dials.
pub(super) struct Dialer {
    endpoint: Endpoint,
    server: EndpointAddr,
}

/// Who the server is.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    id: EndpointId,
}

impl Peer for ThroughRelay {
    type Dialer = Dialer;
    type Connection = Connection;
    type Stream = Join<RecvStream, SendStream>;

    async fn serve(host: Host) -> Result<()> {
        let endpoint = bind().await?;
        endpoint.online().await;
        host.listening(serde_json::to_string(&Address { id: endpoint.id() })?)?;
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((send, receive)) = connection.accept_bi().await {
                    // A stream that fails shows at the client, which reports it.
                    tokio::spawn(async move { service::serve(&mut join(receive, send)).await });
                }
            });
        }
        Ok(())
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        let Address { id } = serde_json::from_str(address)?;
        let endpoint = bind().await?;
        endpoint.online().await;
        Ok(Dialer { endpoint, server: EndpointAddr::new(id).with_relay_url(url()?) })
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
        let relayed = !paths.is_empty() && paths.iter().all(|path| path.is_relay());
        let way = if relayed { THROUGH } else { "an address" };
        Settings::from([(WAY.to_owned(), way.to_owned())])
    }

    async fn close(_: &mut Dialer, connection: Connection) -> Result<()> {
        connection.close(0_u32.into(), b"");
        let reason = connection.closed().await;
        ensure!(reason == ConnectionError::LocallyClosed, "the connection ended before: {reason}");
        Ok(())
    }
}

fn url() -> Result<RelayUrl> {
    Ok(middle::place()?.parse()?)
}

/// iroh's defaults, except for packets of the size that is compared, and that there is no way but the relay.
async fn bind() -> Result<Endpoint> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(UDP_PAYLOAD);
    let transport =
        QuicTransportConfig::builder().initial_mtu(UDP_PAYLOAD).mtu_discovery_config(Some(mtu)).build();
    let relays = RelayMap::empty();
    relays.insert(url()?, Arc::new(RelayConfig::new(url()?, None)));
    let endpoint = Endpoint::builder(presets::Minimal)
        .clear_ip_transports()
        .relay_mode(RelayMode::Custom(relays))
        .alpns(vec![PROTOCOL.to_vec()])
        .transport_config(transport)
        .bind()
        .await?;
    Ok(endpoint)
}

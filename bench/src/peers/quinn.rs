//! quinn: QUIC with a self-signed certificate that the client knows. Only the server proves who it is, so quinn does a
//! little less than the peers here that authenticate both ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use quinn::{
    ClientConfig, Connection, Endpoint, MtuDiscoveryConfig, RecvStream, SendStream, ServerConfig,
    TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    version::TLS13,
};
use serde::{Deserialize, Serialize};
use tokio::io::{Join, join};

use crate::{
    peer::{Host, Peer},
    peers::{LOOPBACK, UDP_PAYLOAD},
    sample::Settings,
    service,
};

/// See the module.
pub(crate) struct Quinn;

/// A client endpoint that trusts the server's certificate.
pub(crate) struct Dialer {
    endpoint: Endpoint,
    server: SocketAddr,
}

/// Where a server listens, and its certificate.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    socket: SocketAddr,
    certificate: Vec<u8>,
}

impl Peer for Quinn {
    type Dialer = Dialer;
    type Connection = Connection;
    type Stream = Join<RecvStream, SendStream>;

    async fn serve(host: Host) -> Result<()> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let certificate = certified.cert.der().clone();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config.transport_config(transport());
        let endpoint = Endpoint::server(config, LOOPBACK)?;
        let address = Address { socket: endpoint.local_addr()?, certificate: certificate.to_vec() };
        host.listening(serde_json::to_string(&address)?)?;
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
        let address: Address = serde_json::from_str(address)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(address.certificate))?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(transport());
        let mut endpoint = Endpoint::client(LOOPBACK)?;
        endpoint.set_default_client_config(config);
        Ok(Dialer { endpoint, server: address.socket })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Connection> {
        Ok(dialer.endpoint.connect(dialer.server, "localhost")?.await?)
    }

    async fn open(connection: &mut Connection) -> Result<Self::Stream> {
        let (send, receive) = connection.open_bi().await?;
        Ok(join(receive, send))
    }

    fn settings(connection: &Connection) -> Settings {
        let path = connection.stats().path;
        Settings::from([("udp_payload".to_owned(), path.current_mtu.to_string())])
    }

    async fn close(_: &mut Dialer, connection: Connection) -> Result<()> {
        connection.close(0_u32.into(), b"");
        let reason = connection.closed().await;
        ensure!(reason == quinn::ConnectionError::LocallyClosed, "the connection ended before: {reason}");
        Ok(())
    }
}

/// quinn's defaults, except for packets of the size that is compared, and that idle connections stay open.
fn transport() -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(UDP_PAYLOAD);
    let mut transport = TransportConfig::default();
    transport.initial_mtu(UDP_PAYLOAD).mtu_discovery_config(Some(mtu));
    transport.keep_alive_interval(Some(Duration::from_secs(10)));
    Arc::new(transport)
}

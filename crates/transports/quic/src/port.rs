//! One UDP socket with its filter and quinn on top: a port that only dials, or one that only listens.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::{
    ClientConfig, Connecting, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};

use crate::{
    filter::{Filter, Peers},
    ids::{DialKey, Generator, LocalIds},
    limits::{IDLE_LIMIT, MAX_WAITING_DIALS, RECEIVE_BUFFER, SEND_BUFFER, WAITING_DIAL_BYTES},
    outside::VERSION,
    socket::FilteredSocket,
    tls,
};

/// See the module's page.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) endpoint: Endpoint,
    pub(crate) filter: Arc<Filter>,
    pub(crate) peers: Arc<Peers>,
    /// How to dial; not for listeners.
    client: Option<ClientConfig>,
}

impl Port {
    /// Opens a socket for dialling, for IPv4 and IPv6 where there is such a thing.
    pub(crate) fn dialler() -> io::Result<Self> {
        let mut client = ClientConfig::new(Arc::new(tls::client()?));
        client.transport_config(Arc::new(transport_config())).version(VERSION);
        Self::open(wildcard_socket, Vec::new(), None, Some(client))
    }

    /// Listens on `address` for those who know one of these keys.
    pub(crate) fn listener(address: SocketAddr, keys: Vec<DialKey>) -> io::Result<Self> {
        let mut server = ServerConfig::with_crypto(Arc::new(tls::server()?));
        server
            .transport_config(Arc::new(transport_config()))
            .max_incoming(MAX_WAITING_DIALS)
            .incoming_buffer_size(WAITING_DIAL_BYTES)
            .incoming_buffer_size_total(WAITING_DIAL_BYTES * MAX_WAITING_DIALS as u64);
        server.validation_token.sent(0);
        Self::open(|filter| FilteredSocket::bind(address, filter), keys, Some(server), None)
    }

    fn open(
        bind: impl FnOnce(Arc<Filter>) -> io::Result<Arc<FilteredSocket>>,
        keys: Vec<DialKey>,
        server: Option<ServerConfig>,
        client: Option<ClientConfig>,
    ) -> io::Result<Self> {
        let local = LocalIds::new().map_err(|_| no_randomness())?;
        let peers = Arc::<Peers>::default();
        let filter = Arc::new(Filter::new(local.clone(), keys, peers.clone()));
        let mut config = EndpointConfig::default();
        config
            .cid_generator(move || Box::new(Generator(local.clone())))
            .supported_versions(vec![VERSION])
            // The filter drops packets without the fixed bit.
            .grease_quic_bit(false);
        let socket = bind(filter.clone())?;
        let endpoint = Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))?;
        Ok(Self { endpoint, filter, peers, client })
    }

    /// Starts a connection with whoever has this key.
    pub(crate) fn dial(&self, to: SocketAddr, key: &DialKey) -> io::Result<Connecting> {
        let id = key.draw().map_err(|_| no_randomness())?;
        let mut client = self.client.clone().ok_or(io::ErrorKind::Unsupported)?;
        client.initial_dst_cid_provider(Arc::new(move || id));
        self.endpoint.connect_with(client, to, tls::SERVER_NAME).map_err(io::Error::other)
    }

    /// Ends all connections, and the socket when they have ended.
    pub(crate) fn close(&self) {
        self.endpoint.close(VarInt::from_u32(0), b"");
    }

    /// Moves a dialling port to a new socket. Its connections go on there.
    pub(crate) fn rebind(&self) -> io::Result<()> {
        self.endpoint.rebind_abstract(wildcard_socket(self.filter.clone())?)
    }
}

fn wildcard_socket(filter: Arc<Filter>) -> io::Result<Arc<FilteredSocket>> {
    FilteredSocket::bind((Ipv6Addr::UNSPECIFIED, 0).into(), filter.clone())
        .or_else(|_| FilteredSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), filter))
}

/// No streams, datagrams only, and nothing that is sent without need.
fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE_LIMIT).ok())
        .keep_alive_interval(None)
        .datagram_send_buffer_size(SEND_BUFFER)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER))
        .allow_spin(false);
    config
}

fn no_randomness() -> io::Error {
    io::Error::other("the operating system gives no randomness")
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use quinn::ConnectionIdGenerator as _;
    use telemesh_hashname::{CipherSetId, PublicKeys};

    use super::*;

    /// Quinn answers packets of connections that it does not know any more with stateless resets. The filter lets them
    /// through, since it keeps nothing and their ids are ours.
    #[tokio::test]
    async fn packets_of_a_lost_connection_are_not_answered() {
        let mut keys = PublicKeys::new();
        keys.insert_key(CipherSetId::CS21, &[7; 32]).unwrap();
        let keys = DialKey::all(&keys);
        let listener = Port::listener("127.0.0.1:0".parse().unwrap(), keys.clone()).unwrap();
        let at = listener.endpoint.local_addr().unwrap();
        let lost = UdpSocket::bind("127.0.0.1:0").unwrap();
        lost.set_nonblocking(true).unwrap();
        for length in [40, 100, 1_200] {
            let mut packet = vec![0x40];
            packet.extend_from_slice(&Generator(listener.filter.local().clone()).generate_cid());
            packet.resize(length, 0x5a);
            assert!(listener.filter.passes(lost.local_addr().unwrap(), &packet));
            lost.send_to(&packet, at).unwrap();
        }
        // Datagrams are handled in their order, so by now it would have been answered.
        let dialler = Port::dialler().unwrap();
        let _connecting = dialler.dial(at, &keys[0]).unwrap();
        let incoming = listener.endpoint.accept().await.unwrap();
        assert!(listener.filter.is_dial(&incoming.orig_dst_cid()));
        incoming.ignore();
        let error = lost.recv(&mut [0; 100]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

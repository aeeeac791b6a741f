//! Building an endpoint with everything plugged in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{HandleError, Handler};
use telemesh_keys::KeySet;
use telemesh_mesh::{Mesh, MeshBuilder, PeerStore, Policy};
use telemesh_transport::{Discovery, PathAddress, Transport};

/// Why an endpoint could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A socket could not be opened at this address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: PathAddress,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// No socket could be opened at all.
    #[error("cannot open a udp socket")]
    Socket(#[source] io::Error),
    /// Something else.
    #[error(transparent)]
    Mesh(#[from] telemesh_mesh::CreateError),
}

/// Collects what an endpoint needs beyond its keys. See [`builder`](crate::builder).
#[derive(Debug)]
pub struct Builder {
    mesh: MeshBuilder,
    listen: Vec<SocketAddr>,
    #[cfg(feature = "quic")]
    quic: crate::quic_plan::QuicPlan,
    /// The port on all interfaces; 0 for any.
    port: u16,
    /// Whether a transport was given, so that none is added.
    transports: bool,
    /// Whether to hear who is on the local network; `None` for what goes with the transports.
    mdns: Option<bool>,
    /// Whether to follow changes of the machine's network; `None` as for `mdns`.
    #[cfg(feature = "watch")]
    watch: Option<bool>,
    /// Whether to ask the gateway for a way in.
    #[cfg(feature = "portmap")]
    map_port: bool,
}

impl Builder {
    pub(crate) fn new(keys: KeySet) -> Self {
        #[cfg(feature = "quic")]
        let quic = crate::quic_plan::QuicPlan::new(keys.public().clone());
        // So that endpoints find each other through routers, and better paths than those.
        let mesh = Mesh::builder(keys)
            .service(telemesh_path::PathService::new())
            .service(telemesh_peer::PeerService::new())
            .service(telemesh_connect::ConnectService::new());
        Self {
            mesh,
            listen: Vec::new(),
            #[cfg(feature = "quic")]
            quic,
            port: 0,
            transports: false,
            mdns: None,
            #[cfg(feature = "watch")]
            watch: None,
            #[cfg(feature = "portmap")]
            map_port: false,
        }
    }

    /// Listens for UDP on this address. May be given more than once; without it, on a port that the system chooses, on
    /// all interfaces, over IPv4 and IPv6.
    #[cfg(feature = "udp")]
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Takes this port on all interfaces if nobody else has it, and any other if not; for an endpoint that wants to be found
    /// where it was before. Has no effect together with [`listen`](Self::listen) or a transport.
    #[cfg(feature = "udp")]
    #[must_use]
    pub fn prefer_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens for QUIC on this address too, for peers whose networks let nothing else pass. May be given more than once.
    ///
    /// **An endpoint that does so is public by choice**: who knows its public key, or has seen somebody dial it, is answered
    /// and learns that there is an endpoint. Dialling others through QUIC needs nothing, and opens no socket before it happens.
    #[cfg(feature = "quic")]
    #[must_use]
    pub fn listen_quic(mut self, address: SocketAddr) -> Self {
        self.quic.listen(address);
        self
    }

    /// Uses this transport; the default ones are then not added.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.mesh = self.mesh.transport(transport);
        self.transports = true;
        self
    }

    /// Whether to hear who announces themselves on the local network, and to be announced there in discover mode
    /// ([`Mesh::discover`]). Default: yes, if it listens for UDP at other addresses than loopback. Hearing sends nothing, and where
    /// it is not possible the endpoint does without, and says so to `tracing`.
    #[cfg(feature = "mdns")]
    #[must_use]
    pub fn mdns(mut self, mdns: bool) -> Self {
        self.mdns = Some(mdns);
        self
    }

    /// Whether to notice by itself when this machine has other addresses or sends by another way: peers are told where it is, and
    /// links prove their paths at once, once a second at most. Default: yes, if it listens for UDP at other addresses than
    /// loopback. It sends nothing to find out.
    #[cfg(feature = "watch")]
    #[must_use]
    pub fn watch_network(mut self, watch: bool) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Whether to ask this network's gateway, by PCP, NAT-PMP or UPnP, to lead packets for one of its ports to the endpoint. Peers are
    /// told that address like any other, [`Mesh::mapped_address`] says whether there is one, and it is given back at the end.
    /// Default: no, and then the gateway is sent nothing.
    #[cfg(feature = "portmap")]
    #[must_use]
    pub fn map_port(mut self, map: bool) -> Self {
        self.map_port = map;
        self
    }

    /// Uses this way to find endpoints nearby, besides [`mdns`](Self::mdns).
    #[must_use]
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.mesh = self.mesh.discovery(discovery);
        self
    }

    /// Registers the one handler of a channel type.
    ///
    /// # Errors
    /// [`HandleError`]: the name breaks the rules, or the type has a handler already.
    pub fn handle(mut self, channel_type: &str, handler: impl Handler) -> Result<Self, HandleError> {
        self.mesh = self.mesh.handle(channel_type, handler)?;
        Ok(self)
    }

    /// Where to keep what must survive a restart. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn PeerStore>) -> Self {
        self.mesh = self.mesh.store(store);
        self
    }

    /// Decides who gets in. Default: contacts and bearers of invites.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.mesh = self.mesh.policy(policy);
        self
    }

    /// Whether anybody may learn that there is an endpoint: while strangers overload it, those who know its public key are
    /// then asked to prove their address before it works for them. Default: no, and then no stranger ever gets a byte.
    #[must_use]
    pub fn public(mut self, public: bool) -> Self {
        self.mesh = self.mesh.public(public);
        self
    }

    /// Makes the endpoint a router, see [`MeshBuilder::router`](telemesh_mesh::MeshBuilder::router).
    #[must_use]
    pub fn router(mut self, config: telemesh_mesh::BridgeConfig) -> Self {
        self.mesh = self.mesh.router(config);
        self
    }

    /// The most links. Default 65,536, and never more than 1,048,576.
    #[must_use]
    pub fn max_links(mut self, links: usize) -> Self {
        self.mesh = self.mesh.max_links(links);
        self
    }

    /// How long channels wait for a link that went down. Default one minute.
    #[must_use]
    pub fn survive_down(mut self, time: Duration) -> Self {
        self.mesh = self.mesh.survive_down(time);
        self
    }

    /// Windows and packet sizes of reliable channels.
    #[must_use]
    pub fn engine(mut self, config: crate::EngineConfig) -> Self {
        self.mesh = self.mesh.engine(config);
        self
    }

    /// Traces the reliable channels of links in qlog's format, see
    /// [`MeshBuilder::qlog`](telemesh_mesh::MeshBuilder::qlog).
    #[cfg(feature = "qlog")]
    #[must_use]
    pub fn qlog(
        mut self,
        open: impl Fn(&telemesh_hashname::Hashname) -> Option<Box<dyn io::Write + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.mesh = self.mesh.qlog(open);
        self
    }

    /// Starts the endpoint, in the tokio runtime that this is called in.
    ///
    /// # Errors
    /// [`CreateError`].
    #[allow(clippy::unused_async, reason = "transports that take time to come up will be awaited here")]
    pub async fn create(self) -> Result<Mesh, CreateError> {
        #[cfg_attr(
            not(any(
                feature = "udp",
                feature = "quic",
                feature = "mdns",
                feature = "portmap",
                feature = "watch"
            )),
            allow(unused_mut, reason = "what the features bring is added to it")
        )]
        let mut mesh = self.mesh;
        let (listen, port, transports, mdns) = (self.listen, self.port, self.transports, self.mdns);
        #[cfg(feature = "quic")]
        if let Some(quic) = self.quic.open(!transports)? {
            mesh = mesh.transport(quic);
        }
        #[cfg(feature = "udp")]
        {
            for address in &listen {
                let udp = telemesh_udp::UdpTransport::bind(*address)
                    .map_err(|error| CreateError::Listen { address: PathAddress::Udp(*address), error })?;
                mesh = mesh.transport(udp);
            }
            if listen.is_empty() && !transports {
                let udp = telemesh_udp::UdpTransport::bind_wildcard(port)
                    .or_else(|_| telemesh_udp::UdpTransport::bind_default());
                mesh = mesh.transport(udp.map_err(CreateError::Socket)?);
            }
        }
        // Without a transport of ours nothing is added, and the mesh says so if none was given.
        #[cfg(not(feature = "udp"))]
        let _ = port;
        let udp = cfg!(feature = "udp") && (!listen.is_empty() || !transports);
        let is_loopback = !listen.is_empty() && listen.iter().all(|address| address.ip().is_loopback());
        let on_a_network = udp && !is_loopback;
        #[cfg(feature = "mdns")]
        if mdns.unwrap_or(on_a_network) {
            mesh = match telemesh_mdns::Mdns::open() {
                Ok(mdns) => mesh.discovery(mdns),
                Err(error) => {
                    tracing::warn!(%error, "nobody is heard on the local network");
                    mesh
                }
            };
        }
        #[cfg(not(feature = "mdns"))]
        let _ = mdns;
        #[cfg(feature = "watch")]
        if self.watch.unwrap_or(on_a_network) {
            mesh = match telemesh_watch::SystemWatch::open() {
                Ok(watch) => mesh.network_watch(watch),
                Err(error) => {
                    tracing::warn!(%error, "changes of the network are not noticed");
                    mesh
                }
            };
        }
        #[cfg(not(any(feature = "mdns", feature = "watch")))]
        let _ = on_a_network;
        #[cfg(feature = "portmap")]
        if self.map_port {
            mesh = match telemesh_portmap::PortMapper::open(telemesh_portmap::Options::default()) {
                Ok(mapper) => mesh.port_mapping(mapper),
                Err(error) => {
                    tracing::warn!(%error, "the gateway is not asked for a way in");
                    mesh
                }
            };
        }
        Ok(mesh.create()?)
    }
}

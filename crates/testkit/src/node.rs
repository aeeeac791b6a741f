//! One endpoint of a world: a host, keys, and a mesh that can crash and start again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use telemesh_connect::ConnectService;
use telemesh_hashname::Hashname;
use telemesh_keys::KeySet;
use telemesh_mesh::{LinkInfo, MemoryStore, Mesh, MeshBuilder, PathAddress};
use telemesh_path::PathService;
use telemesh_peer::PeerService;
use telemesh_simnet::HostId;

use crate::clock::SkewedClock;
use crate::rogue::Rogue;
use crate::transport::{ExtraSockets, SimNetwork, SimTransport, Valve};

/// What a test wants otherwise in a node's mesh, at every start.
pub(crate) type Configure = Box<dyn Fn(MeshBuilder) -> MeshBuilder + Send + Sync>;

/// See the module's page.
pub struct Node {
    name: String,
    network: SimNetwork,
    host: HostId,
    key_seed: [u8; 32],
    clock: SkewedClock,
    store: Arc<MemoryStore>,
    configure: Configure,
    kind: Kind,
    state: Mutex<State>,
}

/// What kind of endpoint it is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Plain,
    /// It has a second socket, see [`SimTransport::bind_quic`].
    Quic,
    /// It is a router that is not honest.
    Rogue(Rogue),
}

struct State {
    mesh: Option<Mesh>,
    address: IpAddr,
    /// Every start is another incarnation.
    starts: u8,
    valves: Vec<Valve>,
    /// Of its first transport.
    extra: ExtraSockets,
}

impl Node {
    pub(crate) fn new(
        name: &str,
        network: SimNetwork,
        host: HostId,
        address: IpAddr,
        key_seed: [u8; 32],
        clock: SkewedClock,
        (kind, configure): (Kind, Configure),
    ) -> Self {
        let node = Self {
            name: name.to_owned(),
            network,
            host,
            key_seed,
            clock,
            store: Arc::default(),
            configure,
            kind,
            state: Mutex::new(State {
                mesh: None,
                address,
                starts: 0,
                valves: Vec::new(),
                extra: ExtraSockets::default(),
            }),
        };
        node.start();
        node
    }

    /// The node's keys, which are the same after every start.
    pub fn keys(&self) -> KeySet {
        KeySet::generate(&mut StdRng::from_seed(self.key_seed))
    }

    /// The running mesh.
    ///
    /// # Panics
    /// While the node is crashed.
    #[allow(clippy::expect_used, reason = "a test that uses a crashed node is wrong")]
    pub fn mesh(&self) -> Mesh {
        self.state.lock().mesh.clone().expect("the node is running")
    }

    /// The running mesh; `None` while the node is crashed.
    pub fn try_mesh(&self) -> Option<Mesh> {
        self.state.lock().mesh.clone()
    }

    /// Who this is.
    pub fn hashname(&self) -> Hashname {
        self.keys().hashname()
    }

    /// The host in the simulated network.
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The node's wall clock.
    pub fn clock(&self) -> &SkewedClock {
        &self.clock
    }

    /// What another node needs to link to this one.
    pub fn info(&self) -> LinkInfo {
        self.mesh().link_info()
    }

    /// The addresses at which its socket is reached now.
    pub fn addresses(&self) -> Vec<PathAddress> {
        self.mesh().addresses()
    }

    /// The valves in front of the running mesh's sockets, that of its first socket first.
    pub fn valves(&self) -> Vec<Valve> {
        self.state.lock().valves.clone()
    }

    /// Sockets beside the usual one that are open now.
    pub fn extra_sockets(&self) -> usize {
        self.state.lock().extra.count()
    }

    /// Ends the mesh without a word to anybody, as a power cut would. What the store holds stays.
    pub fn crash(&self) {
        self.state.lock().mesh = None;
    }

    /// Starts the mesh, as a new process with the same keys and the same store.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    pub fn start(&self) -> Mesh {
        let mut state = self.state.lock();
        state.starts += 1;
        let mut seed = self.key_seed;
        seed[0] ^= state.starts;
        let mut transports = vec![SimTransport::bind(&self.network, self.host)];
        if matches!(self.kind, Kind::Quic) {
            transports.push(SimTransport::bind_quic(&self.network, self.host));
        }
        state.extra = transports.first().map(SimTransport::extra_sockets).unwrap_or_default();
        state.valves = transports.iter().map(SimTransport::valve).collect();
        let builder = Mesh::builder(self.keys()).service(PathService::new()).service(ConnectService::new());
        let builder = match &self.kind {
            Kind::Rogue(rogue) => {
                let transports = transports.into_iter().map(|transport| rogue.transport(transport));
                transports.fold(builder, MeshBuilder::transport).service(rogue.service())
            }
            Kind::Plain | Kind::Quic => {
                transports.into_iter().fold(builder, MeshBuilder::transport).service(PeerService::new())
            }
        };
        let builder = builder.store(self.store.clone()).clock(self.clock.clone()).danger_seed(seed);
        let mesh = (self.configure)(builder).create().expect("a simulated mesh starts");
        state.mesh = Some(mesh.clone());
        mesh
    }

    /// Moves the host to another address, as a change of network does.
    ///
    /// # Panics
    /// When the address is taken.
    #[allow(clippy::expect_used, reason = "a test that moves to a taken address is wrong")]
    pub fn move_to(&self, address: IpAddr) {
        let mut state = self.state.lock();
        let old = std::mem::replace(&mut state.address, address);
        self.network
            .with(|network| network.change_address(self.host, old, address))
            .expect("the address is free");
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("hashname", &self.hashname())
            .finish_non_exhaustive()
    }
}

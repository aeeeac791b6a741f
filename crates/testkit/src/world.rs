//! A simulated world: the network, virtual time, and the nodes in it.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use telemesh_mesh::{BridgeConfig, Contact, Grants, Link, LinkInfo, MeshBuilder};
use telemesh_simnet::{Conditions, NatConfig, NatId, Network, Realm, Scope};
use tokio::time::Instant;

use crate::bare::Bare;
use crate::clock::SkewedClock;
use crate::node::{Configure, Kind, Node};
use crate::rogue::Rogue;
use crate::transport::{SimNetwork, SimTransport, Tapped};

/// Virtual time after which a scenario is stuck: endpoints keep their links warm, so time never runs out by itself.
const LIMIT: Duration = Duration::from_secs(86_400);

/// See the module's page.
#[derive(Debug)]
pub struct World {
    network: SimNetwork,
    started: Instant,
    rng: Mutex<StdRng>,
    hosts: Mutex<u16>,
}

impl World {
    /// Runs `scenario` in a world of its own, under virtual time: sleeping costs nothing, and the clock moves when nobody
    /// has anything to do. Returns what the scenario returns.
    ///
    /// # Panics
    /// When the scenario does, or when it takes longer than a day of virtual time.
    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    pub fn run<F: Future>(seed: u64, scenario: impl FnOnce(World) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime starts");
        let limited = async { tokio::time::timeout(LIMIT, scenario(World::new(seed))).await };
        runtime.block_on(limited).expect("the scenario ends within a day of virtual time")
    }

    fn new(seed: u64) -> Self {
        let started = Instant::now();
        let network = SimNetwork::start(seed, started);
        let conditions = Conditions::new().delay(Duration::from_millis(20));
        network.with(|network| network.set_conditions(Scope::Everywhere, conditions));
        Self { network, started, rng: Mutex::new(StdRng::seed_from_u64(seed)), hosts: Mutex::new(0) }
    }

    /// Looks at the simulated network or changes it.
    pub fn with_network<T>(&self, act: impl FnOnce(&mut Network) -> T) -> T {
        self.network.with(act)
    }

    /// Every datagram that anybody has sent since the last call; the first call begins to listen in.
    pub fn take_tapped(&self) -> Vec<Tapped> {
        self.network.take_tapped()
    }

    /// Draws from the world's randomness.
    pub fn random<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock())
    }

    /// An address on the simulated internet that nobody has had.
    pub fn fresh_address(&self) -> IpAddr {
        let mut hosts = self.hosts.lock();
        *hosts += 1;
        let [high, low] = hosts.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
    }

    /// A new host on the internet with a running mesh.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn node(&self, name: &str) -> Node {
        self.node_with(name, |builder| builder)
    }

    /// A new host on the internet with a running mesh that is built as `configure` wants.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn node_with(
        &self,
        name: &str,
        configure: impl Fn(MeshBuilder) -> MeshBuilder + Send + Sync + 'static,
    ) -> Node {
        self.add(name, Kind::Plain, Box::new(configure))
    }

    /// A new host on the internet with a running mesh that has two ways out: UDP, and one that it takes for QUIC.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn node_with_quic(&self, name: &str) -> Node {
        self.add(name, Kind::Quic, Box::new(|builder| builder))
    }

    /// A NAT on the internet, without anybody behind it.
    ///
    /// # Panics
    /// When it cannot be added.
    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    pub fn nat(&self, config: NatConfig) -> NatId {
        let address = self.fresh_address();
        self.with_network(|network| network.add_nat(Realm::INTERNET, [address], config))
            .expect("a fresh address")
    }

    /// A new host behind a NAT, with a running mesh.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn node_behind(&self, nat: NatId, name: &str) -> Node {
        self.add_in(nat.inside(), name, Kind::Plain, Box::new(|builder| builder))
    }

    /// A new host on the internet with a mesh that is a router.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn router(&self, name: &str) -> Node {
        self.node_with(name, |builder| builder.router(BridgeConfig::default()))
    }

    /// A new host on the internet with a mesh that is a router, and does what the test wants with what goes through it.
    ///
    /// # Panics
    /// When it cannot be added.
    pub fn rogue(&self, name: &str) -> (Node, Rogue) {
        let rogue = Rogue::new(self.random(|rng| rng.next_u64()));
        let configure: Configure = Box::new(|builder| builder.router(BridgeConfig::default()));
        (self.add(name, Kind::Rogue(rogue.clone()), configure), rogue)
    }

    /// Makes a node a client of a router, and waits until they are linked.
    ///
    /// # Panics
    /// When the link does not come up.
    #[allow(clippy::expect_used, reason = "this is for scenarios in which it must come up")]
    pub async fn use_router(&self, node: &Node, router: &Node) -> Link {
        let mut grants = Grants::link();
        grants.insert("router".parse().expect("a grant")).expect("room");
        let keys = LinkInfo::new(node.info().keys().clone()).expect("keys");
        router.mesh().set_contact(Contact::new(keys).with_grants(grants)).expect("a new contact");
        let link = node.mesh().link(router.info()).await.expect("the link comes up");
        assert!(link.router(true), "the router is a contact");
        link
    }

    fn add(&self, name: &str, kind: Kind, configure: Configure) -> Node {
        self.add_in(Realm::INTERNET, name, kind, configure)
    }

    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    fn add_in(&self, realm: Realm, name: &str, kind: Kind, configure: Configure) -> Node {
        let address = self.fresh_address();
        let host = self.with_network(|network| network.add_host(realm, [address])).expect("a fresh address");
        let mut seed = [0; 32];
        self.random(|rng| rng.fill_bytes(&mut seed));
        let clock = SkewedClock::new(self.started);
        Node::new(name, self.network.clone(), host, address, seed, clock, (kind, configure))
    }

    /// A new host on the internet without a mesh: a bare socket.
    ///
    /// # Panics
    /// When it cannot be added.
    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    pub fn stranger(&self) -> SimTransport {
        let address = self.fresh_address();
        let host = self
            .with_network(|network| network.add_host(Realm::INTERNET, [address]))
            .expect("a fresh address");
        SimTransport::bind(&self.network, host)
    }

    /// A new host on the internet with an endpoint in the test's hands.
    pub fn bare(&self) -> Bare {
        let mut seed = [0; 32];
        self.random(|rng| rng.fill_bytes(&mut seed));
        Bare::new(self.stranger(), SkewedClock::new(self.started), seed)
    }

    /// Makes two nodes contacts and waits until the first has linked to the second.
    ///
    /// # Panics
    /// When the link does not come up.
    #[allow(clippy::expect_used, reason = "this is for scenarios in which it must come up")]
    pub async fn link(&self, from: &Node, to: &Node) -> Link {
        to.mesh().add_contact(from.info()).expect("the node is no contact yet");
        from.mesh().link(to.info()).await.expect("the link comes up")
    }
}

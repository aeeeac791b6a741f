//! Building an endpoint: everything is in place before its first packet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use telemesh_channel::{HandleError, Handler, LinkEventSource, Registry, Service};
use telemesh_keys::KeySet;
use telemesh_link::{
    Bridge, BridgeConfig, Gate, GateConfig, Identity, LinkConfig, MAX_SLOTS, NoUsableKey, TicketKey,
};
use telemesh_transport::{Discovery, NetworkWatch, PortMapping, Transport};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::{self, SystemClock, WallClock};
use crate::core::{Core, Ways};
use crate::deadlines::Deadlines;
use crate::discovery::{self, Discoveries};
use crate::endpoint::LocalEndpoint;
use crate::guests::Guests;
use crate::mapped::{self, Mapped};
use crate::mesh::Mesh;
use crate::metrics::Dropped;
use crate::outlet::Outlet;
use crate::policy::{ContactsOnly, Policy};
use crate::saver::Saver;
use crate::shared::Shared;
use crate::state::LinkError;
use crate::store::{MemoryStore, PeerStore};
use crate::surroundings;
use crate::table::Table;
use crate::tickets::Sought;
use crate::traces::Traces;
use crate::trust::Trust;
use crate::wants::{self, Want, Wants};
use crate::whereabouts::Whereabouts;

/// Links of one endpoint unless configured otherwise.
pub const MAX_LINKS: usize = 65_536;

/// How long channels wait for a link that went down, unless configured otherwise.
pub const SURVIVE_DOWN: Duration = Duration::from_secs(60);

/// Collects what an endpoint needs. See [`Mesh::builder`].
pub struct MeshBuilder {
    keys: KeySet,
    transports: Vec<Arc<dyn Transport>>,
    around: Around,
    registry: Registry,
    store: Arc<dyn PeerStore>,
    policy: Arc<dyn Policy>,
    clock: Arc<dyn WallClock>,
    engine: telemesh_engine::Config,
    max_links: usize,
    survive_down: Duration,
    public: bool,
    seed: Option<[u8; 32]>,
    traces: Traces,
    services: Vec<Arc<dyn Service>>,
    router: Option<BridgeConfig>,
}

/// What knows the network around the machine.
#[derive(Default)]
struct Around {
    discoveries: Vec<Arc<dyn Discovery>>,
    watch: Option<Arc<dyn NetworkWatch>>,
    mapping: Option<Arc<dyn PortMapping>>,
}

/// Why an endpoint could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The keys cannot be used for links.
    #[error(transparent)]
    Keys(#[from] NoUsableKey),
    /// Links need a way out.
    #[error("an endpoint needs at least one transport")]
    NoTransport,
    /// [`MeshBuilder::create`] was called outside of a tokio runtime.
    #[error("an endpoint runs in a tokio runtime: call this within one")]
    NoRuntime,
    /// The store could not be read.
    #[error("what the endpoint has stored could not be read: {0}")]
    Store(#[source] std::io::Error),
    /// More contacts are stored than there may be links, or one of them is broken.
    #[error("a stored contact cannot be used: {0}")]
    Contact(#[source] LinkError),
    /// A service's channel has a handler already.
    #[error("a service could not be installed: {0}")]
    Service(#[source] HandleError),
    /// The machine gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
}

impl MeshBuilder {
    pub(crate) fn new(keys: KeySet) -> Self {
        Self {
            keys,
            transports: Vec::new(),
            around: Around::default(),
            registry: Registry::new(),
            store: Arc::new(MemoryStore::default()),
            policy: Arc::new(ContactsOnly),
            clock: Arc::new(SystemClock),
            engine: telemesh_engine::Config::default(),
            max_links: MAX_LINKS,
            survive_down: SURVIVE_DOWN,
            public: false,
            seed: None,
            traces: Traces::default(),
            services: Vec::new(),
            router: None,
        }
    }

    /// Adds a way for packets to come and go.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports.push(Arc::new(transport));
        self
    }

    /// Adds a way to find endpoints nearby, and to be found by them in [discover mode](Mesh::discover).
    #[must_use]
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.around.discoveries.push(Arc::new(discovery));
        self
    }

    /// Reacts to changes of the machine's network by itself, as this watch tells them: at most once a second, and less often while
    /// they go on. Default: only to [`Mesh::network_changed`].
    #[must_use]
    pub fn network_watch(mut self, watch: impl NetworkWatch) -> Self {
        self.around.watch = Some(Arc::new(watch));
        self
    }

    /// Asks this network's gateway to lead packets for one of its ports to the endpoint, which is then told to peers like any other
    /// address, and given back at the [end](Mesh::close). Default: nobody is asked.
    #[must_use]
    pub fn port_mapping(mut self, mapping: impl PortMapping) -> Self {
        self.around.mapping = Some(Arc::new(mapping));
        self
    }

    /// Adds a service that carries needs of the endpoint to its peers, such as introductions through routers.
    #[must_use]
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// Makes the endpoint a router: it joins endpoints by circuits if one of them has the grant `router`. A router is public by
    /// choice, see [`public`](Self::public).
    #[must_use]
    pub fn router(mut self, config: BridgeConfig) -> Self {
        self.router = Some(config);
        self
    }

    /// Registers the one handler of a channel type.
    ///
    /// # Errors
    /// [`HandleError`]: the name breaks the rules, or the type has a handler already.
    pub fn handle(self, channel_type: &str, handler: impl Handler) -> Result<Self, HandleError> {
        self.registry.insert(channel_type, Arc::new(handler))?;
        Ok(self)
    }

    /// Where to keep what must survive a restart: contacts, invites, and what makes replayed handshakes recognisable. Default:
    /// in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn PeerStore>) -> Self {
        self.store = store;
        self
    }

    /// Decides who gets in. Default: [`ContactsOnly`].
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// The wall clock. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl WallClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Windows and packet sizes of reliable channels.
    #[must_use]
    pub fn engine(mut self, config: telemesh_engine::Config) -> Self {
        self.engine = config;
        self
    }

    /// The most links. Default 65,536, and never more than 1,048,576. Half of them may be with guests, whom the policy has let in or
    /// a ticket has led here; of those with the tickets of one peer at most 128, or an eighth of all links.
    #[must_use]
    pub fn max_links(mut self, links: usize) -> Self {
        self.max_links = usize::try_from(MAX_SLOTS).map_or(links, |slots| links.min(slots));
        self
    }

    /// How long channels wait for a link that went down. Default one minute.
    #[must_use]
    pub fn survive_down(mut self, time: Duration) -> Self {
        self.survive_down = time;
        self
    }

    /// Traces the reliable channels of links in qlog's format. `open` is asked for a writer when a link's engine starts; `None`
    /// leaves that one out. Writers are called under the link's lock: let them buffer.
    #[cfg(feature = "qlog")]
    #[must_use]
    pub fn qlog(
        mut self,
        open: impl Fn(&telemesh_hashname::Hashname) -> Option<telemesh_engine::QlogWriter> + Send + Sync + 'static,
    ) -> Self {
        self.traces = Traces::new(open);
        self
    }

    /// Whether anybody may learn that there is an endpoint: while strangers overload it, those who know its public key are then
    /// asked to prove their address before it works for them. Default: no, and then no stranger ever gets a byte.
    #[must_use]
    pub fn public(mut self, public: bool) -> Self {
        self.public = public;
        self
    }

    /// Makes everything that is drawn at random follow from this seed: for simulations. **Whoever knows it can read
    /// everything.**
    #[must_use]
    pub fn danger_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the endpoint.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn create(self) -> Result<Mesh, CreateError> {
        let runtime = Handle::try_current().map_err(|_| CreateError::NoRuntime)?;
        if self.transports.is_empty() {
            return Err(CreateError::NoTransport);
        }
        let mut rng = match self.seed {
            Some(seed) => StdRng::from_seed(seed),
            None => StdRng::try_from_rng(&mut SysRng).map_err(|_| CreateError::NoRandomness)?,
        };
        let incarnation = rng.next_u64();
        let identity = Identity::new(self.keys, incarnation, telemesh_engine::ENGINE_VERSION)?;
        let outlets = self.transports.into_iter().map(|transport| Arc::new(Outlet::new(transport))).collect();
        let stored = self.store.load().map_err(CreateError::Store)?;
        let contacts: Vec<_> = stored.contacts.iter().map(|contact| contact.info().clone()).collect();
        let saver = Arc::new(Saver::new(self.store));
        let (wants, wanted) = Wants::new();
        let core = Arc::new(Core {
            identity: identity.clone(),
            incarnation,
            registry: Arc::new(self.registry),
            events: LinkEventSource::new(),
            trust: Trust::new(stored, self.policy, saver.clone(), self.clock.clone()),
            saver,
            clock: self.clock,
            engine: self.engine,
            traces: self.traces,
            survive_down: self.survive_down,
            deadlines: Arc::new(Deadlines::default()),
            ways: Ways {
                whereabouts: Whereabouts::default(),
                wants,
                observed: Mutex::default(),
                mapped: Mapped::new(self.around.mapping),
            },
            outlets: RwLock::new(outlets),
            discoveries: Discoveries::new(self.around.discoveries),
            runtime,
        });
        let link_config = LinkConfig::default();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut gate = Gate::new(identity, GateConfig::new(link_config.tags.clone()), seed, clock::now());
        gate.set_public(self.public || self.router.is_some());
        let bridge = self.router.map(|config| Bridge::new(config, rng.next_u64()));
        let tickets = TicketKey::of(&core.identity);
        let shared = Arc::new(Shared {
            core,
            table: RwLock::new(Table::default()),
            gate: Mutex::new(gate),
            dropped: Dropped::default(),
            max_links: self.max_links,
            guests: Arc::new(Guests::new(self.max_links)),
            link_config,
            services: self.services,
            bridge: Mutex::new(bridge),
            tickets,
            own_tickets: Mutex::default(),
            sought: Sought::default(),
            used_routers: Mutex::default(),
            rng: Mutex::new(rng),
        });
        for service in &shared.services {
            service.clone().install(LocalEndpoint::new(&shared)).map_err(CreateError::Service)?;
        }
        for info in contacts {
            let addresses: Vec<_> = info.addresses().collect();
            shared.add_contact(&info, &addresses).map_err(CreateError::Contact)?;
        }
        Ok(start(shared, wanted, self.around.watch))
    }
}

fn start(shared: Arc<Shared>, wanted: UnboundedReceiver<Want>, watch: Option<Arc<dyn NetworkWatch>>) -> Mesh {
    let runtime = shared.core.runtime.clone();
    let mut tasks = vec![
        runtime.spawn(shared.core.deadlines.clone().run()).abort_handle(),
        runtime.spawn(shared.core.saver.clone().run()).abort_handle(),
        runtime.spawn(wants::run(shared.clone(), wanted)).abort_handle(),
        runtime.spawn(mapped::follow(shared.clone())).abort_handle(),
    ];
    for outlet in shared.core.outlets() {
        tasks.push(runtime.spawn(outlet.clone().run()).abort_handle());
        let receive = crate::receive::run(shared.clone(), outlet.transport.clone());
        tasks.push(runtime.spawn(receive).abort_handle());
    }
    let discoveries = shared.core.discoveries.all();
    if !discoveries.is_empty() {
        tasks.push(runtime.spawn(discovery::follow(shared.clone())).abort_handle());
    }
    for heard in discoveries {
        tasks.push(runtime.spawn(discovery::hear(shared.clone(), heard)).abort_handle());
    }
    tasks.push(runtime.spawn(surroundings::follow(shared.clone(), watch)).abort_handle());
    Mesh::start(shared, tasks)
}

impl fmt::Debug for MeshBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshBuilder").field("transports", &self.transports).finish_non_exhaustive()
    }
}

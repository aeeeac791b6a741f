//! The local endpoint in the application's hands.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use telemesh_channel::{Acceptor, HandleError, Handler, LinkEvents, Network, Opener, WeakNetwork};
use telemesh_hashname::Hashname;
use telemesh_link::{Bridge, BridgeStats, State, prove_invite};
use telemesh_wire::{CloseReason, Credential, LinkInfo, LinkTarget, LinkUri, PathAddress, PathHint};
use tokio::task::AbortHandle;

use crate::builder::MeshBuilder;
use crate::clock;
use crate::discovered::Discovered;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::state::LinkError;
use crate::wants::Want;

/// How long [`Mesh::link`] waits for the link to come up.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long [`Mesh::close`] waits for acknowledgements.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long [`Mesh::close`] waits for a transport that does not take its last packets.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(200);

/// The local endpoint and its links. Clones are the same endpoint; it ends with [`Mesh::close`], or abruptly when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Mesh {
    running: Arc<Running>,
}

/// Ends the endpoint's tasks when the last handle goes.
struct Running {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// How [`Mesh::close`] went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Closed {
    /// Every channel that was ended in order has been acknowledged by its peer.
    pub delivered: bool,
}

/// What can be linked to: a URI, link JSON or a hashname as text, or one of these parsed already.
pub trait IntoTarget {
    /// The parsed form.
    ///
    /// # Errors
    /// [`LinkError::Target`] when the text is none of them.
    fn into_target(self) -> Result<LinkTarget, LinkError>;
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        self.parse()
            .map_err(|error: telemesh_wire::ParseLinkTargetError| LinkError::Target(error.to_string()))
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        self.as_str().into_target()
    }
}

impl IntoTarget for LinkTarget {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        Ok(self)
    }
}

impl IntoTarget for Hashname {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        Ok(self.into())
    }
}

impl IntoTarget for LinkInfo {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        Ok(self.into())
    }
}

impl IntoTarget for LinkUri {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        Ok(self.into())
    }
}

impl IntoTarget for Discovered {
    fn into_target(self) -> Result<LinkTarget, LinkError> {
        Ok(self.info().into())
    }
}

impl Mesh {
    /// Starts building an endpoint with these keys.
    #[must_use]
    pub fn builder(keys: telemesh_keys::KeySet) -> MeshBuilder {
        MeshBuilder::new(keys)
    }

    pub(crate) fn start(shared: Arc<Shared>, tasks: Vec<AbortHandle>) -> Self {
        Self { running: Arc::new(Running { shared, tasks }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    /// This endpoint's hashname.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.shared().core.hashname()
    }

    /// The addresses at which this endpoint can be reached, as far as it knows.
    #[must_use]
    pub fn addresses(&self) -> Vec<PathAddress> {
        self.shared().core.outlets().iter().flat_map(|outlet| outlet.transport.local_addresses()).collect()
    }

    /// The gateway's address that leads here, if a [port mapping](MeshBuilder::port_mapping) was asked for and had.
    #[must_use]
    pub fn mapped_address(&self) -> Option<std::net::SocketAddr> {
        self.shared().core.ways.mapped.address()
    }

    /// Hashname, keys and addresses: all that a contact needs to link to this endpoint.
    #[must_use]
    pub fn link_info(&self) -> LinkInfo {
        let keys = self.shared().core.identity.public_keys().clone();
        let info = LinkInfo::new(keys).unwrap_or_else(|_| LinkInfo::unresolved(self.hashname()));
        let hints = self.shared().router_hints();
        let mapped = self.mapped_address().map(PathAddress::Udp);
        let paths = self.addresses().into_iter().chain(mapped).map(PathHint::from).chain(hints);
        paths.fold(info, |info, path| match info.clone().with_path(path) {
            Ok(longer) => longer,
            // More addresses than an information has room for.
            Err(_) => info,
        })
    }

    /// [`Mesh::link_info`] as a URI.
    #[must_use]
    pub fn uri(&self) -> LinkUri {
        LinkUri::new(self.link_info())
    }

    /// Trusts an endpoint, dials it, and resolves when the link is up. A second call shares the attempt; dropping the future
    /// does not end it.
    ///
    /// # Errors
    /// [`LinkError`]: a target that is none, a peer about whom too little is known, no answer within [`LINK_TIMEOUT`].
    pub async fn link(&self, to: impl IntoTarget) -> Result<Link, LinkError> {
        let to = match to.into_target()? {
            LinkTarget::Uri(uri) if uri.session_id().is_some() => {
                return self.shared().seek(*uri, LINK_TIMEOUT).await;
            }
            to => to,
        };
        let link = self.add_contact(to)?;
        link.connect();
        if !self.knows_way_to(&link.hashname()) {
            return Err(LinkError::NoIntroducer(link.hashname()));
        }
        link.up(LINK_TIMEOUT).await?;
        Ok(link)
    }

    /// Trusts an endpoint without dialling it: it may link to us from now on. A contact keeps its name and its grants.
    ///
    /// # Errors
    /// [`LinkError`]: a target that is none, keys that are not those of its hashname.
    pub fn add_contact(&self, to: impl IntoTarget) -> Result<Link, LinkError> {
        let (info, addresses, invite) = match to.into_target()? {
            LinkTarget::Hashname(hashname) => (LinkInfo::unresolved(hashname), Vec::new(), None),
            LinkTarget::Info(info) => {
                let addresses = info.addresses().collect();
                (*info, addresses, None)
            }
            LinkTarget::Uri(mut uri) => {
                let addresses = uri.addresses().collect::<Vec<_>>();
                let invite = uri.take_invite();
                (uri.link().clone(), addresses, invite)
            }
            _ => return Err(LinkError::Target("a form that is not supported here".into())),
        };
        let peer = info.hashname();
        let info = self.shared().completed(&info);
        let heard = info.addresses().filter(|address| !addresses.contains(address));
        let addresses: Vec<_> = addresses.iter().copied().chain(heard).collect();
        let cell = self.shared().add_contact(&info, &addresses)?;
        // What is kept of a URI includes the address in front, which is not among its paths.
        let missing = addresses.iter().filter(|address| !info.addresses().any(|path| path == **address));
        let info =
            missing.fold(info.clone(), |info, address| info.clone().with_path(*address).unwrap_or(info));
        self.shared().core.trust.add(&info);
        if let Some(invite) = invite {
            let proof = prove_invite(invite.secret().as_bytes(), &peer, &self.hashname());
            if let Ok(credential) = Credential::new(proof.to_vec()) {
                cell.drive(|inner, _, _| inner.link.set_credential(credential));
            }
        }
        Ok(Link { cell })
    }

    /// Whether a link could come up: its peer's keys and an address are known, or there is a router that may introduce us.
    #[must_use]
    pub fn knows_way_to(&self, peer: &Hashname) -> bool {
        let unresolved =
            |link: &Link| matches!(link.cell.look(|inner| inner.link.state()), State::Unresolved(_));
        self.find(peer).is_some_and(|link| !unresolved(&link) || self.shared().has_router_for(peer))
    }

    /// The link with a contact, up or not.
    #[must_use]
    pub fn find(&self, peer: &Hashname) -> Option<Link> {
        Some(Link { cell: self.shared().table.read().find(peer)?.clone() })
    }

    /// All links: every contact has one, up or not.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.shared().links().into_iter().map(|cell| Link { cell }).collect()
    }

    /// What this endpoint has counted.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared().metrics()
    }

    /// What this endpoint has forwarded as a router; `None` if it is none.
    #[must_use]
    pub fn routing(&self) -> Option<BridgeStats> {
        self.shared().bridge.lock().as_ref().map(Bridge::stats)
    }

    /// The local network has changed: sockets are opened anew, and every link proves its paths.
    ///
    /// With a [watch](MeshBuilder::network_watch) there is seldom a reason to call this: the machine was asleep and its sockets are
    /// dead, say. Sockets whose port the system chose get another one.
    ///
    /// # Errors
    /// When a transport has no socket any more.
    pub fn network_changed(&self) -> std::io::Result<()> {
        // One transport without a socket must not keep the others from moving on.
        let rebound: Vec<_> =
            self.shared().core.outlets().iter().map(|outlet| outlet.transport.rebind()).collect();
        self.shared().core.ways.observed.lock().clear();
        self.shared().ask_for_way_in();
        for cell in self.shared().links() {
            cell.drive(|inner, now, outcome| {
                inner.network_changed(now);
                outcome.wants.push(Want::Comparison {
                    cell: Arc::downgrade(&cell),
                    ask: true,
                    birthday: false,
                });
            });
        }
        rebound.into_iter().collect()
    }

    /// Ends the endpoint: waits up to [`CLOSE_TIMEOUT`] until channels that were ended in order are acknowledged, tells the
    /// peers, waits as long for the store, and stops. Says whether all was delivered, also on links that had ended before.
    ///
    /// What the peers had sent by then can still be read from its channels.
    pub async fn close(&self) -> Closed {
        self.discover(false);
        self.shared().core.discoveries.withdraw();
        let deadline = clock::now() + CLOSE_TIMEOUT;
        let mut pause = Duration::from_millis(1);
        let is_settled =
            |now| self.shared().links().iter().all(|cell| cell.look(|inner| inner.is_settled(now)));
        while clock::now() < deadline && !is_settled(clock::now()) {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        let delivered = self.shared().links().iter().all(|cell| cell.look(|inner| inner.is_delivered()));
        let links = self.shared().links();
        links.iter().for_each(|cell| cell.close(CloseReason::ShuttingDown));
        // The last words may have to wait for their transport.
        let deadline = clock::now() + FAREWELL_TIMEOUT;
        while clock::now() < deadline && !links.iter().all(|cell| cell.look(|inner| inner.sending.is_idle()))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let deadline = clock::now() + CLOSE_TIMEOUT;
        // A store that fails has been reported, and what it holds is still sound.
        let _ = tokio::time::timeout_at(deadline.into(), self.saved()).await;
        self.shared().core.ways.mapped.release().await;
        self.running.stop();
        Closed { delivered }
    }
}

impl Running {
    /// Nothing works any more: channels say so, and the sockets close although somebody may hold a link or a channel.
    fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.core.discoveries.stop();
        self.shared.core.ways.mapped.stop();
        self.shared.core.close_outlets();
        self.shared.core.saver.end();
        self.shared.core.trust.strangers.end();
        for cell in self.shared.links() {
            cell.abandon();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Acceptor for Mesh {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        self.shared().core.registry.insert(channel_type, handler)
    }

    fn handler(&self, channel_type: &str) -> Option<Arc<dyn Handler>> {
        self.shared().core.registry.get(channel_type)
    }
}

impl Network for Mesh {
    fn hashname(&self) -> Hashname {
        self.shared().core.hashname()
    }

    fn link(&self, peer: &Hashname) -> Option<Arc<dyn Opener>> {
        Some(Arc::new(self.find(peer)?))
    }

    fn connect(&self, peer: &Hashname) {
        if let Some(link) = self.find(peer) {
            link.connect();
        }
    }

    fn peers(&self) -> Vec<Hashname> {
        let up = |link: &Link| link.state().is_up().then(|| link.hashname());
        self.links().iter().filter_map(up).collect()
    }

    fn has_grant(&self, peer: &Hashname, grant: &str) -> bool {
        self.shared().core.trust.has_grant(peer, grant)
    }

    fn grants_of_kind(&self, peer: &Hashname, kind: &str) -> Vec<String> {
        self.shared().core.trust.grants_of_kind(peer, kind)
    }

    fn link_events(&self) -> LinkEvents {
        self.shared().core.events.subscribe()
    }

    fn downgrade(&self) -> Arc<dyn WeakNetwork> {
        Arc::new(WeakMesh(Arc::downgrade(&self.running)))
    }
}

/// See [`Network::downgrade`].
struct WeakMesh(Weak<Running>);

impl WeakNetwork for WeakMesh {
    fn upgrade(&self) -> Option<Arc<dyn Network>> {
        Some(Arc::new(Mesh { running: self.0.upgrade()? }))
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("hashname", &self.shared().core.hashname()).finish_non_exhaustive()
    }
}

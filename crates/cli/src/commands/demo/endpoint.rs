//! An endpoint of the demonstration: on loopback, taking streams, able to die and come back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use telemesh::{CreateError, IncomingStreams, KeySet, LinkInfo, MemoryStore, Mesh, StreamAcceptor as _};
use zeroize::Zeroizing;

use crate::actions::perf::protocol::{self, PERF};
use crate::failure::Failure;

/// How long an address may still be taken by the endpoint that has died.
const ADDRESS_LIMIT: Duration = Duration::from_secs(2);

/// See the module's page.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) mesh: Mesh,
    pub(super) streams: IncomingStreams,
    remains: Remains,
}

/// What is left of an endpoint that has died, as on a disk.
pub(super) struct Remains {
    keys: Zeroizing<Vec<u8>>,
    store: Arc<MemoryStore>,
    router: bool,
}

impl Endpoint {
    /// A new endpoint with new keys.
    pub(super) async fn new() -> Result<Self, Failure> {
        Self::start(false).await
    }

    /// A new endpoint that is a router.
    pub(super) async fn router() -> Result<Self, Failure> {
        Self::start(true).await
    }

    async fn start(router: bool) -> Result<Self, Failure> {
        let keys = telemesh::generate_keys()?.to_bytes();
        let remains = Remains { keys, store: Arc::default(), router };
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        match remains.revive(v4).await {
            // There are machines with IPv6 only.
            Err(Failure::Failed(reason)) => {
                let (mesh, streams) = remains.revive(v6).await.map_err(|_| Failure::Failed(reason))?;
                Ok(Self { mesh, streams, remains })
            }
            Err(failure) => Err(failure),
            Ok((mesh, streams)) => Ok(Self { mesh, streams, remains }),
        }
    }

    /// What others need to link to it.
    pub(super) fn info(&self) -> LinkInfo {
        self.mesh.link_info()
    }

    /// Its UDP address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        address(&self.mesh)
    }

    /// Dies without a word to anybody.
    pub(super) fn die(self) -> Remains {
        self.remains
    }
}

/// The UDP address of an endpoint.
pub(super) fn address(mesh: &Mesh) -> Option<SocketAddr> {
    mesh.addresses().iter().find_map(telemesh::PathAddress::socket_address)
}

impl Remains {
    /// Comes back as the same endpoint, at this address, which the system may not have given back yet.
    pub(super) async fn come_back(&self, listen: SocketAddr) -> Result<(Mesh, IncomingStreams), Failure> {
        let deadline = Instant::now() + ADDRESS_LIMIT;
        loop {
            match self.revive(listen).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(1)).await,
                done => return done,
            }
        }
    }

    async fn revive(&self, listen: SocketAddr) -> Result<(Mesh, IncomingStreams), Failure> {
        let keys = KeySet::from_bytes(&self.keys).map_err(|error| Failure::Failed(error.to_string()))?;
        let mut builder = telemesh::builder(keys).listen(listen).store(self.store.clone());
        if self.router {
            builder = builder.router(telemesh::BridgeConfig::default());
        }
        let created = builder.handle(PERF, protocol::answer)?.create().await;
        let mesh = created.map_err(|error: CreateError| Failure::from(error))?;
        let streams = mesh.on_stream()?;
        Ok((mesh, streams))
    }
}

impl std::fmt::Debug for Remains {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remains").finish_non_exhaustive()
    }
}

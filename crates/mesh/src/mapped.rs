//! A way in through the gateway: asked for again when the network or our port is another one, told to peers like any other address,
//! given back at the end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use telemesh_transport::PortMapping;
use telemesh_wire::PathAddress;

use crate::candidates::is_public;
use crate::shared::Shared;
use crate::wants::Want;

/// How long the end of the endpoint waits for the gateway to take its port back. A mapping ends by itself, later.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    /// None once the endpoint has stopped: then nothing keeps it asking.
    mapping: Mutex<Option<Arc<dyn PortMapping>>>,
    address: Mutex<Option<SocketAddr>>,
}

impl Mapped {
    pub(crate) fn new(mapping: Option<Arc<dyn PortMapping>>) -> Self {
        Self { mapping: Mutex::new(mapping), address: Mutex::default() }
    }

    /// The gateway's address that leads here.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        *self.address.lock()
    }

    fn mapping(&self) -> Option<Arc<dyn PortMapping>> {
        self.mapping.lock().clone()
    }

    /// Lets go of it.
    pub(crate) fn stop(&self) {
        *self.mapping.lock() = None;
    }

    /// Gives it back, if the gateway takes it soon.
    pub(crate) async fn release(&self) {
        if let Some(mapping) = self.mapping() {
            let released = poll_fn(|cx| mapping.poll_released(cx));
            // It is over either way.
            let _ = tokio::time::timeout(RELEASE_TIMEOUT, released).await;
        }
    }
}

/// Asks for a way in and tells peers about it, until it is dropped.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let Some(mapping) = shared.core.ways.mapped.mapping() else { return };
    shared.ask_for_way_in();
    loop {
        let told = poll_fn(|cx| mapping.poll_mapped(cx)).await;
        // Whoever says so is nobody whom we trust.
        let address = told.filter(|address| is_public(&address.ip()) && address.port() != 0);
        if std::mem::replace(&mut *shared.core.ways.mapped.address.lock(), address) == address {
            continue;
        }
        for cell in shared.links() {
            shared.core.ways.wants.state(Want::Comparison {
                cell: Arc::downgrade(&cell),
                ask: false,
                birthday: false,
            });
        }
    }
}

impl Shared {
    /// Asks the gateway to lead packets to the port that we listen on now.
    pub(crate) fn ask_for_way_in(&self) {
        let Some(mapping) = self.core.ways.mapped.mapping() else { return };
        let addresses = self.core.outlets().into_iter().flat_map(|outlet| outlet.transport.local_addresses());
        // Only UDP listens: a gateway that lets QUIC in would show strangers that somebody is here.
        let mut ports = addresses.filter_map(|address| match address {
            PathAddress::Udp(at) if at.is_ipv4() && !at.ip().is_loopback() => NonZeroU16::new(at.port()),
            _ => None,
        });
        if let Some(port) = ports.next() {
            mapping.map(port);
        }
    }
}

//! The local endpoint as services see it. They may outlive it, and then nothing happens any more.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use telemesh_channel::{
    Acceptor, Body, CircuitId, Endpoint, HandleError, Handler, Introduction, Joined, LinkInfo, Need,
};
use telemesh_hashname::Hashname;

use crate::shared::Shared;

/// See the module's page.
pub(crate) struct LocalEndpoint {
    shared: Weak<Shared>,
}

impl LocalEndpoint {
    pub(crate) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared: Arc::downgrade(shared) })
    }
}

impl Acceptor for LocalEndpoint {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        match self.shared.upgrade() {
            Some(shared) => shared.core.registry.insert(channel_type, handler),
            None => Ok(()),
        }
    }
}

impl Endpoint for LocalEndpoint {
    fn join(&self, asker: &Hashname, introduction: &Introduction) -> Option<Joined> {
        self.shared.upgrade()?.join(asker, introduction)
    }

    fn ticket_for(&self, peer: &Hashname) -> Option<Bytes> {
        self.shared.upgrade()?.ticket_for(peer)
    }

    fn got_ticket(&self, router: &Hashname, ticket: &[u8]) {
        if let Some(shared) = self.shared.upgrade() {
            shared.got_ticket(router, ticket);
        }
    }

    fn arrived(&self, router: &Hashname, circuit: CircuitId, body: Body) {
        if let Some(shared) = self.shared.upgrade() {
            shared.arrived(router, circuit, body);
        }
    }

    fn compared(&self, peer: &Hashname, info: &LinkInfo, asks: bool, birthday: bool) {
        if let Some(shared) = self.shared.upgrade() {
            shared.compared(peer, info, asks, birthday);
        }
    }

    fn state(&self, need: &Need) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.serve(need))
    }
}

//! `gateway`: what contacts serve, for the browsers and programs of this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use telemesh::thtp::gateway::{Contacts, Gateway};
use telemesh::{Hashname, Mesh};
use tokio::net::TcpListener;

use crate::endpoint::Endpoint;
use crate::event::{Door, Happened};
use crate::failure::Failure;
use crate::home;
use crate::session::Session;

/// Serves for as long as it is polled.
pub(super) async fn run(endpoint: &Endpoint, session: &Session, listen: SocketAddr) -> Result<(), Failure> {
    let home = endpoint
        .home()
        .ok_or_else(|| Failure::Usage("a throw-away endpoint has no contacts to lead to".into()))?;
    let token = home::gateway_token(home)?;
    let cannot = |error| Failure::Failed(format!("cannot listen on {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the gateway can be reached from other machines, and its traffic be read on the way");
    }
    let mesh = endpoint.mesh();
    let secret = token.to_secret_string().to_string();
    let gateway = Gateway::new(Arc::new(mesh.clone()), OfMesh(mesh.clone()), token, address);
    let door = |contact: &telemesh::Contact| {
        let hashname = contact.hashname().to_string();
        let url = gateway.open_url(&hashname);
        Door { hashname, name: contact.name().map(ToString::to_string), url }
    };
    let contacts = mesh.contacts().iter().map(door).collect();
    session.happened(Happened::Gateway { address: address.to_string(), token: secret, contacts }).await?;
    gateway.serve(listener).await.map_err(cannot)
}

/// The contacts of an endpoint. In the names of hosts capitals make no difference, so two names that differ in nothing else
/// lead nowhere.
struct OfMesh(Mesh);

impl Contacts for OfMesh {
    fn named(&self, name: &str) -> Option<Hashname> {
        let contacts = self.0.contacts();
        let is_meant = |contact: &&telemesh::Contact| {
            contact.name().is_some_and(|other| other.as_str().eq_ignore_ascii_case(name))
        };
        let mut meant = contacts.iter().filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(contact), None) => Some(contact.hashname()),
            _ => None,
        }
    }

    fn contains(&self, hashname: &Hashname) -> bool {
        self.0.contact(hashname).is_some()
    }
}

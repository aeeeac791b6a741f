//! Chats of a mesh: everything of `telemesh-chat`, plugged into an endpoint.

use std::sync::Arc;

use telemesh_channel::BoxFuture;
use telemesh_hashname::Hashname;
use telemesh_mesh::{LinkUri, Mesh};

#[cfg(feature = "box")]
pub use crate::mailbox::BoxMailbox;
pub use telemesh_chat::*;

/// Adds `chats` to the mesh.
pub trait MeshChats {
    /// Starts the chats of this endpoint; those of the configuration's store go on. Once: somebody else who takes chats is an
    /// error. The endpoint is held as long as the chats are.
    ///
    /// Participants of chats become contacts without a name and without grants, so that they link pairwise: at once when they
    /// join, and with the addresses that they give when they say so. Whoever is forgotten afterwards stays so.
    ///
    /// # Errors
    /// [`StartError`], from the future.
    fn chats(&self, config: Config) -> BoxFuture<'static, Result<Chats, StartError>>;
}

impl MeshChats for Mesh {
    fn chats(&self, config: Config) -> BoxFuture<'static, Result<Chats, StartError>> {
        let (mesh, meeting) = (self.clone(), self.clone());
        let link = mesh.uri().to_string();
        Box::pin(async move {
            let link = if link.len() <= MAX_LINK { link } else { String::new() };
            let config = config.link(link).meet(move |peer, link| meet(&meeting, peer, link));
            Chats::start(Arc::new(mesh), config).await
        })
    }
}

/// A participant of a chat is somebody to link with.
fn meet(mesh: &Mesh, peer: Hashname, link: &str) {
    if peer == telemesh_channel::Network::hashname(mesh) {
        return;
    }
    let result = if link.is_empty() {
        mesh.add_contact(peer)
    } else {
        // Only where somebody says of themselves that they are, only while they are trusted, and without secrets.
        let Ok(mut uri) = link.parse::<LinkUri>() else { return };
        uri.take_invite();
        if uri.link().hashname() != peer || mesh.find(&peer).is_none() {
            return;
        }
        mesh.add_contact(uri)
    };
    match result {
        Ok(link) => link.connect(),
        Err(error) => tracing::debug!(%error, peer = %peer.short(), "a participant was not made a contact"),
    }
}

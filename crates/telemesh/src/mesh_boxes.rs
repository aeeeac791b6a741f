//! Boxes for a mesh: its links, and its keys to seal with.

use std::fmt;
use std::sync::Arc;

use telemesh_box::{Builder, SealFailure, Sealer};
use telemesh_hashname::Hashname;
use telemesh_mesh::Mesh;

/// Adds `boxes()` to a mesh.
pub trait MeshBoxes {
    /// Boxes over this endpoint's links, sealed with its keys: messages for and from endpoints that are away, and, if
    /// wanted, a cache for others. Once for each endpoint; nothing happens before it is started.
    ///
    /// ```no_run
    /// use telemesh::MeshBoxes as _;
    /// # async fn example(mesh: telemesh::Mesh, bob: telemesh::Hashname) -> Result<(), Box<dyn std::error::Error>> {
    /// let boxes = mesh.boxes().start()?;
    /// boxes.outbox().send(&bob, "later").await?;
    /// let mut inbox = boxes.inbox()?;
    /// while let Some(message) = inbox.next().await {
    ///     println!("{}: {} bytes", message.from(), message.content().len());
    ///     message.ack().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn boxes(&self) -> Builder;
}

impl MeshBoxes for Mesh {
    fn boxes(&self) -> Builder {
        Builder::new(Arc::new(self.clone()), Arc::new(MeshSealer(self.clone())))
    }
}

/// Seals with a mesh's keys for peers that it knows.
struct MeshSealer(Mesh);

impl Sealer for MeshSealer {
    fn seal(&self, recipient: &Hashname, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, SealFailure> {
        let keys = self.0.public_keys(recipient).ok_or(SealFailure::UnknownKeys(*recipient))?;
        Ok(self.0.seal(&keys, plaintext, context)?)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Option<(Hashname, Vec<u8>)> {
        let opened = self.0.open_sealed(sealed, context).ok()?;
        Some((opened.sender, opened.plaintext))
    }
}

impl fmt::Debug for MeshSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeshSealer({:?})", self.0)
    }
}

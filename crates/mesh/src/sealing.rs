//! Sealing with the endpoint's own keys, for channels whose messages outlive a session. The secret keys stay in here.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use telemesh_hashname::{Hashname, PublicKeys};
use telemesh_keys::{OpenError, Opened, SealError};

use crate::mesh::Mesh;

impl Mesh {
    /// The public keys of a peer as far as they are known: from its contact, or from a handshake.
    #[must_use]
    pub fn public_keys(&self, peer: &Hashname) -> Option<PublicKeys> {
        let of_contact = self.contact(peer).map(|contact| contact.info().keys().clone());
        let known = of_contact.filter(|keys| !keys.is_empty());
        known.or_else(|| self.find(peer)?.cell.look(|inner| inner.link.keys().cloned()))
    }

    /// Seals so that only `recipient` can read it, and knows that it is from this endpoint. See
    /// [`telemesh_keys::seal`]; `context` says what for.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        recipient: &PublicKeys,
        plaintext: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        // A generator of its own: the endpoint's is not locked while a long message is sealed.
        let mut rng = StdRng::from_seed(self.shared().random());
        telemesh_keys::seal(&mut rng, recipient, self.shared().core.identity.keys(), plaintext, context)
    }

    /// Opens what somebody has sealed for this endpoint in this context.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_sealed(&self, sealed: &[u8], context: &[u8]) -> Result<Opened, OpenError> {
        telemesh_keys::open(self.shared().core.identity.keys(), sealed, context)
    }
}

//! The secretless seed from which both ends make the same handshake.

use sha2::{Digest, Sha256};
use telemesh_hashname::Hashname;

/// Version of everything that both ends must do alike to start an engine: the handshake's messages,
/// its random draws, connection ids, fixed parameters. A new `quinn-proto` that changes any of them
/// is a new version; the links compare it in their Hellos.
pub const ENGINE_VERSION: u32 = 1;

const LABEL: &[u8] = b"telemesh engine seed v1";

/// What names one engine of a link: both hashnames, both incarnations, and the engine's number.
///
/// The seed holds no secret. It makes the two ends agree on connection ids and other public numbers
/// of the state machine; secrecy and authenticity are the link's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    bytes: [u8; 32],
    client: bool,
}

impl Seed {
    /// The seed of engine `number` between two endpoints, each given as hashname and incarnation.
    ///
    /// Both ends get the same seed, and opposite sides: the higher hashname is the client.
    #[must_use]
    pub fn new(local: (Hashname, u64), remote: (Hashname, u64), number: u64) -> Self {
        let client = local.0 > remote.0;
        let (high, low) = if client { (local, remote) } else { (remote, local) };
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(ENGINE_VERSION.to_le_bytes());
        for (hashname, incarnation) in [high, low] {
            hash.update(hashname.as_bytes());
            hash.update(incarnation.to_le_bytes());
        }
        hash.update(number.to_le_bytes());
        Self { bytes: hash.finalize().into(), client }
    }

    /// Whether this end keeps the client's half.
    pub(crate) fn is_client(&self) -> bool {
        self.client
    }

    /// 32 bytes of their own for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.bytes);
        hash.update(purpose.as_bytes());
        hash.finalize().into()
    }
}

//! The Noise IK handshake, run by snow with Diffie-Hellman and randomness of our own.
//!
//! Why our own `Dh`: it refuses results that are all zero (snow accepts them), keeps our public key instead of deriving
//! it for every handshake, and takes a remembered static-static result. Why our own `Random`: the ephemeral key is made
//! from exactly the 32 bytes handed in, so a link is deterministic and can be simulated.
//!
//! snow pads short keys with zeros and panics on long ones, so nothing but `[u8; 32]` reaches it. Its transport state
//! and its rekey are not used: the two raw keys go to [`crate::aead`].

use std::sync::{Arc, Mutex, PoisonError};

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Dh, Hash, Random};
use telemesh_hashname::{CipherSetId, Hashname};
use telemesh_keys::{SecretKey, SharedSecret};
use zeroize::Zeroizing;

use crate::aead::{AeadKeys, Cipher};
use crate::identity::Identity;
use crate::tags::SessionTags;

const LINK_LABEL: &[u8] = b"telemesh link v1";
const RENEW_LABEL: &[u8] = b"telemesh renew v1";

/// The handshake failed. There is nothing more to say: every failure has to look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoiseError;

impl From<snow::Error> for NoiseError {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// What both ends know before the first message, and bind into it.
pub(crate) enum Prologue {
    /// A handshake in packets of its own.
    Link,
    /// A renewal inside the session with these indexes: of the end that renews, and of the other.
    Renew { initiator_index: u32, responder_index: u32 },
    /// That of published test vectors.
    #[cfg(test)]
    Vector(&'static [u8]),
}

impl Prologue {
    fn bytes(&self, csid: CipherSetId, responder: Hashname) -> Vec<u8> {
        let label = match self {
            Self::Link => LINK_LABEL,
            Self::Renew { .. } => RENEW_LABEL,
            #[cfg(test)]
            Self::Vector(prologue) => return prologue.to_vec(),
        };
        let mut bytes = label.to_vec();
        bytes.push(csid.number());
        bytes.extend_from_slice(responder.as_bytes());
        if let Self::Renew { initiator_index, responder_index } = self {
            bytes.extend_from_slice(&initiator_index.to_le_bytes());
            bytes.extend_from_slice(&responder_index.to_le_bytes());
        }
        bytes
    }
}

/// The static-static result with one peer, kept so that not every handshake computes it anew.
pub(crate) struct StaticShared {
    pub(crate) csid: CipherSetId,
    pub(crate) peer: [u8; 32],
    pub(crate) secret: SharedSecret,
}

/// One end of a Noise IK handshake.
pub(crate) struct Handshake {
    state: snow::HandshakeState,
    ephemeral: EphemeralSlot,
    csid: CipherSetId,
    initiator: bool,
}

impl Handshake {
    /// The end that knows the other's static key and writes first.
    pub(crate) fn initiator(
        identity: &Arc<Identity>,
        shared: &Arc<StaticShared>,
        responder: Hashname,
        prologue: &Prologue,
    ) -> Result<Self, NoiseError> {
        let csid = shared.csid;
        let resolver = Resolver::new(identity, csid, Some(shared));
        let ephemeral = resolver.ephemeral.clone();
        let prologue = prologue.bytes(csid, responder);
        let state = snow::Builder::with_resolver(params(csid)?, Box::new(resolver))
            .local_private_key(&PLACEHOLDER)?
            .remote_public_key(&shared.peer)?
            .prologue(&prologue)?
            .build_initiator()?;
        Ok(Self { state, ephemeral, csid, initiator: true })
    }

    /// The end that reads first. `shared` spares a Diffie-Hellman when it turns out to be with that peer.
    pub(crate) fn responder(
        identity: &Arc<Identity>,
        csid: CipherSetId,
        shared: Option<&Arc<StaticShared>>,
        prologue: &Prologue,
    ) -> Result<Self, NoiseError> {
        let resolver = Resolver::new(identity, csid, shared);
        let ephemeral = resolver.ephemeral.clone();
        let prologue = prologue.bytes(csid, identity.hashname());
        let state = snow::Builder::with_resolver(params(csid)?, Box::new(resolver))
            .local_private_key(&PLACEHOLDER)?
            .prologue(&prologue)?
            .build_responder()?;
        Ok(Self { state, ephemeral, csid, initiator: false })
    }

    /// Writes this end's message around `payload` into `out`, which has exactly its size. `drawn` becomes the ephemeral
    /// secret.
    pub(crate) fn write(
        &mut self,
        drawn: Zeroizing<[u8; 32]>,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(), NoiseError> {
        self.ephemeral.put(drawn);
        let written = self.state.write_message(payload, out)?;
        if written == out.len() { Ok(()) } else { Err(NoiseError) }
    }

    /// Reads the other end's message; returns the length of the payload written to `payload`.
    ///
    /// After an error the handshake is as before, and another message can be tried.
    pub(crate) fn read(&mut self, message: &[u8], payload: &mut [u8]) -> Result<usize, NoiseError> {
        Ok(self.state.read_message(message, payload)?)
    }

    /// The static key of the other end, once known.
    pub(crate) fn remote_static(&self) -> Option<[u8; 32]> {
        self.state.get_remote_static()?.first_chunk().copied()
    }

    /// The keys of the session, when both messages have been exchanged.
    pub(crate) fn into_keys(self) -> Result<AeadKeys, NoiseError> {
        self.into_keys_and_tags().map(|(keys, _)| keys)
    }

    /// The keys of the session, and the return tags that it leaves.
    pub(crate) fn into_keys_and_tags(mut self) -> Result<(AeadKeys, SessionTags), NoiseError> {
        if !self.state.is_handshake_finished() {
            return Err(NoiseError);
        }
        let cipher = Cipher::of(self.csid).ok_or(NoiseError)?;
        let (first, second) = self.state.dangerously_get_raw_split();
        let (first, second) = (Zeroizing::new(first), Zeroizing::new(second));
        let (seal, open) = if self.initiator { (&first, &second) } else { (&second, &first) };
        let keys = AeadKeys::new(cipher, seal, open).map_err(|_| NoiseError)?;
        Ok((keys, SessionTags::derive(&first, &second, self.initiator)))
    }
}

fn params(csid: CipherSetId) -> Result<NoiseParams, NoiseError> {
    let name = match csid {
        CipherSetId::CS11 => "Noise_IK_25519_ChaChaPoly_BLAKE2s",
        CipherSetId::CS21 => "Noise_IK_25519_AESGCM_SHA256",
        _ => return Err(NoiseError),
    };
    Ok(name.parse()?)
}

/// snow wants to be told a private key; [`LinkDh`] has the real one and only learns from this call that it is static.
const PLACEHOLDER: [u8; 32] = [0; 32];

/// The 32 bytes for the next ephemeral key, shared between a handshake and the generator inside snow.
#[derive(Clone, Default)]
struct EphemeralSlot(Arc<Mutex<Option<Zeroizing<[u8; 32]>>>>);

impl EphemeralSlot {
    fn put(&self, drawn: Zeroizing<[u8; 32]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(drawn);
    }
}

impl Random for EphemeralSlot {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let drawn = drawn.filter(|drawn| drawn.len() == dest.len()).ok_or(snow::Error::Rng)?;
        dest.copy_from_slice(drawn.as_ref());
        Ok(())
    }
}

/// Gives snow our Diffie-Hellman and randomness, and its own hashes and ciphers.
struct Resolver {
    identity: Arc<Identity>,
    csid: CipherSetId,
    shared: Option<Arc<StaticShared>>,
    ephemeral: EphemeralSlot,
}

impl Resolver {
    fn new(identity: &Arc<Identity>, csid: CipherSetId, shared: Option<&Arc<StaticShared>>) -> Self {
        let (identity, shared) = (Arc::clone(identity), shared.cloned());
        Self { identity, csid, shared, ephemeral: EphemeralSlot::default() }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(self.ephemeral.clone()))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        if *choice != DHChoice::Curve25519 {
            return None;
        }
        Some(Box::new(LinkDh {
            identity: Arc::clone(&self.identity),
            csid: self.csid,
            shared: self.shared.clone(),
            role: Role::Unset,
        }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn snow::types::Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Which key a [`LinkDh`] stands for. snow sets the static one and generates the ephemeral one.
enum Role {
    Unset,
    Static,
    Ephemeral(SecretKey),
}

struct LinkDh {
    identity: Arc<Identity>,
    csid: CipherSetId,
    shared: Option<Arc<StaticShared>>,
    role: Role,
}

impl LinkDh {
    fn secret(&self) -> Option<&SecretKey> {
        match &self.role {
            Role::Unset => None,
            Role::Static => self.identity.secret(self.csid),
            Role::Ephemeral(secret) => Some(secret),
        }
    }

    fn remembered(&self, public: &[u8; 32]) -> Option<&SharedSecret> {
        let shared = self.shared.as_deref()?;
        let applies = matches!(self.role, Role::Static) && shared.csid == self.csid && shared.peer == *public;
        applies.then_some(&shared.secret)
    }
}

impl Dh for LinkDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, _placeholder: &[u8]) {
        self.role = Role::Static;
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(bytes.as_mut())?;
        self.role = Role::Ephemeral(SecretKey::from_bytes(&bytes));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.secret().map_or(&PLACEHOLDER, |secret| secret.public())
    }

    fn privkey(&self) -> &[u8] {
        // Only snow's key generation asks for it, which is not used: no copy of a secret leaves this type.
        &PLACEHOLDER
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public: &[u8; 32] = pubkey.first_chunk().ok_or(snow::Error::Dh)?;
        let out: &mut [u8; 32] = out.first_chunk_mut().ok_or(snow::Error::Dh)?;
        if let Some(remembered) = self.remembered(public) {
            *out = *remembered.as_bytes();
            return Ok(());
        }
        let secret = self.secret().ok_or(snow::Error::Dh)?;
        *out = *secret.agree(public).map_err(|_| snow::Error::Dh)?.as_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

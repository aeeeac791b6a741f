//! snow, set up so that secret keys stay in our types and randomness comes from the caller.
//!
//! snow takes keys as slices, does not check their lengths (short ones are padded, long ones panic), accepts low-order
//! points, and computes public keys again each time. So its X25519 is replaced by [`SecretKey`], and snow never sees a
//! secret key: where it wants one it gets a placeholder that means "the static key".

use std::sync::Arc;

use rand_core::CryptoRng;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use telemesh_hashname::CipherSetId;
use zeroize::Zeroizing;

use crate::SecretKey;

/// Stands for the static key where snow wants its bytes.
const STATIC_KEY: [u8; 32] = [0; 32];

/// The sender's side of Noise X. Takes the ephemeral key's 32 bytes from `rng` and nothing more.
pub(super) fn sender<R: CryptoRng + ?Sized>(
    rng: &mut R,
    csid: CipherSetId,
    secret: &Arc<SecretKey>,
    recipient: &[u8; 32],
    prologue: &[u8],
) -> Result<HandshakeState, Error> {
    let mut drawn = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *drawn);
    builder(csid, secret, Some(drawn), prologue)?.remote_public_key(recipient)?.build_initiator()
}

/// The recipient's side of Noise X.
pub(super) fn recipient(
    csid: CipherSetId,
    secret: &Arc<SecretKey>,
    prologue: &[u8],
) -> Result<HandshakeState, Error> {
    builder(csid, secret, None, prologue)?.build_responder()
}

fn builder<'a>(
    csid: CipherSetId,
    secret: &Arc<SecretKey>,
    drawn: Option<Zeroizing<[u8; 32]>>,
    prologue: &'a [u8],
) -> Result<Builder<'a>, Error> {
    let name = match csid {
        CipherSetId::CS11 => "Noise_X_25519_ChaChaPoly_BLAKE2s",
        CipherSetId::CS21 => "Noise_X_25519_AESGCM_SHA256",
        _ => return Err(Error::Input),
    };
    let resolver = Resolver { secret: Arc::clone(secret), drawn };
    Builder::with_resolver(name.parse()?, Box::new(resolver))
        .local_private_key(&STATIC_KEY)?
        .prologue(prologue)
}

/// Our keys and randomness, snow's ciphers and hashes.
struct Resolver {
    secret: Arc<SecretKey>,
    drawn: Option<Zeroizing<[u8; 32]>>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(self.drawn.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519 { secret: Arc::clone(&self.secret), key: None })),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The 32 bytes drawn for the ephemeral key. Gives them once: asked again, it fails rather than repeat itself.
struct Drawn(Option<Zeroizing<[u8; 32]>>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Error> {
        let drawn = self.0.take().ok_or(Error::Rng)?;
        let target: &mut [u8; 32] = target.try_into().map_err(|_| Error::Rng)?;
        *target = *drawn;
        Ok(())
    }
}

/// One key of a handshake: nothing at first, then the static key or a fresh ephemeral one.
struct X25519 {
    secret: Arc<SecretKey>,
    key: Option<Arc<SecretKey>>,
}

impl Dh for X25519 {
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
        self.key = Some(Arc::clone(&self.secret));
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *bytes)?;
        self.key = Some(Arc::new(SecretKey::from_bytes(&bytes)));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        // snow asks only keys that it has set or generated.
        self.key.as_ref().map_or(&[0; 32], |key| key.public())
    }

    fn privkey(&self) -> &[u8] {
        &STATIC_KEY
    }

    /// `public` and `out` are longer than 32 bytes: snow hands over buffers that would hold a key of any curve.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.first_chunk::<32>().ok_or(Error::Dh)?;
        let out = out.first_chunk_mut::<32>().ok_or(Error::Dh)?;
        let key = self.key.as_ref().ok_or(Error::Dh)?;
        *out = *key.agree(public).map_err(|_| Error::Dh)?.as_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! What snow must not be able to do, whatever it asks for.

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn resolver(drawn: Option<[u8; 32]>) -> Resolver {
        let secret = Arc::new(SecretKey::generate(&mut StdRng::seed_from_u64(1)));
        Resolver { secret, drawn: drawn.map(Zeroizing::new) }
    }

    #[test]
    fn drawn_randomness_is_given_once_and_never_in_part() {
        let mut rng = resolver(Some([7; 32])).resolve_rng().unwrap();
        let mut bytes = [0; 32];
        assert_eq!(rng.try_fill_bytes(&mut bytes), Ok(()));
        assert_eq!(bytes, [7; 32]);
        assert_eq!(rng.try_fill_bytes(&mut bytes), Err(Error::Rng));

        for length in [0, 31, 33] {
            let mut rng = resolver(Some([7; 32])).resolve_rng().unwrap();
            assert_eq!(rng.try_fill_bytes(&mut vec![0; length]), Err(Error::Rng), "{length} bytes");
        }
        let mut none = resolver(None).resolve_rng().unwrap();
        assert_eq!(none.try_fill_bytes(&mut bytes), Err(Error::Rng));
    }

    #[test]
    fn the_static_key_is_used_but_not_shown() {
        let resolver = resolver(None);
        let mut dh = resolver.resolve_dh(&DHChoice::Curve25519).unwrap();
        let mut out = [0; 56];
        assert_eq!(dh.dh(&[9; 56], &mut out), Err(Error::Dh), "no key yet");

        dh.set(&STATIC_KEY);

        assert_eq!(dh.pubkey(), resolver.secret.public());
        assert_eq!(dh.privkey(), STATIC_KEY);
        assert_eq!(dh.dh(&[9; 56], &mut out), Ok(()));
        assert_eq!(out[..32], *resolver.secret.agree(&[9; 32]).unwrap().as_bytes());
        assert_eq!(out[32..], [0; 24]);
    }

    #[test]
    fn low_order_points_and_short_buffers_are_refused() {
        let mut dh = resolver(None).resolve_dh(&DHChoice::Curve25519).unwrap();
        dh.set(&STATIC_KEY);
        assert_eq!(dh.dh(&[0; 32], &mut [0; 32]), Err(Error::Dh));
        assert_eq!(dh.dh(&[9; 31], &mut [0; 32]), Err(Error::Dh));
        assert_eq!(dh.dh(&[9; 32], &mut [0; 31]), Err(Error::Dh));
    }

    #[test]
    fn only_x25519_is_there() {
        assert!(resolver(None).resolve_dh(&DHChoice::Curve448).is_none());
    }
}

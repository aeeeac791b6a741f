//! Invites as credentials: proving knowledge of an invite's secret without showing it, and checking such a proof.
//!
//! Which invites exist, what they grant and how often they may be used is the mesh's to know.

use ring::hmac;
use subtle::ConstantTimeEq as _;
use telemesh_hashname::Hashname;

/// Bytes of a proof.
pub const INVITE_PROOF_SIZE: usize = 32;

const LABEL: &[u8] = b"telemesh invite proof v1";

/// The proof that `bearer` knows the secret of an invite that `issuer` gave out: HMAC-SHA256 over both hashnames, keyed
/// by the secret. It goes into the hello as the credential.
///
/// Who sees it (only the issuer can) learns nothing of the secret, and it is of no use to any other bearer.
#[must_use]
pub fn prove_invite(secret: &[u8; 32], issuer: &Hashname, bearer: &Hashname) -> [u8; INVITE_PROOF_SIZE] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(LABEL);
    context.update(issuer.as_bytes());
    context.update(bearer.as_bytes());
    let mut proof = [0; INVITE_PROOF_SIZE];
    proof.copy_from_slice(context.sign().as_ref());
    proof
}

/// Whether a credential is the proof for this invite, in constant time. Call it for every open invite, also after one
/// has matched, so that the time taken says nothing.
#[must_use]
pub fn check_invite(secret: &[u8; 32], issuer: &Hashname, bearer: &Hashname, credential: &[u8]) -> bool {
    prove_invite(secret, issuer, bearer).ct_eq(credential).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: Hashname = Hashname::from_bytes([1; 32]);
    const BEARER: Hashname = Hashname::from_bytes([2; 32]);

    #[test]
    fn a_proof_holds_for_its_secret_issuer_and_bearer_only() {
        let proof = prove_invite(&[7; 32], &ISSUER, &BEARER);
        assert!(check_invite(&[7; 32], &ISSUER, &BEARER, &proof));
        assert!(!check_invite(&[8; 32], &ISSUER, &BEARER, &proof));
        assert!(!check_invite(&[7; 32], &BEARER, &ISSUER, &proof));
        assert!(!check_invite(&[7; 32], &ISSUER, &ISSUER, &proof));
    }

    #[test]
    fn a_credential_of_another_length_is_no_proof() {
        let proof = prove_invite(&[7; 32], &ISSUER, &BEARER);
        assert!(!check_invite(&[7; 32], &ISSUER, &BEARER, proof.get(..31).unwrap()));
        assert!(!check_invite(&[7; 32], &ISSUER, &BEARER, &[proof.as_slice(), &[0]].concat()));
        assert!(!check_invite(&[7; 32], &ISSUER, &BEARER, &[]));
    }
}

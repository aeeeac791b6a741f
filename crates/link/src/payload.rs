//! Handshake payloads: a message with its length in front and zeros behind, so that every handshake packet has one size.

use telemesh_hashname::CipherSetId;
use telemesh_wire::KeyDigests;
use zeroize::Zeroizing;

use crate::counters::DropReason;
use crate::identity::Identity;

/// Puts a message into a payload of exactly `N` bytes; `None` if it does not fit.
pub(crate) fn pad<const N: usize>(message: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let mut payload = Zeroizing::new([0; N]);
    let (length, rest) = payload.split_first_chunk_mut()?;
    *length = u16::try_from(message.len()).ok()?.to_le_bytes();
    rest.get_mut(..message.len())?.copy_from_slice(message);
    Some(payload)
}

/// The message in a payload.
pub(crate) fn unpad(payload: &[u8]) -> Option<&[u8]> {
    let (length, rest) = payload.split_first_chunk()?;
    rest.get(..usize::from(u16::from_le_bytes(*length)))
}

/// Checks that the static key of a handshake is the key that the list names for the cipher set, and that this is the
/// strongest one that both ends have. Together with the list's hashname this is who the other end is.
pub(crate) fn check_identity(
    identity: &Identity,
    csid: CipherSetId,
    static_key: &[u8; 32],
    claimed: &KeyDigests,
) -> Result<(), DropReason> {
    if claimed.digest(csid) != Some(telemesh_hashname::KeyDigest::of(static_key)) {
        return Err(DropReason::Hashname);
    }
    if identity.highest_shared(claimed.cipher_sets()) != Some(csid) {
        return Err(DropReason::Downgrade);
    }
    Ok(())
}

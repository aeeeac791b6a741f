//! Sealing a message.

use rand_core::CryptoRng;
use telemesh_hashname::PublicKeys;
use zeroize::Zeroizing;

use super::noise;
use super::{
    HANDSHAKE_OVERHEAD, MAX_NOISE_MESSAGE, MAX_PLAINTEXT, PREFIX_LENGTH, SealError, TAG_LENGTH, VERSION,
    prologue,
};
use crate::KeySet;

/// Seals `plaintext` so that only `recipient` can read it and knows that `sender` wrote it.
///
/// `context` says what the message is for, and opening needs the same one: a message sealed for one purpose is worth
/// nothing for another. It is not part of the result. The result is about 170 bytes longer than the plaintext, plus 16
/// for every further 64 KiB.
///
/// What this gives (Noise section 7.7, pattern X) and what it does not:
///
/// - Only the recipient learns the sender and the plaintext. Anybody sees the length and the cipher set.
/// - No forward secrecy: whoever gets the recipient's secret key later can read it.
/// - Whoever has the recipient's secret key can also make messages *for the recipient* that seem to be from anybody.
/// - Opening the same sealed message twice works twice. Put an id into the plaintext where that matters.
///
/// # Errors
///
/// [`SealError`] when the recipient's keys do not allow it or the plaintext is longer than [`MAX_PLAINTEXT`].
pub fn seal<R: CryptoRng + ?Sized>(
    rng: &mut R,
    recipient: &PublicKeys,
    sender: &KeySet,
    plaintext: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, SealError> {
    let length = plaintext.len();
    let claimed = u32::try_from(length).ok().filter(|_| length <= MAX_PLAINTEXT);
    let claimed = claimed.ok_or(SealError::TooLong { length })?;

    let csid = recipient.highest_shared(sender.cipher_sets()).ok_or(SealError::NoSharedCipherSet)?;
    let secret = sender.secret(csid).ok_or(SealError::NoSharedCipherSet)?;
    let hashname = recipient.hashname().map_err(|_| SealError::NoSharedCipherSet)?;
    let key = recipient.key(csid).ok_or(SealError::KeyUnknown { csid })?;
    let key: &[u8; 32] = key.try_into().map_err(|_| SealError::InvalidKey { csid })?;

    let mut handshake =
        noise::sender(rng, csid, secret, key, &prologue(hashname, context)).map_err(|_| SealError::Noise)?;
    let (payload, rest) = first_payload(claimed, sender.public(), plaintext);

    let parts = rest.len().div_ceil(MAX_NOISE_MESSAGE - TAG_LENGTH);
    let mut sealed = Vec::with_capacity(
        PREFIX_LENGTH + HANDSHAKE_OVERHEAD + payload.len() + rest.len() + parts * TAG_LENGTH,
    );
    sealed.extend_from_slice(&[VERSION, csid.number()]);
    append(&mut sealed, payload.len() + HANDSHAKE_OVERHEAD, |message| {
        handshake.write_message(&payload, message)
    })
    .map_err(|error| match error {
        snow::Error::Dh => SealError::InvalidKey { csid },
        _ => SealError::Noise,
    })?;

    let mut transport = handshake.into_transport_mode().map_err(|_| SealError::Noise)?;
    for part in rest.chunks(MAX_NOISE_MESSAGE - TAG_LENGTH) {
        append(&mut sealed, part.len() + TAG_LENGTH, |message| transport.write_message(part, message))
            .map_err(|_| SealError::Noise)?;
    }
    Ok(sealed)
}

/// The payload of the first Noise message: the header and as much of the plaintext as fits; and the rest of it.
pub(super) fn first_payload<'a>(
    claimed: u32,
    sender: &PublicKeys,
    plaintext: &'a [u8],
) -> (Zeroizing<Vec<u8>>, &'a [u8]) {
    let mut header = claimed.to_le_bytes().to_vec();
    // A set of public keys holds at most eight, so the count fits its byte.
    header.push(u8::try_from(sender.len()).unwrap_or(u8::MAX));
    for key in sender {
        header.push(key.cipher_set().number());
        header.extend_from_slice(key.digest().as_bytes());
    }
    let room = MAX_NOISE_MESSAGE - HANDSHAKE_OVERHEAD - header.len();
    let (first, rest) = plaintext.split_at(plaintext.len().min(room));

    // Allocated once, so that no copy of the plaintext stays behind.
    let mut payload = Zeroizing::new(Vec::with_capacity(header.len() + first.len()));
    payload.extend_from_slice(&header);
    payload.extend_from_slice(first);
    (payload, rest)
}

/// Has a Noise message of at most `length` bytes written after what is in `sealed`.
fn append(
    sealed: &mut Vec<u8>,
    length: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, snow::Error>,
) -> Result<(), snow::Error> {
    let start = sealed.len();
    sealed.resize(start + length, 0);
    let written = write(sealed.get_mut(start..).unwrap_or_default())?;
    sealed.truncate(start + written);
    Ok(())
}

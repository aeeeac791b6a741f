//! Opening a sealed message.

use std::sync::Arc;

use snow::HandshakeState;
use telemesh_hashname::{CipherSetId, KeyDigest, PublicKeys};
use zeroize::Zeroizing;

use super::noise;
use super::{
    MAX_NOISE_MESSAGE, MAX_PLAINTEXT, OpenError, Opened, PREFIX_LENGTH, TAG_LENGTH, VERSION, prologue,
};
use crate::{KeySet, SecretKey};

/// Opens what [`seal`](crate::seal) made for `recipient` in the same `context`.
///
/// Checks that the sender's key belongs to the sender's hashname, and that the cipher set is the highest that both
/// have. Allocates about the length of `sealed`, whatever is written in it.
///
/// # Errors
///
/// [`OpenError`]. It tells no more than what anybody can see from outside.
pub fn open(recipient: &KeySet, sealed: &[u8], context: &[u8]) -> Result<Opened, OpenError> {
    let Some((&[VERSION, csid], messages)) = sealed.split_first_chunk::<PREFIX_LENGTH>() else {
        return Err(OpenError::NotSealed);
    };
    let csid = CipherSetId::new(csid);
    let secret = recipient.secret(csid).ok_or(OpenError::NoKey { csid })?;
    open_messages(recipient, csid, secret, messages, context).ok_or(OpenError::NotAuthentic)
}

/// Opens the Noise messages. `None` whatever is wrong with them.
fn open_messages(
    recipient: &KeySet,
    csid: CipherSetId,
    secret: &Arc<SecretKey>,
    messages: &[u8],
    context: &[u8],
) -> Option<Opened> {
    let (first, rest) = messages.split_at(messages.len().min(MAX_NOISE_MESSAGE));
    let prologue = prologue(recipient.hashname(), context);
    let mut handshake = noise::recipient(csid, secret, &prologue).ok()?;

    let mut payload = Zeroizing::new(vec![0; first.len()]);
    let length = handshake.read_message(first, &mut payload).ok()?;
    let (header, begin) = read_header(payload.get(..length)?)?;
    if plaintext_length(begin, rest)? != header.length {
        return None;
    }
    let sender_keys = sender_keys(recipient, csid, header.digests, &handshake)?;

    let mut plaintext = Vec::with_capacity(header.length);
    plaintext.extend_from_slice(begin);
    let mut transport = handshake.into_transport_mode().ok()?;
    for part in rest.chunks(MAX_NOISE_MESSAGE) {
        let start = plaintext.len();
        plaintext.resize(start + part.len().checked_sub(TAG_LENGTH)?, 0);
        transport.read_message(part, plaintext.get_mut(start..)?).ok()?;
    }
    Some(Opened { sender: sender_keys.hashname().ok()?, sender_keys, plaintext })
}

/// What the first payload starts with.
struct Header {
    /// Length of the whole plaintext in bytes.
    length: usize,
    /// The digests of the sender's keys.
    digests: PublicKeys,
}

/// Takes the header off the first payload.
fn read_header(payload: &[u8]) -> Option<(Header, &[u8])> {
    let (length, payload) = payload.split_first_chunk::<4>()?;
    let length =
        usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_PLAINTEXT)?;
    let (&count, mut payload) = payload.split_first()?;

    let mut digests = PublicKeys::new();
    let mut previous = None;
    for _ in 0..count {
        let (&[csid], after) = payload.split_first_chunk::<1>()?;
        let (digest, after) = after.split_first_chunk::<32>()?;
        // Ascending, because that is how they are written: one sender has one header.
        if previous.is_some_and(|previous| csid <= previous) {
            return None;
        }
        previous = Some(csid);
        digests.insert_digest(CipherSetId::new(csid), KeyDigest::from_bytes(*digest)).ok()?;
        payload = after;
    }
    Some((Header { length, digests }, payload))
}

/// Length of the plaintext in `begin` and all the messages of `rest`, none of which may be empty.
fn plaintext_length(begin: &[u8], rest: &[u8]) -> Option<usize> {
    let mut length = begin.len();
    for part in rest.chunks(MAX_NOISE_MESSAGE) {
        length += part.len().checked_sub(TAG_LENGTH).filter(|length| *length > 0)?;
    }
    Some(length)
}

/// The sender's keys, if the static key that Noise has proven is among them and no higher set could have been used.
fn sender_keys(
    recipient: &KeySet,
    csid: CipherSetId,
    digests: PublicKeys,
    handshake: &HandshakeState,
) -> Option<PublicKeys> {
    if digests.highest_shared(recipient.cipher_sets()) != Some(csid) {
        return None;
    }
    let mut keys = digests;
    keys.insert_key(csid, handshake.get_remote_static()?).ok()?;
    Some(keys)
}

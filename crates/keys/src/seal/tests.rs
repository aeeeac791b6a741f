//! Sealing: published Noise vectors, every way to tamper, and the ways a sender could lie.

use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_core::{TryCryptoRng, TryRng};
use telemesh_hashname::KeyDigest;

use super::write::first_payload;
use super::*;
use crate::{KeySet, SecretKey};

const CS11: CipherSetId = CipherSetId::CS11;
const CS21: CipherSetId = CipherSetId::CS21;

fn keys(seed: u64) -> KeySet {
    KeySet::generate(&mut StdRng::seed_from_u64(seed))
}

fn keys_for(seed: u64, sets: &[CipherSetId]) -> KeySet {
    let mut rng = StdRng::seed_from_u64(seed);
    let secrets = sets.iter().map(|csid| (*csid, SecretKey::generate(&mut rng)));
    KeySet::from_secrets(secrets).expect("known cipher sets")
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("hex is ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A generator that gives these bytes and then nothing: it panics when more is drawn than expected.
struct Exactly(Vec<u8>);

impl TryRng for Exactly {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("sealing draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("sealing draws bytes")
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(target.len());
        target.copy_from_slice(&std::mem::replace(&mut self.0, rest));
        Ok(())
    }
}

impl TryCryptoRng for Exactly {}

/// Seals with a fixed generator, in the context of these tests.
fn sealed(sender: &KeySet, recipient: &KeySet, plaintext: &[u8]) -> Vec<u8> {
    seal(&mut StdRng::seed_from_u64(99), recipient.public(), sender, plaintext, b"test")
        .expect("it can be sealed")
}

#[test]
fn what_is_sealed_is_opened_with_its_sender() {
    let (alice, bob) = (keys(1), keys(2));
    let opened = open(&bob, &sealed(&alice, &bob, b"hello"), b"test").unwrap();
    assert_eq!(opened.plaintext, b"hello");
    assert_eq!(opened.sender, alice.hashname());
    assert_eq!(opened.sender_keys.hashname(), Ok(alice.hashname()));
    assert_eq!(opened.sender_keys.key(CS21), alice.public().key(CS21));
    assert_eq!(opened.sender_keys.key(CS11), None);
}

#[test]
fn one_may_seal_for_oneself() {
    let alice = keys(1);
    assert_eq!(open(&alice, &sealed(&alice, &alice, b"note"), b"test").unwrap().sender, alice.hashname());
}

#[test]
fn plaintexts_round_trip_around_the_ends_of_noise_messages() {
    let (alice, bob) = (keys(1), keys(2));
    let first = MAX_NOISE_MESSAGE - HANDSHAKE_OVERHEAD - (4 + 1 + 2 * 33);
    let part = MAX_NOISE_MESSAGE - TAG_LENGTH;
    for boundary in [1, first, first + part, first + 2 * part] {
        for length in boundary - 1..=boundary + 1 {
            let plaintext: Vec<u8> = (0..=250).cycle().take(length).collect();
            let sealed = sealed(&alice, &bob, &plaintext);
            let further = length.saturating_sub(first).div_ceil(part);
            assert_eq!(sealed.len(), 2 + 96 + 71 + length + 16 * further, "{length}");
            assert_eq!(open(&bob, &sealed, b"test").unwrap().plaintext, plaintext, "{length}");
        }
    }
}

#[test]
fn the_longest_plaintext_is_sealed_and_one_byte_more_is_not() {
    let (alice, bob) = (keys(1), keys(2));
    let mut plaintext = vec![7; MAX_PLAINTEXT];
    assert_eq!(open(&bob, &sealed(&alice, &bob, &plaintext), b"test").unwrap().plaintext, plaintext);
    plaintext.push(7);
    let length = plaintext.len();
    let result = seal(&mut StdRng::seed_from_u64(1), bob.public(), &alice, &plaintext, b"test");
    assert_eq!(result, Err(SealError::TooLong { length }));
}

#[test]
fn only_the_recipient_opens_it_and_only_in_its_context() {
    let (alice, bob, eve) = (keys(1), keys(2), keys(3));
    let sealed = sealed(&alice, &bob, b"hello");
    assert_eq!(open(&eve, &sealed, b"test"), Err(OpenError::NotAuthentic));
    assert_eq!(open(&alice, &sealed, b"test"), Err(OpenError::NotAuthentic));
    for context in [&b""[..], b"tes", b"test ", b"other"] {
        assert_eq!(open(&bob, &sealed, context), Err(OpenError::NotAuthentic));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (alice, bob) = (keys(1), keys(2));
    let sealed = sealed(&alice, &bob, b"hello");
    for offset in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[offset] ^= 1 << bit;
            let error = open(&bob, &changed, b"test").unwrap_err();
            match offset {
                0 => assert_eq!(error, OpenError::NotSealed),
                1 => assert!(matches!(error, OpenError::NoKey { .. } | OpenError::NotAuthentic)),
                // The highest bit of an X25519 key means nothing, but the handshake hash covers it.
                _ => assert_eq!(error, OpenError::NotAuthentic),
            }
        }
    }
}

#[test]
fn every_shorter_or_longer_form_is_refused() {
    let (alice, bob) = (keys(1), keys(2));
    let sealed = sealed(&alice, &bob, b"hello");
    for length in 0..sealed.len() {
        let error = open(&bob, &sealed[..length], b"test").unwrap_err();
        let expected = if length < 2 { OpenError::NotSealed } else { OpenError::NotAuthentic };
        assert_eq!(error, expected, "{length} bytes");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(open(&bob, &longer, b"test"), Err(OpenError::NotAuthentic));
}

#[test]
fn parts_that_are_missing_swapped_or_repeated_are_refused() {
    let (alice, bob) = (keys(1), keys(2));
    let sealed = sealed(&alice, &bob, &vec![1; 4 * MAX_NOISE_MESSAGE]);
    let (prefix, body) = sealed.split_at(PREFIX_LENGTH);
    let parts: Vec<&[u8]> = body.chunks(MAX_NOISE_MESSAGE).collect();
    assert_eq!(parts.len(), 5);
    let with = |order: &[usize]| {
        let body: Vec<u8> = order.iter().flat_map(|index| parts[*index]).copied().collect();
        open(&bob, &[prefix, &body].concat(), b"test")
    };

    assert!(with(&[0, 1, 2, 3, 4]).is_ok());
    for wrong in
        [&[0][..], &[0, 1, 2, 3], &[0, 2, 1, 3, 4], &[0, 1, 1, 3, 4], &[0, 1, 2, 3, 4, 4], &[1, 0, 2, 3, 4]]
    {
        assert_eq!(with(wrong), Err(OpenError::NotAuthentic), "{wrong:?}");
    }
    // A cut inside the last part, and a last part that is only a tag.
    for cut in [1, parts[4].len() - TAG_LENGTH, parts[4].len() - 1] {
        assert_eq!(open(&bob, &sealed[..sealed.len() - cut], b"test"), Err(OpenError::NotAuthentic));
    }
}

#[test]
fn each_sealing_is_different_and_draws_one_key_of_randomness() {
    let (alice, bob) = (keys(1), keys(2));
    let mut rng = StdRng::seed_from_u64(5);
    let first = seal(&mut rng, bob.public(), &alice, b"hello", b"test").unwrap();
    let second = seal(&mut rng, bob.public(), &alice, b"hello", b"test").unwrap();
    assert_ne!(first[PREFIX_LENGTH..PREFIX_LENGTH + 32], second[PREFIX_LENGTH..PREFIX_LENGTH + 32]);

    let mut exactly = Exactly(vec![9; 32]);
    seal(&mut exactly, bob.public(), &alice, b"hello", b"test").unwrap();
    assert!(exactly.0.is_empty());
}

#[test]
fn the_highest_shared_cipher_set_is_used() {
    let sets = [&[CS11][..], &[CS21], &[CS11, CS21]];
    for (ours, theirs, expected) in [
        (0, 0, Some(CS11)),
        (1, 1, Some(CS21)),
        (2, 2, Some(CS21)),
        (0, 2, Some(CS11)),
        (2, 1, Some(CS21)),
        (0, 1, None),
        (1, 0, None),
    ] {
        let (alice, bob) = (keys_for(1, sets[ours]), keys_for(2, sets[theirs]));
        let result = seal(&mut StdRng::seed_from_u64(1), bob.public(), &alice, b"hello", b"");
        let Some(csid) = expected else {
            assert_eq!(result, Err(SealError::NoSharedCipherSet));
            continue;
        };
        let sealed = result.unwrap();
        assert_eq!(sealed[1], csid.number());
        assert_eq!(open(&bob, &sealed, b"").unwrap().sender, alice.hashname());
    }
}

#[test]
fn a_recipient_whose_strong_key_is_withheld_gets_nothing_weaker() {
    let (alice, bob) = (keys(1), keys(2));
    let mut shown = PublicKeys::new();
    shown.insert_key(CS11, bob.public().key(CS11).unwrap()).unwrap();
    shown.insert_digest(CS21, bob.public().digest(CS21).unwrap()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    assert_eq!(seal(&mut rng, &shown, &alice, b"x", b""), Err(SealError::KeyUnknown { csid: CS21 }));

    // A set that we do not have is no hindrance.
    let mut newer = bob.public().clone();
    newer.insert_digest(CipherSetId::new(0x31), KeyDigest::of(b"later")).unwrap();
    assert_eq!(seal(&mut rng, &newer, &alice, b"x", b"").unwrap()[1], CS21.number());
}

#[test]
fn invalid_recipient_keys_are_refused() {
    let alice = keys(1);
    let mut rng = StdRng::seed_from_u64(1);
    assert_eq!(seal(&mut rng, &PublicKeys::new(), &alice, b"x", b""), Err(SealError::NoSharedCipherSet));
    for key in [&[0; 32][..], &[1; 31], &[1; 33], &[1; 256], &[1]] {
        let mut recipient = PublicKeys::new();
        recipient.insert_key(CS21, key).unwrap();
        assert_eq!(seal(&mut rng, &recipient, &alice, b"x", b""), Err(SealError::InvalidKey { csid: CS21 }));
    }
}

#[test]
fn a_low_order_ephemeral_key_is_refused() {
    let (alice, bob) = (keys(1), keys(2));
    let mut sealed = sealed(&alice, &bob, b"hello");
    sealed[PREFIX_LENGTH..PREFIX_LENGTH + 32].fill(0);
    assert_eq!(open(&bob, &sealed, b"test"), Err(OpenError::NotAuthentic));
}

#[test]
fn unknown_versions_and_cipher_sets_are_told_apart() {
    let bob = keys(2);
    let csid = CipherSetId::new(0x31);
    assert_eq!(open(&bob, &[], b""), Err(OpenError::NotSealed));
    assert_eq!(open(&bob, &[2, 0x21, 0], b""), Err(OpenError::NotSealed));
    assert_eq!(open(&bob, &[1, 0x31, 0], b""), Err(OpenError::NoKey { csid }));
    let weak = keys_for(2, &[CS11]);
    assert_eq!(open(&weak, &[1, 0x21, 0], b""), Err(OpenError::NoKey { csid: CS21 }));
}

/// Seals as a sender that lies: with this cipher set and key, this as the first payload, and these as further parts.
fn forged(
    csid: CipherSetId,
    secret: &Arc<SecretKey>,
    recipient: &KeySet,
    payload: &[u8],
    parts: &[&[u8]],
) -> Vec<u8> {
    let key: &[u8; 32] =
        recipient.public().key(csid).and_then(|key| key.try_into().ok()).expect("it has one");
    let prologue = prologue(recipient.hashname(), b"test");
    let mut rng = StdRng::seed_from_u64(7);
    let mut handshake = noise::sender(&mut rng, csid, secret, key, &prologue).expect("a valid key");
    let mut sealed = vec![VERSION, csid.number()];
    let mut buffer = vec![0; MAX_NOISE_MESSAGE];
    let length = handshake.write_message(payload, &mut buffer).expect("it fits");
    sealed.extend_from_slice(&buffer[..length]);
    let mut transport = handshake.into_transport_mode().expect("one message is all there is");
    for part in parts {
        let length = transport.write_message(part, &mut buffer).expect("it fits");
        sealed.extend_from_slice(&buffer[..length]);
    }
    sealed
}

/// The first payload that `keys` would write for the plaintext "hello".
fn payload(keys: &PublicKeys) -> Vec<u8> {
    first_payload(5, keys, b"hello").0.to_vec()
}

#[test]
fn a_sender_cannot_take_anothers_hashname_nor_a_weaker_set() {
    let (alice, bob, eve) = (keys(1), keys(2), keys(3));
    let opened = |csid, signer: &KeySet, claimed: &PublicKeys| {
        let secret = signer.secret(csid).expect("it has the key");
        open(&bob, &forged(csid, secret, &bob, &payload(claimed), &[]), b"test").map(|opened| opened.sender)
    };

    assert_eq!(opened(CS21, &alice, alice.public()), Ok(alice.hashname()));
    // Eve's key under Alice's digests, and Alice's strong set left aside.
    assert_eq!(opened(CS21, &eve, alice.public()), Err(OpenError::NotAuthentic));
    assert_eq!(opened(CS11, &alice, alice.public()), Err(OpenError::NotAuthentic));

    // Alice's digests with Eve's added, and with the set in use left out.
    let mut more = alice.public().clone();
    more.insert_digest(CipherSetId::new(0x31), eve.public().digest(CS21).unwrap()).unwrap();
    assert_ne!(opened(CS21, &alice, &more), Ok(alice.hashname()));
    let mut fewer = PublicKeys::new();
    fewer.insert_digest(CS11, alice.public().digest(CS11).unwrap()).unwrap();
    assert_eq!(opened(CS21, &alice, &fewer), Err(OpenError::NotAuthentic));
}

#[test]
fn malformed_headers_are_refused() {
    let (alice, bob) = (keys(1), keys(2));
    let secret = alice.secret(CS21).unwrap();
    let opened = |payload: &[u8]| open(&bob, &forged(CS21, secret, &bob, payload, &[]), b"test");
    let good = payload(alice.public());
    assert_eq!(opened(&good).unwrap().plaintext, b"hello");

    for length in 0..good.len() {
        assert_eq!(opened(&good[..length]), Err(OpenError::NotAuthentic), "{length} bytes");
    }
    for claimed in [0, 4, 6, u32::try_from(MAX_PLAINTEXT + 1).unwrap(), u32::MAX] {
        let payload = [&claimed.to_le_bytes(), &good[4..]].concat();
        assert_eq!(opened(&payload), Err(OpenError::NotAuthentic), "{claimed} bytes claimed");
    }
    for count in [0, 1, 3, 9, 255] {
        let mut payload = good.clone();
        payload[4] = count;
        assert_eq!(opened(&payload), Err(OpenError::NotAuthentic), "{count} digests claimed");
    }
    let entries: Vec<&[u8]> = good[5..71].chunks(33).collect();
    let with = |entries: &[&[u8]]| {
        let count = u8::try_from(entries.len()).unwrap();
        opened(&[&good[..4], &[count], &entries.concat(), b"hello"].concat())
    };
    assert!(with(&entries).is_ok());
    assert_eq!(with(&[entries[1], entries[0]]), Err(OpenError::NotAuthentic), "out of order");
    assert_eq!(with(&[entries[0], entries[1], entries[1]]), Err(OpenError::NotAuthentic), "twice");
    let many: Vec<Vec<u8>> = (0x21..0x2a).map(|csid| [&[csid][..], &entries[1][1..]].concat()).collect();
    let nine: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    assert_eq!(with(&nine), Err(OpenError::NotAuthentic), "nine cipher sets");
}

#[test]
fn a_plaintext_is_cut_in_one_way_only_and_has_an_end() {
    let (alice, bob) = (keys(1), keys(2));
    let secret = alice.secret(CS21).unwrap();
    let first = vec![1; MAX_NOISE_MESSAGE - HANDSHAKE_OVERHEAD - (4 + 1 + 2 * 33)];
    let part = vec![2; MAX_NOISE_MESSAGE - TAG_LENGTH];
    let opened = |parts: &[&[u8]]| {
        let length = first.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let (payload, _) = first_payload(u32::try_from(length).unwrap(), alice.public(), &first);
        open(&bob, &forged(CS21, secret, &bob, &payload, parts), b"test").map(|opened| opened.plaintext.len())
    };

    assert_eq!(opened(&[&part, &[3]]), Ok(first.len() + part.len() + 1));
    assert_eq!(opened(&[&[]]), Err(OpenError::NotAuthentic), "an empty part at the end");
    assert_eq!(opened(&[&part[..100], &[3]]), Err(OpenError::NotAuthentic), "a small part before the end");

    let whole = (MAX_PLAINTEXT - first.len()) / part.len();
    let mut parts = vec![part.as_slice(); whole];
    let last = MAX_PLAINTEXT - first.len() - whole * part.len();
    parts.push(&part[..last]);
    assert_eq!(opened(&parts), Ok(MAX_PLAINTEXT));
    parts[whole] = &part[..last + 1];
    assert_eq!(opened(&parts), Err(OpenError::NotAuthentic), "longer than the longest");
}

#[test]
fn debug_does_not_show_the_plaintext() {
    let (alice, bob) = (keys(1), keys(2));
    let opened = open(&bob, &sealed(&alice, &bob, b"secret"), b"test").unwrap();
    let shown = format!("{opened:?}");
    assert!(shown.contains("length: 6") && !shown.contains("115"), "{shown}");
}

/// What has been sealed once must stay readable: fixed keys, fixed randomness, the bytes as they were.
#[test]
fn the_sealed_form_stays_what_it_was() {
    let fixed = |first: u8| {
        let secrets = [(CS11, [first; 32]), (CS21, [first + 1; 32])];
        KeySet::from_secrets(secrets.map(|(csid, bytes)| (csid, SecretKey::from_bytes(&bytes)))).unwrap()
    };
    let (alice, bob) = (fixed(1), fixed(3));
    let sealed = seal(&mut Exactly(vec![5; 32]), bob.public(), &alice, b"hello", b"golden").unwrap();
    assert_eq!(to_hex(&sealed), GOLDEN);
    assert_eq!(open(&bob, &hex(GOLDEN), b"golden").unwrap().plaintext, b"hello");
}

const GOLDEN: &str = "\
    012150a61409b1ddd0325e9b16b700e719e9772c07000b1bd7786e907c653d20495dde0962692f3b62fce731e28cb40a\
    d91451b61a04476f07fac4d642eea9d6425c842791ad94c4468b2fd30edc0c2e3f7b2fb9b0bb439708d22e9568eefc44\
    10caed2fb4e9f0dfdbe43e3d85a0dff6ccd435a3ef633773f27af5363d4695ce79a76ba7b1cedccf576d01321e57521e\
    c1ac039a34260e316538c755ff64fa831e163dc4e09f94e06d8f50d28422";

/// Published vectors of the cacophony project for Noise X; all use the same keys, prologue and payloads.
mod cacophony {
    pub(super) const PROLOGUE: &str = "4a6f686e2047616c74";
    pub(super) const SENDER: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
    pub(super) const EPHEMERAL: &str = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
    pub(super) const RECIPIENT: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
    pub(super) const RECIPIENT_PUBLIC: &str =
        "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";
    pub(super) const PAYLOADS: [&str; 3] =
        ["4c756477696720766f6e204d69736573", "4d757272617920526f746862617264", "462e20412e20486179656b"];
    pub(super) const CHACHAPOLY_BLAKE2S: [&str; 3] = [
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79448bc3b729d16d3944f1bfae9fa98e0d306234bfadc44880f99a69c6e55b6c1458e9c9dacab3f29aac44b435c57dc436d0830ae461a4479228789a38085be55b13e0128564987994de842e73dd0a5c328b",
        "aee89720731c98ccf15f4495ae3f6f2f7ed8e2164a1494c9e785b076e69cfc",
        "c88787701dc4365fe9dee7c0f23d91afdc214a459eadbc9f1d0220",
    ];
    pub(super) const AESGCM_SHA256: [&str; 3] = [
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794470bc7d4db4b390c2b19e03d60cf1ee8630c74c121706378730dcf60ef41a212c23c47ef2f4ab632abfc6258a30ca2149e2c2f8756c40d832fc206e31a5f64087b6fba7638c9a9fdd2eee96f9ea816629",
        "68356b58d8500a2edc2c10a5941b9aaa0cb9b9e47cc125424300a56693775d",
        "9d783c351fd707625359d5a1de888fa4be80ea48ad0a1fc3a42fe6",
    ];
}

#[test]
fn noise_x_follows_the_published_vectors() {
    use cacophony::*;

    let secret = |text| Arc::new(SecretKey::from_bytes(&hex(text).try_into().expect("32 bytes")));
    let public: [u8; 32] = hex(RECIPIENT_PUBLIC).try_into().unwrap();
    assert_eq!(secret(RECIPIENT).public(), &public);

    for (csid, ciphertexts) in [(CS11, CHACHAPOLY_BLAKE2S), (CS21, AESGCM_SHA256)] {
        let mut rng = Exactly(hex(EPHEMERAL));
        let mut sender = noise::sender(&mut rng, csid, &secret(SENDER), &public, &hex(PROLOGUE)).unwrap();
        let mut recipient = noise::recipient(csid, &secret(RECIPIENT), &hex(PROLOGUE)).unwrap();
        let mut buffer = [0; 256];

        let length = sender.write_message(&hex(PAYLOADS[0]), &mut buffer).unwrap();
        assert_eq!(to_hex(&buffer[..length]), ciphertexts[0]);
        let length = recipient.read_message(&hex(ciphertexts[0]), &mut buffer).unwrap();
        assert_eq!(to_hex(&buffer[..length]), PAYLOADS[0]);
        assert_eq!(recipient.get_remote_static(), Some(&secret(SENDER).public()[..]));

        let mut sender = sender.into_transport_mode().unwrap();
        let mut recipient = recipient.into_transport_mode().unwrap();
        for (payload, ciphertext) in PAYLOADS.iter().zip(ciphertexts).skip(1) {
            let length = sender.write_message(&hex(payload), &mut buffer).unwrap();
            assert_eq!(to_hex(&buffer[..length]), ciphertext);
            let length = recipient.read_message(&hex(ciphertext), &mut buffer).unwrap();
            assert_eq!(to_hex(&buffer[..length]), *payload);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn anything_sealed_is_opened(
        seed: u64,
        plaintext in prop::collection::vec(any::<u8>(), 0..2_000),
        context in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (alice, bob) = (keys(seed), keys(seed.wrapping_add(1)));
        let mut rng = StdRng::seed_from_u64(!seed);
        let sealed = seal(&mut rng, bob.public(), &alice, &plaintext, &context).unwrap();
        let opened = open(&bob, &sealed, &context).unwrap();
        prop_assert_eq!(opened.plaintext, plaintext);
        prop_assert_eq!(opened.sender, alice.hashname());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        csid in prop::sample::select(vec![0x11, 0x21]),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let sealed = [&[VERSION, csid], &body[..]].concat();
        prop_assert_eq!(open(&keys(1), &sealed, b""), Err(OpenError::NotAuthentic));
    }
}

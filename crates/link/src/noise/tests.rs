//! Tests of the handshake: published vectors, and what must not be accepted.

use telemesh_keys::KeySet;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap())
        .collect()
}

fn key(text: &str) -> [u8; 32] {
    bytes(text).try_into().unwrap()
}

fn identity(csid: CipherSetId, secret: [u8; 32]) -> Arc<Identity> {
    let keys = KeySet::from_secrets([(csid, SecretKey::from_bytes(&secret))]).unwrap();
    Identity::new(keys, 1, 1).unwrap()
}

fn shared(csid: CipherSetId, ours: &Identity, peer: &Identity) -> Arc<StaticShared> {
    let peer = *peer.secret(csid).unwrap().public();
    Arc::new(StaticShared { csid, peer, secret: ours.secret(csid).unwrap().agree(&peer).unwrap() })
}

struct Vector {
    csid: CipherSetId,
    messages: [(&'static str, &'static str); 4],
}

/// From the cacophony test vectors (<https://github.com/haskell-cryptography/cacophony>), as snow ships them.
const INITIATOR_STATIC: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
const INITIATOR_EPHEMERAL: &str = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
const RESPONDER_STATIC: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
const RESPONDER_EPHEMERAL: &str = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
const PROLOGUE: &[u8] = b"John Galt";

const VECTORS: [Vector; 2] = [
    Vector {
        csid: CipherSetId::CS11,
        messages: [
            (
                "4c756477696720766f6e204d69736573",
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d896f543be02c996ab2b86b76",
            ),
            (
                "4d757272617920526f746862617264",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561f42e691ac8404efd6fbd6308b6a27c",
            ),
            ("462e20412e20486179656b", "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b"),
            ("4361726c204d656e676572", "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3"),
        ],
    },
    Vector {
        csid: CipherSetId::CS21,
        messages: [
            (
                "4c756477696720766f6e204d69736573",
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444e417bc55c7a8166c993356c1be41ef67818a292426f301556c7f26b21d25ddb097153891a9a956cff47b83e63ad8d701c1342c209cff1ca5ecd43402762ac249e3bd3a4c0a145fe07cb5dae28ea13a3",
            ),
            (
                "4d757272617920526f746862617264",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843af2ccf9972e22afc67aeafcd25162f7f98c363b7762e3e4cb7d272e39f27a5",
            ),
            ("462e20412e20486179656b", "66acfc92e3197de166809e6d4d5d003dcc819a84bc3522ca53c9d9"),
            ("4361726c204d656e676572", "71f89aa6533a6de70b0826864dd75f60806ee40170c16290189eb3"),
        ],
    },
];

#[test]
fn the_published_vectors_hold_for_both_cipher_sets_with_and_without_remembered_results() {
    for Vector { csid, messages } in VECTORS {
        for remembered in [false, true] {
            let (left, right) =
                (identity(csid, key(INITIATOR_STATIC)), identity(csid, key(RESPONDER_STATIC)));
            let prologue = Prologue::Vector(PROLOGUE);
            let known = shared(csid, &left, &right);
            let mut initiator = Handshake::initiator(&left, &known, right.hashname(), &prologue).unwrap();
            let known = remembered.then(|| shared(csid, &right, &left));
            let mut responder = Handshake::responder(&right, csid, known.as_ref(), &prologue).unwrap();

            let mut message = vec![0; messages[0].1.len() / 2];
            let drawn = Zeroizing::new(key(INITIATOR_EPHEMERAL));
            initiator.write(drawn, &bytes(messages[0].0), &mut message).unwrap();
            assert_eq!(message, bytes(messages[0].1));
            let mut payload = [0; 64];
            let length = responder.read(&message, &mut payload).unwrap();
            assert_eq!(payload[..length], bytes(messages[0].0));
            assert_eq!(responder.remote_static(), Some(*left.secret(csid).unwrap().public()));

            let mut message = vec![0; messages[1].1.len() / 2];
            let drawn = Zeroizing::new(key(RESPONDER_EPHEMERAL));
            responder.write(drawn, &bytes(messages[1].0), &mut message).unwrap();
            assert_eq!(message, bytes(messages[1].1));
            initiator.read(&message, &mut payload).unwrap();

            // The vectors have no associated data, we always have a header: open what they sealed without our header by
            // comparing the ciphertext, which the associated data does not change.
            let (left, right) = (initiator.into_keys().unwrap(), responder.into_keys().unwrap());
            for (sender, (plaintext, sealed)) in [(&left, messages[2]), (&right, messages[3])] {
                let mut text = bytes(plaintext);
                sender.seal(0, &[0; 16], &mut text).unwrap();
                assert_eq!(text, bytes(sealed)[..text.len()]);
            }
        }
    }
}

#[test]
fn low_order_points_are_refused_as_ephemeral_and_as_static_keys() {
    let csid = CipherSetId::CS21;
    let (left, right) = (identity(csid, [1; 32]), identity(csid, [2; 32]));
    assert!(right.secret(csid).unwrap().agree(&[0; 32]).is_err());
    for point in [[0; 32], std::array::from_fn(|place| u8::from(place == 0))] {
        let mut responder = Handshake::responder(&right, csid, None, &Prologue::Link).unwrap();
        let mut message = [0; 96];
        message[..32].copy_from_slice(&point);
        assert_eq!(responder.read(&message, &mut [0; 64]), Err(NoiseError));

        // snow by itself would go on with an all-zero result here.
        let known = shared(csid, &left, &right);
        let mut initiator = Handshake::initiator(&left, &known, right.hashname(), &Prologue::Link).unwrap();
        let mut first = [0; 96];
        initiator.write(Zeroizing::new([3; 32]), &[], &mut first).unwrap();
        assert_eq!(initiator.read(&[&point[..], &[0; 16]].concat(), &mut [0; 64]), Err(NoiseError));
    }
}

#[test]
fn an_ephemeral_key_needs_fresh_bytes_each_time() {
    let csid = CipherSetId::CS11;
    let (left, right) = (identity(csid, [1; 32]), identity(csid, [2; 32]));
    let known = shared(csid, &left, &right);
    let mut initiator = Handshake::initiator(&left, &known, right.hashname(), &Prologue::Link).unwrap();
    let mut generator: Box<dyn Random> = Box::new(initiator.ephemeral.clone());
    assert!(generator.try_fill_bytes(&mut [0; 32]).is_err(), "nothing was drawn yet");
    initiator.write(Zeroizing::new([3; 32]), &[], &mut [0; 96]).unwrap();
    assert!(generator.try_fill_bytes(&mut [0; 32]).is_err(), "the draw is used up");
}

#[test]
fn a_prologue_for_another_responder_or_purpose_does_not_authenticate() {
    let csid = CipherSetId::CS21;
    let (left, right) = (identity(csid, [1; 32]), identity(csid, [2; 32]));
    let renew = |a, b| Prologue::Renew { initiator_index: a, responder_index: b };
    for (ours, theirs) in
        [(renew(1, 2), Prologue::Link), (renew(1, 2), renew(2, 1)), (renew(1, 2), renew(1, 3))]
    {
        let known = shared(csid, &left, &right);
        let mut initiator = Handshake::initiator(&left, &known, right.hashname(), &ours).unwrap();
        let mut message = [0; 96];
        initiator.write(Zeroizing::new([3; 32]), &[], &mut message).unwrap();
        let mut responder = Handshake::responder(&right, csid, None, &theirs).unwrap();
        assert_eq!(responder.read(&message, &mut [0; 64]), Err(NoiseError));
        let mut responder = Handshake::responder(&right, csid, None, &ours).unwrap();
        assert!(responder.read(&message, &mut [0; 64]).is_ok());
    }
}

//! Tests against snow's ciphers, which are another implementation (RustCrypto) with the Noise nonce layout built in.

use proptest::prelude::*;
use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver as _, DefaultResolver};

use super::*;

const BOTH: [(Cipher, CipherChoice); 2] =
    [(Cipher::ChaChaPoly, CipherChoice::ChaChaPoly), (Cipher::AesGcm, CipherChoice::AESGCM)];

proptest! {
    #[test]
    fn sealing_gives_what_an_independent_aead_gives(
        key: [u8; 32],
        counter: u64,
        header: [u8; DATA_HEADER_SIZE],
        plaintext in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for (cipher, choice) in BOTH {
            let mut other = DefaultResolver.resolve_cipher(&choice).unwrap();
            other.set(&key);
            let mut expected = vec![0; plaintext.len() + TAG_SIZE];
            other.encrypt(counter, &header, &plaintext, &mut expected);

            let key = Zeroizing::new(key);
            let keys = AeadKeys::new(cipher, &key, &key).unwrap();
            let mut sealed = plaintext.clone();
            let tag = keys.seal(counter, &header, &mut sealed).unwrap();
            sealed.extend_from_slice(&tag);
            prop_assert_eq!(&sealed, &expected);

            prop_assert_eq!(keys.open(counter, &header, &mut sealed), Ok(plaintext.len()));
            prop_assert_eq!(&sealed[..plaintext.len()], &plaintext[..]);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_or_another_counter_does_not_open() {
    for (cipher, _) in BOTH {
        let key = Zeroizing::new([5; 32]);
        let keys = AeadKeys::new(cipher, &key, &key).unwrap();
        let header = [1; DATA_HEADER_SIZE];
        let mut sealed = b"some plaintext".to_vec();
        let tag = keys.seal(7, &header, &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(7, &header, &mut changed), Err(AeadError));
        }
        for bit in 0..header.len() * 8 {
            let mut changed = header;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(7, &changed, &mut sealed.clone()), Err(AeadError));
        }
        assert_eq!(keys.open(8, &header, &mut sealed.clone()), Err(AeadError));
        assert_eq!(keys.open(7, &header, &mut sealed[..TAG_SIZE - 1].to_vec()), Err(AeadError));
        assert_eq!(keys.open(7, &header, &mut sealed), Ok(14));
    }
}

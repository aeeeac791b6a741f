//! Hashnames: the fingerprint of an endpoint's public keys.
//!
//! An endpoint has one public key per *cipher set*. Its **hashname** is a hash over all of them, written as 52
//! characters of lower-case base32. Whoever knows the keys, or only their digests, can compute the hashname; so an
//! endpoint can show one key and the digests of the rest, and still be recognised.
//!
//! ```
//! use telemesh_hashname::{CipherSetId, Hashname, PublicKeys};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut keys = PublicKeys::new();
//! keys.insert_key(CipherSetId::CS11, &[1; 32])?;
//! keys.insert_key(CipherSetId::CS21, &[2; 32])?;
//!
//! let hashname = keys.hashname()?;
//! assert_eq!(hashname.to_string().parse::<Hashname>()?, hashname);
//! # Ok(())
//! # }
//! ```
//!
//! # What is here
//!
//! - [`Hashname`]: the fingerprint and its one spelling.
//! - [`CipherSetId`], [`KeyDigest`], [`rollup`]: what a hashname is made of.
//! - [`PublicKeys`]: the keys, or digests of keys, of one endpoint.
//! - [`base32`]: the lower-case base32 in which hashnames and keys are written.
//!
//! # What is not here
//!
//! Nothing in this crate knows which ciphers a cipher set stands for, makes a key, or checks that a key is a valid
//! one. It computes and checks hashnames for any cipher sets, also those that were invented after it was built.
//!
//! # Features
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `serde` | no | `Serialize` and `Deserialize` for [`Hashname`], [`CipherSetId`] and [`KeyDigest`] |

#![forbid(unsafe_code)]

pub mod base32;
mod cipher_set;
mod hashname;
mod public_keys;
mod rollup;
#[cfg(feature = "serde")]
mod serde_impls;

pub use cipher_set::{CipherSetId, ParseCipherSetIdError};
pub use hashname::{HASHNAME_TEXT_LENGTH, Hashname, ParseHashnameError};
pub use public_keys::{InsertError, MAX_KEY_LENGTH, PublicKey, PublicKeys};
pub use rollup::{KeyDigest, MAX_CIPHER_SETS, RollupError, rollup};

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Key pairs of an endpoint, the key file, and sealing a message for somebody.
//!
//! An endpoint has one key pair per cipher set. The public halves make its hashname
//! ([`telemesh_hashname`]); the secret halves live in a [`KeySet`], which is saved in one file that nobody else can
//! read.
//!
//! ```
//! use rand::{SeedableRng, rngs::StdRng};
//! use telemesh_keys::{KeySet, open, seal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A program takes its randomness from the operating system; a fixed seed is for examples and tests.
//! let mut rng = StdRng::seed_from_u64(1);
//! let alice = KeySet::generate(&mut rng);
//! let bob = KeySet::generate(&mut rng);
//!
//! let sealed = seal(&mut rng, bob.public(), &alice, b"see you at nine", b"example")?;
//! let opened = open(&bob, &sealed, b"example")?;
//!
//! assert_eq!(opened.plaintext, b"see you at nine");
//! assert_eq!(opened.sender, alice.hashname());
//! # Ok(())
//! # }
//! ```
//!
//! # What is here
//!
//! - [`SecretKey`], [`SharedSecret`]: X25519 with low-order points refused.
//! - [`KeySet`]: the key pairs of one endpoint, as bytes and as a file.
//! - [`seal`] and [`open`]: a message that only its recipient can read, and that says who wrote it (Noise X).
//!
//! # What is not here
//!
//! Handshakes and sessions are `telemesh-link`'s. There is no passphrase on the key file: its protection is the file
//! system's.
//!
//! # Rules for secrets
//!
//! Secrets are types of their own. They are overwritten when dropped, cannot be cloned by accident, print nothing of
//! themselves with `Debug`, and are compared in constant time. Randomness is always handed in.

#![forbid(unsafe_code)]

mod file;
mod key_set;
mod seal;
mod secret;
mod text;

pub use file::KeyFileError;
pub use key_set::{KeySet, KeySetError};
pub use seal::{MAX_PLAINTEXT, OpenError, Opened, SealError, open, seal};
pub use secret::{LowOrderPoint, SecretKey, SharedSecret};
pub use text::ParseKeysError;

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Two people with key files: one seals a note for the other.
//!
//! `cargo run -p telemesh-keys --example seal -- [directory]`. The key files are made in the directory at the first run
//! and read at the next ones; without a directory they are made in a temporary one.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use rand::rngs::{StdRng, SysRng};
use rand::{SeedableRng, TryRng};
use telemesh_keys::{KeySet, open, seal};

#[allow(clippy::print_stdout, reason = "printing is what this example does")]
fn main() -> Result<(), Box<dyn Error>> {
    // This crate draws no randomness by itself: the program hands it in, here seeded by the operating system.
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed)?;
    let mut rng = StdRng::from_seed(seed);

    let temporary = tempfile::TempDir::new()?;
    // A directory that is missing is made for its owner only; one that is there and open to others is refused.
    let directory = env::args_os().nth(1).map_or(temporary.path().join("keys"), PathBuf::from);

    let alice = KeySet::load_or_create(directory.join("alice.keys"), &mut rng)?;
    let bob = KeySet::load_or_create(directory.join("bob.keys"), &mut rng)?;
    println!("alice is {}", alice.hashname());
    println!("bob is   {}", bob.hashname());

    let sealed = seal(&mut rng, bob.public(), &alice, b"see you at nine", b"example note")?;
    println!("sealed: {} bytes", sealed.len());

    let opened = open(&bob, &sealed, b"example note")?;
    println!("bob reads {:?} from {}", String::from_utf8_lossy(&opened.plaintext), opened.sender.short());

    let refused = open(&alice, &sealed, b"example note");
    println!("alice cannot read what she sealed: {}", refused.err().ok_or("she could")?);
    Ok(())
}

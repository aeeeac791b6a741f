//! Computes a hashname from public keys, and shows that the digests of the rest are enough.
//!
//! `cargo run -p telemesh-hashname --example hashname -- 11=<base32> 21=<base32>`; without arguments, for telehash's
//! published keys.

use std::env;
use std::error::Error;

use telemesh_hashname::{PublicKeys, base32};

const TELEHASH: [&str; 2] =
    ["1a=an7lbl5e6vk4ql6nblznjicn5rmf3lmzlm", "3a=eg3fxjnjkz763cjfnhyabeftyf75m2s4gll3gvmuacegax5h6nia"];

#[allow(clippy::print_stdout, reason = "printing is what this example does")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.is_empty() {
        arguments = TELEHASH.map(String::from).to_vec();
    }

    let mut keys = PublicKeys::new();
    for argument in &arguments {
        let (csid, key) = argument.split_once('=').ok_or("an argument is <csid>=<key in base32>")?;
        keys.insert_key(csid.parse()?, &base32::decode(key)?)?;
    }
    let hashname = keys.hashname()?;
    println!("{hashname}");

    // Somebody who knows only the highest key, and the digests of the others, gets the same.
    let mut one_key = PublicKeys::new();
    for key in &keys {
        one_key.insert_digest(key.cipher_set(), key.digest())?;
    }
    if let Some((csid, key)) = keys.iter().last().and_then(|key| Some((key.cipher_set(), key.key()?))) {
        one_key.insert_key(csid, key)?;
    }
    assert_eq!(one_key.hashname()?, hashname);
    println!("the same from {one_key:?}");
    Ok(())
}

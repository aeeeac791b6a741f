//! Two endpoints get to know each other: one prints an invite, the other reads it and answers with what it is itself.
//! Run it with `cargo run -p telemesh-wire --example invite`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use telemesh_hashname::{CipherSetId, PublicKeys};
use telemesh_wire::{
    Authority, Credential, Hello, InviteSecret, KeyDigests, LinkInfo, LinkTarget, LinkUri, PathAddress,
    ResponseMacKey,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Keys and secrets are random in real life; telemesh-keys makes them.
    let uri =
        LinkUri::new(LinkInfo::new(keys(1)?)?.with_path("quic:[2001:db8::1]:443".parse::<PathAddress>()?)?)
            .with_authority("mesh.example.org".parse::<Authority>()?)
            .with_invite(InviteSecret::from_bytes([7; 32]));
    println!("to hand over:   {}", uri.to_secret_string().as_str());
    println!("to show around: {uri}");
    println!("as link json:   {}\n", uri.link().to_json());

    let text = uri.to_secret_string();
    let LinkTarget::Uri(read) = text.parse()? else { return Err("not a uri".into()) };
    println!("link to {}", read.link().hashname());
    if let Some(authority) = read.authority() {
        println!("look up {authority} and send to UDP port {}", authority.port());
    }
    for address in read.addresses() {
        println!("or try {address}");
    }

    let hello = Hello {
        keys: KeyDigests::of(&keys(3)?)?,
        at: 1_700_000_000_000_000,
        incarnation: 42,
        engine_version: 1,
        features: 0,
        credential: Credential::new(b"a proof of the secret, not the secret".to_vec())?,
        response_mac_key: ResponseMacKey::from_bytes([9; 16]),
    };
    println!("\nand say, encrypted, in {} bytes: {hello:?}", hello.encode().len());
    Ok(())
}

fn keys(byte: u8) -> Result<PublicKeys, Box<dyn Error>> {
    let mut keys = PublicKeys::new();
    keys.insert_key(CipherSetId::CS11, &[byte; 32])?;
    keys.insert_key(CipherSetId::CS21, &[byte + 1; 32])?;
    Ok(keys)
}

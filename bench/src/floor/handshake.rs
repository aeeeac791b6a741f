//! The floor of a connection: snow's Noise IK handshake for both ends, without sockets, sessions or streams.

use std::time::Instant;

use anyhow::{Result, ensure};
use snow::{Builder, params::NoiseParams};

use crate::{
    cores::{self, CLIENT_CORE},
    sample::{Findings, Settings},
    workloads::connect::{Phase, findings},
};

/// telemesh's preferred cipher set.
const PATTERN: &str = "Noise_IK_25519_AESGCM_SHA256";

/// Makes `connections` handshakes one after the other.
pub(super) fn connect(connections: u32) -> Result<Findings> {
    cores::spawn("client", CLIENT_CORE, move || async move { handshakes(connections) })?.join()
}

fn handshakes(connections: u32) -> Result<Findings> {
    let pattern: NoiseParams = PATTERN.parse()?;
    let client = Builder::new(pattern.clone()).generate_keypair()?;
    let server = Builder::new(pattern.clone()).generate_keypair()?;
    let mut phase = Phase::start(connections);
    for _ in 0..connections {
        let started = Instant::now();
        let mut initiator = Builder::new(pattern.clone())
            .local_private_key(&client.private)?
            .remote_public_key(&server.public)?
            .build_initiator()?;
        let mut responder =
            Builder::new(pattern.clone()).local_private_key(&server.private)?.build_responder()?;
        let (mut packet, mut payload) = ([0; 256], [0; 256]);
        let length = initiator.write_message(&[], &mut packet)?;
        responder.read_message(&packet[..length], &mut payload)?;
        let length = responder.write_message(&[], &mut packet)?;
        initiator.read_message(&packet[..length], &mut payload)?;
        let mut initiator = initiator.into_transport_mode()?;
        let mut responder = responder.into_transport_mode()?;
        let length = initiator.write_message(b"first", &mut packet)?;
        let length = responder.read_message(&packet[..length], &mut payload)?;
        ensure!(&payload[..length] == b"first", "the first message differs");
        let settings = Settings::from([("pattern".to_owned(), PATTERN.to_owned())]);
        phase.add((u64::try_from(started.elapsed().as_nanos())?, settings));
    }
    let outcome = phase.finish()?;
    // A known peer costs Noise as much as a stranger.
    Ok(findings(&outcome, &outcome))
}

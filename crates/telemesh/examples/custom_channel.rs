//! A channel type of one's own: a counter that peers add to, over a reliable channel, and hear of over an unreliable one.
//!
//! Types of applications have names like `org.example.counter`. A handler is an async function that gets each channel that a
//! peer opens; it accepts or refuses it. Run it with `cargo run -p telemesh --example custom_channel`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telemesh::channel::ChannelKind;
use telemesh::{Incoming, Invite, Open, Opener as _, Refusal, RefusalCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const COUNTER: &str = "org.example.counter";

/// Adds the numbers that arrive, and answers each with the sum.
async fn count(sum: Arc<AtomicU64>, incoming: Incoming) {
    // The body of the open message says what the channel is for; this one wants none.
    if !incoming.open().body.is_empty() {
        return incoming.refuse(Refusal::new(RefusalCode::Application, "a counter takes no body"));
    }
    if incoming.kind() == ChannelKind::Unreliable {
        let Ok(mut datagrams) = incoming.accept_datagrams() else { return };
        while let Ok(Some(_question)) = datagrams.recv().await {
            // A message that gets lost is asked for again by whoever wants to know.
            let _ = datagrams.send(sum.load(Ordering::Relaxed).to_be_bytes().to_vec().into());
        }
        return;
    }
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(number) = channel.read_u64().await {
        let sum = sum.fetch_add(number, Ordering::Relaxed) + number;
        if channel.write_u64(sum).await.is_err() {
            return;
        }
    }
    let _ = channel.shutdown().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Handlers are in place before the first packet.
    let sum = Arc::new(AtomicU64::new(0));
    let alice = telemesh::builder(telemesh::generate_keys()?)
        .handle(COUNTER, move |incoming| count(sum.clone(), incoming))?
        .create()
        .await?;
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    let link = bob.link(alice.invite(Invite::once())?).await?;

    let mut channel = link.open(Open::reliable(COUNTER)).await?;
    for (number, expected) in [(5, 5), (10, 15), (27, 42)] {
        channel.write_u64(number).await?;
        assert_eq!(channel.read_u64().await?, expected);
    }

    let mut datagrams = link.open_datagrams(Open::unreliable(COUNTER))?;
    datagrams.send(b"?".to_vec().into())?;
    if let Some(answer) = datagrams.recv().await? {
        println!("the sum is {}", u64::from_be_bytes(answer.as_ref().try_into()?));
    }

    let mut refused = link.open(Open::reliable(COUNTER).with_body("what?")).await?;
    if let Err(error) = refused.accepted().await {
        println!("{error}");
    }
    let _ = alice.close().await;
    assert!(bob.close().await.delivered);
    Ok(())
}

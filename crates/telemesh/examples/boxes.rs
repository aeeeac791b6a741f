//! A message for somebody who is not there: sealed, kept, delivered when they come, and never again after that.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use telemesh::{Invite, MeshBoxes as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    let link = bob.link(alice.invite(Invite::once())?.to_secret_string().as_str()).await?;
    // A contact's keys are known from the first link on.
    link.close();

    let of_alice = alice.boxes().start()?;
    let id = of_alice.outbox().send(&bob.hashname(), "see you at nine").await?;
    println!("message {id} waits: {:?}", of_alice.outbox().pending());

    let of_bob = bob.boxes().start()?;
    link.connect();
    let message = of_bob.inbox()?.next().await.ok_or("the boxes have ended")?;
    println!("{} writes: {}", message.from().short(), String::from_utf8_lossy(message.content()));
    message.ack().await?;
    // Until the receipt is back, the message waits with its sender.
    while !of_alice.outbox().pending().is_empty() {
        of_alice.outbox().reached(&id, telemesh::boxes::Stage::Arrived).await;
        tokio::task::yield_now().await;
    }
    Ok(())
}

//! A channel type of one's own, over two endpoints in memory: the right one echoes messages, the left one asks.
//!
//! Over a mesh nothing changes but where the endpoints come from. Run it with `cargo run -p telemesh-channel --example echo`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use telemesh_channel::{Acceptor, Incoming, Messages, Open, Opener, Refusal, RefusalCode, memory};

const ECHO: &str = "org.example.echo";

async fn echo(incoming: Incoming) {
    // Before anything is answered, the handler knows who asks and what for.
    if incoming.open().body != "please" {
        return incoming.refuse(Refusal::new(RefusalCode::Application, "say please"));
    }
    let Ok(channel) = incoming.accept() else { return };
    let mut messages = Messages::new(channel);
    while let Ok(Some(message)) = messages.receive().await {
        if messages.send(message).await.is_err() {
            return;
        }
    }
    // Ends the answers. Without it the asking side would see a reset.
    let _ = messages.finish().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pair = memory::pair();
    pair.right.handle(ECHO, Arc::new(echo))?;

    let open = Open::reliable(ECHO).with_body("please");
    let mut messages = Messages::new(pair.to_right.open(open).await?);
    messages.send(Bytes::from_static(b"hello")).await?;
    messages.finish().await?;
    while let Some(message) = messages.receive().await? {
        println!("echoed: {}", message.escape_ascii());
    }

    let mut rude = pair.to_right.open(Open::reliable(ECHO)).await?;
    if let Err(error) = rude.accepted().await {
        println!("without a please: {error}");
    }
    Ok(())
}

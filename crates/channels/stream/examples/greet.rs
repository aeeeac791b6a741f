//! Two endpoints in memory and a stream of JSON values between them.
//!
//! Over a mesh nothing changes but where the endpoints come from. Run it with `cargo run -p telemesh-stream --example greet`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use serde::{Deserialize, Serialize};
use telemesh_channel::memory;
use telemesh_stream::{StreamAcceptor, StreamOpener};

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    text: String,
    times: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pair = memory::pair();
    let mut streams = pair.right.on_stream()?;

    let mut greetings = pair.to_right.stream().body("greetings").json::<Greeting>().await?;
    for times in 1..=3 {
        greetings.send(&Greeting { text: "hello".to_owned(), times }).await?;
    }
    greetings.finish().await?;

    let stream = streams.next().await.ok_or("the endpoint is gone")?;
    println!("a stream from {:?} for {}", stream.peer, stream.body.escape_ascii());
    let mut received = stream.json::<Greeting>()?;
    while let Some(greeting) = received.receive().await? {
        println!("{greeting:?}");
    }
    Ok(())
}

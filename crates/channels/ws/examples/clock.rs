//! A peer that counts as long as somebody listens. Run it with `cargo run -p telemesh-ws --example clock`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use telemesh_channel::{Opener as _, memory};
use telemesh_thtp::SERVE;
use telemesh_ws::{Message, WebSocket, WsOpener as _, WsServer as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pair = memory::pair();
    pair.right.on_ws("/clock", |mut socket: WebSocket| async move {
        for tick in 1.. {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    if socket.send(format!("tick {tick}")).await.is_err() {
                        return;
                    }
                }
                // It says only that it goes.
                _ = socket.receive() => return,
            }
        }
    })?;
    pair.right.grant(pair.to_left.peer(), SERVE);

    let mut socket = pair.to_right.ws("/clock").await?;
    for _ in 0..3 {
        if let Some(Message::Text(text)) = socket.receive().await? {
            println!("{text}");
        }
    }
    socket.close(1000, "enough").await?;
    Ok(())
}

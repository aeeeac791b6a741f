//! A server on one endpoint's machine, reached by a program on another's as if it were local. Run it with
//! `cargo run -p telemesh --example forward`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use telemesh::sock::{Over, SockError, forward};
use telemesh::{Invite, SockNetwork as _, SockOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server that knows nothing of telemesh: it greets whoever comes.
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let target = server.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = server.accept().await {
            socket.write_all(b"hello from the other side\n").await?;
        }
        Ok::<_, std::io::Error>(())
    });

    // Bob serves what his contacts were granted, and grants this one server to whoever bears the invite …
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    bob.on_sock_granted()?;
    let invite = bob.invite(Invite::once().grant(format!("sock:{target}").parse()?))?;

    // … Alice reaches it, and nothing beside it.
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let link = alice.link(invite).await?;
    let mut text = String::new();
    link.sock().connect(target).await?.read_to_string(&mut text).await?;
    print!("through the library: {text}");
    let elsewhere = link.sock().connect("127.0.0.1:22").await;
    assert_eq!(elsewhere.err(), Some(SockError::NotAllowed));

    // Programs on her machine use a local port.
    let listener = forward::listen("127.0.0.1:0".parse()?)?;
    let local = listener.local_addr()?;
    tokio::spawn(forward::tcp(listener, Arc::new(Over(Arc::new(link))), target.try_into()?));
    text.clear();
    TcpStream::connect(local).await?.read_to_string(&mut text).await?;
    print!("through port {}: {text}", local.port());

    let delivered = alice.close().await.delivered && bob.close().await.delivered;
    println!("all delivered: {delivered}");
    Ok(())
}

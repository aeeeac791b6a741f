//! A connection and a datagram through a peer, between two endpoints in memory.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use bytes::Bytes;
use telemesh_channel::{Network as _, memory};
use telemesh_sock::{SockNetwork as _, SockOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let clock = UdpSocket::bind("127.0.0.1:0").await?;
    let (page, time) = (server.local_addr()?, clock.local_addr()?);
    tokio::spawn(async move {
        let (mut socket, from) = server.accept().await?;
        socket.write_all(format!("hello, {from}").as_bytes()).await
    });
    tokio::spawn(async move {
        let (_, from) = clock.recv_from(&mut [0; 16]).await?;
        clock.send_to(b"noon", from).await
    });

    let pair = memory::pair();
    pair.right.on_sock_granted()?;
    for grant in [format!("sock:{page}"), format!("sock-udp:{time}")] {
        pair.right.grant(pair.left.hashname(), &grant);
    }

    let mut connection = pair.to_right.sock().connect(page).await?;
    let mut text = String::new();
    connection.read_to_string(&mut text).await?;
    println!("{text}");

    let mut tunnel = pair.to_right.sock().udp(Some(time.try_into()?))?;
    tunnel.send(None, Bytes::from_static(b"what time is it?"));
    let answer = tunnel.recv().await?.ok_or("no answer")?;
    println!("it is {}", String::from_utf8_lossy(&answer.data));
    Ok(())
}

//! A tunnel: programs on Bob's side reach a server on Alice's, and nothing beside it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use telemesh::sock::{Over, SockError, forward};
use telemesh::{Link, Network as _, SockNetwork as _, SockOpener as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::endpoint::Endpoint;
use super::report::Outcome;
use super::transfer::Result;

/// Connections at a time.
const CONNECTIONS: u32 = 64;

/// Bytes through each of them, there and back.
const SIZE: usize = 256 << 10;

/// Many connections at once through a local port, each half-closed by its client; and a port that was not granted.
pub(super) async fn run(link: &Link, alice: &Endpoint) -> Outcome<()> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = TcpListener::bind(loopback).await?;
    let (target, other) = (server.local_addr()?, TcpListener::bind(loopback).await?);
    let serving = tokio::spawn(echo(server));

    alice.mesh.on_sock_granted()?;
    let bob = link_owner(link, alice)?;
    let contact = alice.mesh.contact(&bob).ok_or("bob is no contact of alice's")?;
    let mut grants = contact.grants().clone();
    grants.insert(format!("sock:{target}").parse()?)?;
    alice.mesh.set_contact(contact.with_grants(grants))?;

    let listener = forward::listen(loopback)?;
    let local = listener.local_addr()?;
    let route = Arc::new(Over(Arc::new(link.clone())));
    let forwarding = tokio::spawn(forward::tcp(listener, route, target.try_into()?));
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS).map(|number| tokio::spawn(client(local, number))).collect();
    for client in clients {
        client.await??;
    }
    let took = began.elapsed();
    let refused = link.sock().connect(other.local_addr()?).await;
    if refused.err() != Some(SockError::NotAllowed) {
        return Err("a port that was not granted was not refused".into());
    }
    forwarding.abort();
    serving.abort();
    let bytes = 2 * u64::from(CONNECTIONS) * u64::try_from(SIZE)?;
    let speed = super::speed(bytes, took);
    Ok(((), format!("{CONNECTIONS} connections at once, {speed} MiB/s; another port refused")))
}

/// Whom the link with Alice belongs to.
fn link_owner(link: &Link, alice: &Endpoint) -> Result<telemesh::Hashname> {
    let peers = alice.mesh.peers();
    let is_linked = link.hashname() == alice.mesh.hashname();
    peers.first().copied().filter(|_| is_linked).ok_or_else(|| "alice has no link".into())
}

async fn echo(server: TcpListener) -> Result<()> {
    loop {
        let (mut socket, _) = server.accept().await?;
        tokio::spawn(async move {
            let (mut read, mut write) = socket.split();
            tokio::io::copy(&mut read, &mut write).await?;
            write.shutdown().await
        });
    }
}

/// Sends, ends, and reads until the end.
async fn client(to: SocketAddr, number: u32) -> Result<()> {
    let sent: Vec<u8> = (0..SIZE).map(|at| (at as u32).wrapping_mul(number | 1).to_le_bytes()[1]).collect();
    let (mut read, mut write) = TcpStream::connect(to).await?.into_split();
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&sent).await?;
        write.shutdown().await
    });
    let mut received = Vec::with_capacity(SIZE);
    read.read_to_end(&mut received).await?;
    sending.await??;
    if received == expected { Ok(()) } else { Err("other bytes came back than were sent".into()) }
}

//! Two endpoints over a transport of one's own: a queue in memory. The mesh knows transports by their trait only.
//! Run it with `cargo run -p telemesh-mesh --example memory`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use telemesh_channel::{Incoming, Open, Opener};
use telemesh_keys::KeySet;
use telemesh_mesh::{Invite, Mesh, PathAddress};
use telemesh_transport::{ReceiveBatch, Received, SendError, Transmit, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const GREET: &str = "org.example.greet";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = StdRng::try_from_rng(&mut SysRng)?;
    let (left, right) = wires("udp:192.0.2.1:1".parse()?, "udp:192.0.2.2:2".parse()?);
    let alice = Mesh::builder(KeySet::generate(&mut rng)).transport(left).handle(GREET, greet)?.create()?;
    let bob = Mesh::builder(KeySet::generate(&mut rng)).transport(right).create()?;

    // The invite tells Bob who Alice is and where, and tells Alice that Bob may come in.
    let invite = alice.invite(Invite::once())?;
    println!("invite, without its secret: {invite}");
    let link = bob.link(invite).await?;
    println!("link to {}: {}", link.hashname().short(), link.explain());

    let mut channel = link.open(Open::reliable(GREET)).await?;
    channel.write_all(b"Bob").await?;
    channel.shutdown().await?;
    let mut answer = String::new();
    channel.read_to_string(&mut answer).await?;
    println!("{answer}");
    assert!(bob.close().await.delivered);
    Ok(())
}

/// Alice's handler: reads a name to its end and greets.
async fn greet(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    let mut name = String::new();
    if channel.read_to_string(&mut name).await.is_ok()
        && channel.write_all(format!("hello {name}").as_bytes()).await.is_ok()
    {
        // Without this the reader would take the greeting for cut off. There is nobody to tell if it fails.
        let _ = channel.shutdown().await;
    }
}

/// One end of a wire that loses nothing.
#[derive(Debug)]
struct Wire {
    own: PathAddress,
    other: PathAddress,
    outgoing: mpsc::UnboundedSender<Received>,
    incoming: Mutex<mpsc::UnboundedReceiver<Received>>,
}

fn wires(left: PathAddress, right: PathAddress) -> (Wire, Wire) {
    let (to_right, at_right) = mpsc::unbounded_channel();
    let (to_left, at_left) = mpsc::unbounded_channel();
    let end = |own, other, outgoing, incoming| Wire { own, other, outgoing, incoming: Mutex::new(incoming) };
    (end(left, right, to_right, at_left), end(right, left, to_left, at_right))
}

impl Transport for Wire {
    fn carries(&self, address: &PathAddress) -> bool {
        *address == self.other
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        vec![self.own]
    }

    fn max_send_segments(&self) -> usize {
        64
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let stride = transmit.datagram_size();
        let run = Received { source: self.own, stride, ecn: None, contents: transmit.contents.into() };
        // Nobody is there any more: lost, as on any network.
        let _ = self.outgoing.send(run);
        Ok(())
    }

    fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut incoming = self.incoming.lock();
        while batch.room() > 0 {
            let Poll::Ready(Some(run)) = incoming.poll_recv(cx) else { break };
            // There is room, as was just seen.
            let _ = batch.push(run);
        }
        if batch.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn rebind(&self) -> io::Result<()> {
        Ok(())
    }
}

//! Two endpoints on telemesh-link alone, over plain UDP sockets in one program, exchanging a message each.
//!
//! This is the whole run loop that a runtime around the crate needs, without any of its comfort: one thread per endpoint,
//! one link each, records kept in memory.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::SysRng;
use rand::{Rng as _, rand_core::UnwrapErr};
use telemesh_hashname::PublicKeys;
use telemesh_keys::KeySet;
use telemesh_link::{
    Admission, Event, Gate, GateConfig, Identity, Link, LinkConfig, PacketKind, Peer, Received, classify,
};
use telemesh_wire::PathAddress;

/// How long an endpoint of this example goes on before it takes the test for failed.
const PATIENCE: Duration = Duration::from_secs(10);

struct Endpoint {
    socket: UdpSocket,
    gate: Gate,
    link: Link,
}

#[allow(clippy::disallowed_methods, reason = "a program reads the clock, the crate does not")]
fn clock() -> (Instant, u64) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(wall.as_micros()).unwrap_or(u64::MAX))
}

impl Endpoint {
    fn new(socket: UdpSocket, identity: Arc<Identity>, peer: &PublicKeys) -> Result<Self, Box<dyn Error>> {
        let mut seed = [0; 32];
        UnwrapErr(SysRng).fill_bytes(&mut seed);
        let peer = Peer { keys: Some(peer.clone()), ..Peer::new(peer.hashname()?) };
        let (now, config) = (clock().0, LinkConfig::default());
        let gate = Gate::new(Arc::clone(&identity), GateConfig::new(config.tags.clone()), seed, now);
        UnwrapErr(SysRng).fill_bytes(&mut seed);
        let link = Link::new(identity, peer, 0, config, seed, now)?;
        Ok(Self { socket, gate, link })
    }

    /// Sends what the link has to send, and acts on its events. Returns true when the link has come up.
    fn flush(&mut self) -> Result<bool, Box<dyn Error>> {
        let (now, _) = clock();
        let mut came_up = false;
        while let Some(event) = self.link.poll_event() {
            match event {
                // A real endpoint stores the record first.
                Event::Persist(record) => self.link.persisted(now, &record),
                Event::Up(_) => came_up = true,
                _ => {}
            }
        }
        let mut packet = Vec::new();
        while let Some(to) = self.link.poll_transmit(now, &mut packet) {
            self.send(to, &packet)?;
            packet.clear();
        }
        Ok(came_up)
    }

    fn send(&self, to: PathAddress, packet: &[u8]) -> Result<(), Box<dyn Error>> {
        let to = to.socket_address().ok_or("only UDP paths here")?;
        self.socket.send_to(packet, to)?;
        Ok(())
    }

    /// Says `greeting` when the link is up, and returns what the peer said.
    fn run(mut self, greeting: &str) -> Result<String, Box<dyn Error>> {
        let (start, _) = clock();
        let mut buffer = vec![0; 65_536];
        let (mut heard, mut said) = (None, false);
        loop {
            if self.flush()? {
                let mut packet = Vec::new();
                let batch = self.link.seal_message(clock().0, greeting.as_bytes(), &mut packet)?;
                self.send(batch.to, &packet)?;
                said = true;
            }
            if let (Some(heard), true) = (&heard, said) {
                return Ok(String::clone(heard));
            }
            let (now, wall) = clock();
            if now > start + PATIENCE {
                return Err(format!("no message arrived: {}", self.link.explain(now)).into());
            }
            let due = self.link.poll_timeout().map_or(PATIENCE, |at| at.saturating_duration_since(now));
            if due.is_zero() {
                self.link.handle_timeout(now, wall);
                continue;
            }
            self.socket.set_read_timeout(Some(due.min(PATIENCE)))?;
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { continue };
            let packet = buffer.get_mut(..length).unwrap_or_default();
            heard = self.gate_or_link(from, packet).or(heard);
        }
    }

    fn gate_or_link(&mut self, from: SocketAddr, packet: &mut [u8]) -> Option<String> {
        let (now, wall) = clock();
        let from = PathAddress::Udp(from).canonical();
        if classify(packet) == Ok(PacketKind::Initiation) {
            // Cookies come only from a gate that was made public.
            let Admission::Request(request) = self.gate.handle_initiation(now, from, packet).ok()? else {
                return None;
            };
            // This is the trust decision: our one peer may come in, for anybody else there is silence.
            if request.claim().hashname == self.link.hashname() {
                request.accept(&mut self.link, now, wall).ok()?;
            }
            return None;
        }
        // With more than one link, the packet's `receiver_index` says which one it is for.
        match self.link.handle_packet(now, from, packet).ok()? {
            Received::Message(range) => {
                packet.get(range).map(|message| String::from_utf8_lossy(message).into_owned())
            }
            _ => None,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = UnwrapErr(SysRng);
    let identity = |rng: &mut UnwrapErr<SysRng>| Identity::new(KeySet::generate(rng), rng.next_u64(), 1);
    let (alice, bob) = (identity(&mut rng)?, identity(&mut rng)?);
    let (alice_socket, bob_socket) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let bob_address = PathAddress::Udp(bob_socket.local_addr()?);

    let bob_endpoint = Endpoint::new(bob_socket, Arc::clone(&bob), alice.public_keys())?;
    let mut alice_endpoint = Endpoint::new(alice_socket, alice, bob.public_keys())?;
    let (now, wall) = clock();
    alice_endpoint.link.add_candidate(now, bob_address);
    alice_endpoint.link.connect(now, wall);

    #[allow(clippy::disallowed_methods, reason = "two endpoints in one program, each with a loop of its own")]
    let bob = std::thread::spawn(move || bob_endpoint.run("hello Alice").map_err(|error| error.to_string()));
    let said_by_bob = alice_endpoint.run("hello Bob")?;
    let said_by_alice = bob.join().map_err(|_| "Bob's thread panicked")??;
    #[allow(clippy::print_stdout, reason = "this is what the example has to show")]
    {
        println!("Alice heard: {said_by_bob}\nBob heard: {said_by_alice}");
    }
    Ok(())
}

//! A router, two endpoints that have nothing but it in common, and a contact of the router's in the fuzzer's hands.
//!
//! These are whole meshes on the simulated network, under virtual time. The input is a list of actions: the contact asks for
//! circuits with anybody in any form, sends circuit packets of its own and of others, says where it is, pretends to be a router, and
//! seals whatever it likes; packets that anybody has sent are repeated; a stranger sends bytes; time passes; the router ends
//! and comes back; the two look for each other. Whatever happens, tables are bounded, strangers hear nothing, and at the end the two
//! link through the router and what they send arrives as it was.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{Acceptor as _, Body, Connection, Introduction, Open, Target};
use telemesh_hashname::Hashname;
use telemesh_link::State;
use telemesh_mesh::{Link, LinkInfo, PathAddress};
use telemesh_testkit::{Bare, Node, SimTransport, TRANSFER, Tally, Tapped, World, serve, transfer};
use telemesh_wire::{CircuitId, Frame};

use crate::input::Input;

/// Plays the input; then the router is there, and the two must link and send.
pub fn router(data: &[u8]) {
    World::run(1, |world| async move {
        let mut scene = Scene::new(world).await;
        let mut input = Input::new(data);
        for _ in 0..MOST_ACTIONS {
            if input.is_empty() {
                break;
            }
            scene.act(&mut input).await;
            scene.check();
        }
        scene.heal().await;
    });
}

/// Enough for a circuit to come, be used and go.
const MOST_ACTIONS: usize = 60;

/// Packets that may be repeated.
const MOST_LOGGED: usize = 500;

struct Scene {
    world: World,
    router: Node,
    alice: Node,
    bob: Node,
    mallory: Bare,
    stranger: SimTransport,
    /// Repeats genuine packets, maybe before anybody else has delivered them: it may be probed and answered.
    racer: SimTransport,
    tally: Arc<Tally>,
    log: Vec<Tapped>,
}

/// Who somebody is, without any address.
fn keys_of(node: &Node) -> LinkInfo {
    let info = LinkInfo::new(node.keys().public().clone());
    info.unwrap_or_else(|error| panic!("keys without a hashname: {error}"))
}

impl Scene {
    async fn new(world: World) -> Self {
        let router = world.router("router");
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        world.with_network(|network| {
            network.block(alice.host(), bob.host());
            network.block(bob.host(), alice.host());
        });
        let tally = Arc::<Tally>::default();
        for (node, peer) in [(&alice, &bob), (&bob, &alice)] {
            world.use_router(node, &router).await;
            let handled = node.mesh().handle(TRANSFER, Arc::new(serve(&tally)));
            assert!(handled.is_ok() && node.mesh().add_contact(keys_of(peer)).is_ok());
        }
        let mut mallory = world.bare();
        mallory.connect(&router).await;
        let (stranger, racer) = (world.stranger(), world.stranger());
        world.take_tapped();
        Self { world, router, alice, bob, mallory, stranger, racer, tally, log: Vec::new() }
    }

    async fn act(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 | 1 => self.pass(Duration::from_millis(u64::from(input.word()))).await,
            2 | 3 => {
                let introduction = Introduction {
                    target: self.target(input),
                    circuit: number(input),
                    body: self.body(input),
                };
                self.notice("peer", introduction.encode().unwrap_or_default());
            }
            4 => {
                let channel = ["peer", "connect", "path", "other"][input.choice(4)];
                self.notice(channel, input.counted().to_vec());
            }
            5 | 6 => self.send_circuit(input),
            7 => {
                let connection = Connection { circuit: number(input), body: self.body(input) };
                self.notice("connect", connection.encode().unwrap_or_default());
            }
            8 => self.say_where(input),
            9 => {
                let to = self.address(input);
                self.stranger.send(to, input.counted());
            }
            10 => self.repeat(input),
            11 => {
                let looking = if input.flag() { (&self.alice, &self.bob) } else { (&self.bob, &self.alice) };
                looking.0.mesh().find(&looking.1.hashname()).iter().for_each(Link::connect);
            }
            12 => {
                self.router.crash();
                // Its tasks need a moment to let go of the socket.
                self.pass(Duration::from_millis(20 + u64::from(input.byte()) * 40)).await;
                self.router.start().links().iter().for_each(Link::connect);
            }
            13 => {
                let victim = if input.flag() { &self.alice } else { &self.bob };
                // Now what she asks for is accepted there.
                let _ = victim.mesh().add_contact(self.mallory.info());
            }
            14 => {
                if self.mallory.link().state() == State::Up {
                    let plaintext = input.counted();
                    self.mallory.send_engine_packet(plaintext);
                }
            }
            _ => {
                let _ = self.router.mesh().find(&self.mallory.hashname()).map(|link| link.close());
            }
        }
        self.pass(Duration::from_millis(5)).await;
    }

    /// Lets time pass, in which the contact is as honest as its link makes it.
    async fn pass(&mut self, time: Duration) {
        self.mallory.run_for(time).await;
        self.log.extend(self.world.take_tapped());
        let over = self.log.len().saturating_sub(MOST_LOGGED);
        self.log.drain(..over);
    }

    fn somebody(&self, input: &mut Input<'_>) -> Hashname {
        match input.byte() % 6 {
            0 | 1 => self.alice.hashname(),
            2 => self.bob.hashname(),
            3 => self.router.hashname(),
            4 => self.mallory.hashname(),
            _ => Hashname::from_bytes([input.byte(); 32]),
        }
    }

    fn target(&self, input: &mut Input<'_>) -> Target {
        if input.byte().is_multiple_of(4) {
            Target::Ticket(Bytes::copy_from_slice(input.counted()))
        } else {
            Target::Hashname(self.somebody(input))
        }
    }

    fn body(&self, input: &mut Input<'_>) -> Body {
        match input.byte() % 5 {
            0 => Body::Packet(Bytes::copy_from_slice(input.counted())),
            1 => Body::Packet(self.logged(input).map(|tapped| tapped.payload.into()).unwrap_or_default()),
            2 => Body::Keys(Box::new(self.mallory.info())),
            3 => Body::Keys(Box::new(keys_of(if input.flag() { &self.alice } else { &self.bob }))),
            _ => Body::Sealed(Bytes::copy_from_slice(input.counted())),
        }
    }

    fn logged(&self, input: &mut Input<'_>) -> Option<Tapped> {
        let place = input.choice(self.log.len());
        self.log.get(place).cloned()
    }

    fn address(&self, input: &mut Input<'_>) -> std::net::SocketAddr {
        let node = [&self.router, &self.alice, &self.bob][input.choice(3)];
        let address = node.addresses().first().and_then(PathAddress::socket_address);
        address.unwrap_or_else(|| panic!("a node without an address"))
    }

    /// Sends a notice to the router, if there is a link to send it on.
    fn notice(&mut self, channel: &str, body: Vec<u8>) {
        let frame = Frame::Notice { open: Open::unreliable(channel).with_body(body) };
        let mut plain = Vec::new();
        let fits = frame.encode_into(&mut plain).is_ok() && plain.len() <= self.mallory.link().max_message();
        if fits && self.mallory.link().state() == State::Up {
            self.mallory.send_frame(&frame);
        }
    }

    fn send_circuit(&mut self, input: &mut Input<'_>) {
        let mut packet = [5, 0, 0, 0].to_vec();
        packet.extend(number(input).to_bytes());
        if input.flag() {
            packet.extend_from_slice(input.counted());
        } else {
            packet.extend(self.logged(input).map(|tapped| tapped.payload).unwrap_or_default());
        }
        let to = self.address(input);
        self.mallory.send_packet(to, &packet);
    }

    fn say_where(&mut self, input: &mut Input<'_>) {
        let mut info = LinkInfo::unresolved(self.somebody(input));
        for _ in 0..input.byte() % 33 {
            let at = std::net::SocketAddr::from(([100, 64, 0, input.byte()], u16::from(input.byte())));
            let path =
                if input.flag() { PathAddress::Udp(at) } else { PathAddress::Peer(self.somebody(input)) };
            info = info.clone().with_path(path).unwrap_or(info);
        }
        self.notice("path", telemesh_path::encode(&info, input.byte() & 3));
    }

    /// A packet that somebody has sent comes once more, from the contact or from somebody on the way, there or elsewhere.
    fn repeat(&mut self, input: &mut Input<'_>) {
        let Some(Tapped { to, mut payload }) = self.logged(input) else { return };
        let to = if input.flag() { to } else { self.address(input) };
        if input.flag() && !payload.is_empty() {
            let at = input.choice(payload.len());
            payload[at] ^= 1 << (input.byte() % 8);
        }
        if input.flag() { self.racer.send(to, &payload) } else { self.mallory.send_packet(to, &payload) }
    }

    /// What must hold after each action.
    fn check(&self) {
        assert_eq!(self.stranger.unread(), 0, "a stranger was answered");
        let circuits = self.router.mesh().routing().map_or(0, |stats| stats.circuits);
        let most = telemesh_link::MAX_CIRCUITS_PER_LINK + 2 * telemesh_link::MAX_CIRCUITS_PER_PAIR;
        assert!(circuits <= most, "{circuits} circuits");
        for node in [&self.router, &self.alice, &self.bob] {
            let links = node.mesh().links();
            assert!(links.len() <= 3, "{} links of {node:?}", links.len());
            for link in links {
                let paths = link.explain().paths;
                let circuits = paths.iter().filter(|path| !path.address.is_direct()).count();
                assert!(paths.len() <= 32 && circuits <= 8, "{}", link.explain());
            }
        }
    }

    /// The two find each other through the router, whatever was before.
    async fn heal(&mut self) {
        for (from, to) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let Some(link) = from.mesh().find(&to.hashname()) else { panic!("a contact was lost") };
            link.connect();
            let up = link.up(Duration::from_secs(120)).await;
            assert!(up.is_ok(), "a link that can come up does: {up:?}: {}", link.explain());
            let sent = tokio::time::timeout(Duration::from_secs(60), transfer(&link, 1, 10_000)).await;
            assert!(matches!(sent, Ok(Ok(()))), "{sent:?}: {}", link.explain());
        }
        assert_eq!(self.tally.wrong(), Vec::<String>::new());
        self.check();
    }
}

/// Few enough numbers that some are right.
fn number(input: &mut Input<'_>) -> CircuitId {
    let number = u64::from(input.byte());
    if number < 192 { CircuitId::asked(number % 8) } else { CircuitId::routed(input.number()) }
}

//! A way in through the gateway: two homes from which no hole can be made, and gateways that tell the truth or not.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking, their helpers too")]

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use telemesh_mesh::LinkInfo;
use telemesh_testkit::{Node, World};
use telemesh_transport::PortMapping;

/// A mapping in a test's hands.
#[derive(Debug, Clone, Default)]
struct Made(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: Vec<u16>,
    mapped: Option<SocketAddr>,
    told: Option<SocketAddr>,
    waker: Option<Waker>,
    released: usize,
}

impl Made {
    fn say(&self, mapped: Option<SocketAddr>) {
        let mut state = self.0.lock().unwrap();
        state.mapped = mapped;
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    fn asked(&self) -> Vec<u16> {
        self.0.lock().unwrap().asked.clone()
    }
}

impl PortMapping for Made {
    fn map(&self, port: NonZeroU16) {
        self.0.lock().unwrap().asked.push(port.get());
    }

    fn poll_mapped(&self, cx: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        let mut state = self.0.lock().unwrap();
        if state.mapped != state.told {
            state.told = state.mapped;
            return Poll::Ready(state.mapped);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_released(&self, _: &mut Context<'_>) -> Poll<()> {
        self.0.lock().unwrap().released += 1;
        Poll::Ready(())
    }
}

/// A node with such a mapping, and its link with another one.
async fn pair(world: &World) -> (Made, Node, Node) {
    let made = Made::default();
    let mapping = made.clone();
    let alice = world.node_with("alice", move |builder| builder.port_mapping(mapping.clone()));
    let bob = world.node("bob");
    world.link(&alice, &bob).await;
    (made, alice, bob)
}

/// Whether a peer of the node has this among the paths of their link.
fn knows(peer: &Node, node: &Node, address: &str) -> bool {
    let link = peer.mesh().find(&node.hashname()).unwrap();
    link.explain().to_string().contains(address)
}

fn tells(info: &LinkInfo, address: SocketAddr) -> bool {
    info.addresses().any(|path| path.socket_address() == Some(address))
}

#[test]
fn what_the_gateway_gives_is_told_to_peers_and_given_back_at_the_end() {
    World::run(1, |world| async move {
        let (made, alice, bob) = pair(&world).await;
        assert_eq!(made.asked().len(), 1);
        let mapped: SocketAddr = "198.51.100.7:4242".parse().unwrap();
        made.say(Some(mapped));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(alice.mesh().mapped_address(), Some(mapped));
        assert!(tells(&alice.info(), mapped), "a new contact does not learn it");
        assert!(knows(&bob, &alice, "198.51.100.7:4242"), "a peer does not learn it");
        made.say(None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!tells(&alice.info(), mapped));
        assert_eq!(made.0.lock().unwrap().released, 0);
        assert!(alice.mesh().close().await.delivered);
        assert_eq!(made.0.lock().unwrap().released, 1);
    });
}

#[test]
fn an_address_that_leads_nobody_here_is_told_to_nobody() {
    World::run(2, |world| async move {
        let (made, alice, bob) = pair(&world).await;
        for nonsense in
            ["192.168.1.1:4242", "127.0.0.1:4242", "100.64.0.1:4242", "[fd00::1]:4242", "198.51.100.7:0"]
        {
            let nonsense: SocketAddr = nonsense.parse().unwrap();
            made.say(Some(nonsense));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(alice.mesh().mapped_address(), None, "{nonsense}");
            assert!(
                !tells(&alice.info(), nonsense) && !knows(&bob, &alice, &nonsense.to_string()),
                "{nonsense}"
            );
        }
    });
}

#[test]
fn the_gateway_is_asked_again_for_the_port_of_a_new_socket() {
    World::run(3, |world| async move {
        let (made, alice, _bob) = pair(&world).await;
        alice.mesh().network_changed().unwrap();
        let asked = made.asked();
        let port = alice.addresses().first().and_then(|address| address.socket_address()).unwrap().port();
        assert_eq!((asked.len(), asked.last()), (2, Some(&port)));
        assert_ne!(asked.first(), asked.last());
    });
}

//! Measures chat on the simulated network: a group of 32 over paths with a delay and losses, in virtual time.
//! `cargo run --release -p telemesh --example chat_group`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "an example says what it does, and ends if a scenario that must work does not"
)]

use std::time::Duration;

use telemesh::MeshChats as _;
use telemesh::chat::{Chat, Config, Event};
use telemesh_testkit::World;
use telemesh_testkit::simnet::{Conditions, Scope};
use tokio::time::{Instant, sleep};

const GROUP: usize = 32;
const MESSAGES: usize = 200;

fn main() {
    for (name, conditions) in [
        ("20 ms one way", Conditions::new().delay(Duration::from_millis(20))),
        ("20 ms one way, 1% lost", Conditions::new().delay(Duration::from_millis(20)).loss(0.01)),
        ("100 ms one way, 5% lost", Conditions::new().delay(Duration::from_millis(100)).loss(0.05)),
    ] {
        let began = std::time::Instant::now();
        let mut took = World::run(32, |world| async move {
            world.with_network(|network| network.set_conditions(Scope::Everywhere, conditions));
            deliveries(&world).await
        });
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
        println!(
            "group of {GROUP}, {name}: {} deliveries, p50 {:?}, p99 {:?}, most {:?}; simulated in {:.1?}",
            took.len(),
            at(50),
            at(99),
            took.last().copied().unwrap_or_default(),
            began.elapsed()
        );
    }
}

/// From `say` until each other one's application has the message.
async fn deliveries(world: &World) -> Vec<Duration> {
    let nodes: Vec<_> = (0..GROUP).map(|n| world.node(&format!("person {n}"))).collect();
    for (n, node) in nodes.iter().enumerate() {
        for other in nodes.iter().take(n) {
            world.link(node, other).await;
        }
    }
    let mut rooms: Vec<Chat> = Vec::new();
    let mut all = Vec::new();
    for node in &nodes {
        let config = Config::new("somebody".parse().expect("a name"));
        let chats = node.mesh().chats(config).await.expect("chats start");
        let room = match rooms.first() {
            None => chats.create("group".parse().expect("a name")).await.expect("a chat"),
            Some(first) => {
                let mut invitations = chats.invitations().await.expect("chats run");
                first.invite(node.mesh().hashname()).await.expect("there is room");
                let invitation = invitations.next().await.expect("an invitation");
                chats.accept(invitation.chat).await.expect("accepted")
            }
        };
        let mut events = room.events().await.expect("chats run");
        while !room.info().await.expect("chats run").joined {
            events.next().await;
        }
        rooms.push(room);
        all.push(chats);
    }
    sleep(Duration::from_secs(30)).await;
    let mut events = Vec::new();
    for room in &rooms {
        events.push(room.events().await.expect("chats run"));
    }
    let mut took = Vec::new();
    for (n, sender) in (0..MESSAGES).zip(rooms.iter().cycle()) {
        let (text, began) = (format!("message {n}"), Instant::now());
        sender.say(text.clone()).await.expect("stored");
        let hear = events.iter_mut().map(|events| {
            let text = &text;
            async move {
                while let Some(event) = events.next().await {
                    if matches!(&event, Event::Message(message) if message.text.text == *text) {
                        return began.elapsed();
                    }
                }
                Duration::MAX
            }
        });
        let mut of_message = futures_util::future::join_all(hear).await;
        of_message.remove(n % GROUP);
        took.extend(of_message);
        // As people write: one every half second in all.
        sleep(Duration::from_millis(500)).await;
    }
    took
}

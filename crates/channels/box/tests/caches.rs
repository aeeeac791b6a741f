//! Which caches a message is left with: those that its recipient has told, ours, or those that were named.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

mod world;

use std::time::Duration;

use telemesh_box::{Caches, Stage};
use world::{Node, World, connect, disconnect, quiet, read, run};

/// Sender, recipient, a cache of each. All know each other, and both caches take from everybody.
struct Four {
    world: World,
    sender: Node,
    recipient: Node,
    ours: Node,
    theirs: Node,
}

fn four(change: impl FnOnce(&mut Four)) -> Four {
    let world = World::new();
    let (sender, recipient) = (world.node(1), world.node(3));
    let (ours, theirs) = (world.cache(2), world.cache(4));
    let mut four = Four { world, sender, recipient, ours, theirs };
    let all = [&four.sender, &four.recipient, &four.ours, &four.theirs].map(Node::hashname);
    for node in [&mut four.sender, &mut four.recipient, &mut four.ours, &mut four.theirs] {
        node.contacts = all.to_vec();
        node.granted = all.to_vec();
    }
    four.sender.caches = Caches::for_all([four.ours.hashname()]);
    four.recipient.caches = Caches::for_all([four.theirs.hashname()]);
    change(&mut four);
    for node in [&mut four.sender, &mut four.recipient, &mut four.ours, &mut four.theirs] {
        four.world.start(node);
    }
    four
}

impl Four {
    /// The recipient has been there once, and is gone.
    async fn met(&self) {
        connect(&self.sender, &self.recipient);
        quiet().await;
        disconnect(&self.sender, &self.recipient);
    }

    /// Sends a message and says who has it in the end.
    async fn left_with(&self, what: &str) -> Vec<telemesh_channel::Hashname> {
        let id = self.sender.send(&self.recipient, what).await;
        let outbox = self.sender.boxes().outbox();
        let cached = outbox.reached(&id, Stage::Cached);
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), cached).await, Ok(Some(Stage::Cached)));
        quiet().await;
        outbox.pending().into_iter().find(|pending| pending.id == id).unwrap().caches
    }
}

#[test]
fn the_cache_that_its_recipient_has_told_is_found_by_itself_and_comes_before_ours() {
    run(async {
        let mut four = four(|_| ());
        four.met().await;
        // What was told outlives a restart.
        four.sender.kill(&[]);
        let (world, sender) = (&four.world, &mut four.sender);
        world.start(sender);
        connect(&four.sender, &four.theirs);
        connect(&four.sender, &four.ours);
        assert_eq!(four.left_with("hello").await, [four.theirs.hashname()]);
        assert_eq!(four.ours.boxes().cache_use().unwrap().messages, 0);
        connect(&four.recipient, &four.theirs);
        assert_eq!(read(&four.recipient, 1).await, ["hello"]);
    });
}

#[test]
fn ours_takes_it_while_theirs_is_down_and_when_theirs_refuses() {
    run(async {
        let down = four(|_| ());
        down.met().await;
        connect(&down.sender, &down.ours);
        assert_eq!(down.left_with("hello").await, [down.ours.hashname()]);
        // Theirs gets it too when it comes, since nobody knows whether its recipient ever asks at ours.
        connect(&down.sender, &down.theirs);
        quiet().await;
        quiet().await;
        assert_eq!(down.theirs.boxes().cache_use().unwrap().messages, 1);
        // And when it goes, the next one goes to ours again.
        disconnect(&down.sender, &down.theirs);
        assert_eq!(down.left_with("again").await, [down.ours.hashname()]);

        let refusing = four(|four| four.theirs.granted.clear());
        refusing.met().await;
        connect(&refusing.sender, &refusing.theirs);
        connect(&refusing.sender, &refusing.ours);
        assert_eq!(refusing.left_with("hello").await, [refusing.ours.hashname()]);
    });
}

#[test]
fn a_cache_is_used_on_somebodys_word_only_if_we_know_it_and_a_named_one_comes_first() {
    run(async {
        let unknown = four(|four| {
            let theirs = four.theirs.hashname();
            four.sender.contacts.retain(|contact| *contact != theirs);
        });
        unknown.met().await;
        assert_eq!(
            unknown.sender.boxes().caches_told_by(&unknown.recipient.hashname()),
            [unknown.theirs.hashname()]
        );
        connect(&unknown.sender, &unknown.ours);
        assert_eq!(unknown.left_with("hello").await, [unknown.ours.hashname()]);

        let named = four(|_| ());
        named.met().await;
        connect(&named.sender, &named.theirs);
        connect(&named.sender, &named.ours);
        let caches = Caches::none().with(named.recipient.hashname(), [named.ours.hashname()]);
        named.sender.boxes().set_caches(caches);
        assert_eq!(named.left_with("hello").await, [named.ours.hashname()]);
    });
}

#[test]
fn a_change_of_ours_is_told_at_once_and_nothing_is_told_by_who_does_not_want_to() {
    run(async {
        let four = four(|_| ());
        let told = |of: &Node| four.sender.boxes().caches_told_by(&of.hashname());
        connect(&four.sender, &four.recipient);
        quiet().await;
        assert_eq!(told(&four.recipient), [four.theirs.hashname()]);
        let five = (10..15).map(|seed| four.world.node(seed).hashname()).collect::<Vec<_>>();
        four.recipient.boxes().set_caches(Caches::for_all(five.clone()));
        quiet().await;
        assert_eq!(told(&four.recipient), five[..4], "not more than anybody remembers");
        four.recipient.boxes().set_caches(Caches::none());
        quiet().await;
        assert!(told(&four.recipient).is_empty(), "that there is none any more, too");

        let silent = self::four(|four| four.recipient.tells_caches = false);
        silent.met().await;
        assert!(silent.sender.boxes().caches_told_by(&silent.recipient.hashname()).is_empty());
    });
}

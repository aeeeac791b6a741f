//! What an endpoint whose records are in a file does after a restart: replays of old handshakes meet silence, and neither a
//! clock that jumped nor a backup that was restored locks anybody out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use telemesh_mesh::Link;
use telemesh_store::FileStore;
use telemesh_testkit::{Node, SimTransport, World};
use tempfile::TempDir;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// The type byte of an initiation.
const INITIATION: u8 = 1;

/// Two endpoints with their stores in files.
struct Pair {
    world: World,
    alice: Node,
    bob: Node,
    folder: TempDir,
}

impl Pair {
    fn new(world: World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = |name: &str| {
            let file = file_of(&folder, name);
            world.node_with(name, move |builder| builder.store(Arc::new(FileStore::open(&file).unwrap())))
        };
        let (alice, bob) = (node("alice"), node("bob"));
        Self { world, alice, bob, folder }
    }

    /// Links them, and hangs up again.
    async fn meet(&self) {
        let link = self.world.link(&self.alice, &self.bob).await;
        sleep(SECOND).await;
        hang_up(link).await;
    }

    /// Alice calls; nothing else has to happen for the link to come up.
    async fn alice_calls(&self) -> Link {
        let link = self.alice.mesh().link(self.bob.info()).await.expect("the link comes up");
        link.ping().await.expect("and works");
        link
    }
}

fn file_of(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(format!("{name}.redb"))
}

async fn hang_up(link: Link) {
    link.close();
    sleep(SECOND).await;
}

/// Ends the process. Its file is free when this returns.
async fn crash(node: &Node) {
    node.mesh().saved().await.unwrap();
    node.crash();
    sleep(SECOND).await;
}

async fn restart(node: &Node) {
    crash(node).await;
    node.start();
}

/// Sends what was recorded from an address of its own, and says how many datagrams were sent to that address in the next
/// minutes.
async fn replay(world: &World, to: &Node, recorded: &[Vec<u8>]) -> usize {
    let eve: SimTransport = world.stranger();
    let own = eve.addresses();
    world.take_tapped();
    for address in to.addresses() {
        for packet in recorded {
            eve.send(address.socket_address().unwrap(), packet);
        }
    }
    sleep(200 * SECOND).await;
    let reached = |to: SocketAddr| own.contains(&to);
    world.take_tapped().into_iter().filter(|datagram| reached(datagram.to)).count()
}

/// The initiations to a node among what was sent since the last look.
fn initiations(world: &World, to: &Node) -> Vec<Vec<u8>> {
    let own: Vec<SocketAddr> = to.addresses().iter().filter_map(|path| path.socket_address()).collect();
    let tapped = world.take_tapped().into_iter();
    let wanted = tapped.filter(|datagram| own.contains(&datagram.to));
    wanted.map(|datagram| datagram.payload).filter(|packet| packet.first() == Some(&INITIATION)).collect()
}

#[test]
fn an_initiation_from_before_a_restart_that_is_replayed_after_it_gets_no_byte() {
    for alice_is_there in [true, false] {
        World::run(1, |world| async move {
            let pair = Pair::new(world);
            pair.world.take_tapped();
            pair.meet().await;
            let recorded = initiations(&pair.world, &pair.bob);
            assert_eq!(recorded.len(), 1);
            if alice_is_there {
                pair.alice_calls().await;
            } else {
                crash(&pair.alice).await;
            }
            restart(&pair.bob).await;
            assert_eq!(replay(&pair.world, &pair.bob, &recorded).await, 0);
            let dropped = pair.bob.mesh().metrics().dropped;
            assert!(dropped.values().sum::<u64>() >= 1, "it was received: {dropped:?}");
        });
    }
}

#[test]
fn without_what_the_store_keeps_a_replay_would_be_answered() {
    World::run(2, |world| async move {
        let pair = Pair::new(world);
        pair.world.take_tapped();
        pair.meet().await;
        let recorded = initiations(&pair.world, &pair.bob);
        let alice = pair.alice.info();
        crash(&pair.bob).await;
        std::fs::remove_file(file_of(&pair.folder, "bob")).unwrap();
        pair.bob.start();
        pair.bob.mesh().add_contact(alice).unwrap();
        assert!(replay(&pair.world, &pair.bob, &recorded).await > 0, "this test would notice an answer");
    });
}

#[test]
fn a_clock_that_jumped_a_year_either_way_locks_nobody_out() {
    for (seed, ahead) in [(3, true), (4, false)] {
        for jumps_at_alice in [true, false] {
            World::run(seed, |world| async move {
                let pair = Pair::new(world);
                pair.meet().await;
                let who = if jumps_at_alice { &pair.alice } else { &pair.bob };
                let jump = |back: bool| {
                    if back { who.clock().jump_back(YEAR) } else { who.clock().jump_ahead(YEAR) }
                };
                // In the running process, and then before it starts.
                jump(!ahead);
                hang_up(pair.alice_calls().await).await;
                restart(who).await;
                hang_up(pair.alice_calls().await).await;
                crash(who).await;
                jump(ahead);
                who.start();
                hang_up(pair.alice_calls().await).await;
                jump(ahead);
                restart(who).await;
                pair.alice_calls().await;
            });
        }
    }
}

#[test]
fn who_was_restored_from_a_backup_links_again() {
    for (seed, alice_is_restored) in [(5, true), (6, false)] {
        World::run(seed, |world| async move {
            let pair = Pair::new(world);
            pair.meet().await;
            let (who, name) = if alice_is_restored { (&pair.alice, "alice") } else { (&pair.bob, "bob") };
            let (file, backup) = (file_of(&pair.folder, name), file_of(&pair.folder, "backup"));
            crash(who).await;
            std::fs::copy(&file, &backup).unwrap();
            who.start();
            for _ in 0..10 {
                hang_up(pair.alice_calls().await).await;
                sleep(3_600 * SECOND).await;
            }
            crash(who).await;
            put_back(&backup, &file);
            who.start();
            hang_up(pair.alice_calls().await).await;
            // And with a clock that went back to where the backup was made, as when a whole machine is restored.
            crash(who).await;
            put_back(&backup, &file);
            who.clock().jump_back(12 * 3_600 * SECOND);
            who.start();
            hang_up(pair.alice_calls().await).await;
            // The other end dials first this time.
            crash(who).await;
            put_back(&backup, &file);
            who.start();
            pair.bob.mesh().link(pair.alice.info()).await.expect("the link comes up");
        });
    }
}

fn put_back(backup: &Path, file: &Path) {
    std::fs::remove_file(file).unwrap();
    std::fs::copy(backup, file).unwrap();
}

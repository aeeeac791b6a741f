//! Nothing about one link is ever told to another.
//!
//! An endpoint in the middle has a link with a witness, who sees every byte that comes over it, and in some worlds one with a
//! third endpoint too. The witness must not be able to tell the worlds apart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::{Acceptor as _, Incoming, Open, Opener as _};
use telemesh_hashname::{CipherSetId, Hashname};
use telemesh_testkit::{Heard, Node, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

const ECHO: &str = "org.example.echo";

async fn echo(incoming: Incoming) {
    let Ok(mut channel) = incoming.accept() else { return };
    while let Ok(Some(chunk)) = channel.read_chunk().await {
        if channel.write_chunk(chunk).await.is_err() {
            return;
        }
    }
    let _ = channel.finish().await;
}

/// What the third endpoint does in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Third {
    /// It is there, and nobody knows it.
    Unknown,
    /// It links, talks, moves, is forgotten.
    Busy,
}

/// What a witness has heard, with times since the start, and who the third endpoint was.
struct Testimony {
    heard: Vec<(Duration, Heard)>,
    third: Hashname,
    keys: Vec<Vec<u8>>,
    addresses: Vec<Vec<u8>>,
}

async fn testify(world: World, third: Third) -> Testimony {
    let start = Instant::now();
    let (middle, other) = (world.node("middle"), world.node("other"));
    middle.mesh().handle(ECHO, Arc::new(echo)).unwrap();
    let mut witness = world.bare();
    witness.connect(&middle).await;
    let mut addresses = addresses_of(&other);
    if third == Third::Busy {
        let busy = be_busy(&world, &middle, &other);
        tokio::join!(busy, witness.run_for(Duration::from_secs(400)));
        addresses.extend(addresses_of(&other));
    } else {
        witness.run_for(Duration::from_secs(400)).await;
    }
    let keys = other.keys();
    let key = |csid| keys.public().key(csid).map(<[u8]>::to_vec);
    Testimony {
        heard: witness.take_heard().into_iter().map(|heard| (heard.at - start, heard)).collect(),
        third: other.hashname(),
        keys: [CipherSetId::CS11, CipherSetId::CS21].into_iter().filter_map(key).collect(),
        addresses,
    }
}

async fn be_busy(world: &World, middle: &Node, other: &Node) {
    let link = world.link(other, middle).await;
    let mut channel = link.open(Open::reliable(ECHO)).await.unwrap();
    let mut back = vec![0; 100_000];
    for round in 0..20 {
        channel.write_all(&vec![round; back.len()]).await.unwrap();
        channel.read_exact(&mut back).await.unwrap();
        sleep(Duration::from_secs(5)).await;
    }
    other.move_to(world.fresh_address());
    other.mesh().network_changed().unwrap();
    sleep(Duration::from_secs(60)).await;
    link.ping().await.unwrap();
    middle.mesh().forget(&other.hashname());
    sleep(Duration::from_secs(60)).await;
    let _ = other.mesh().link(middle.info()).await;
}

/// The bytes of the IP addresses at which a node is reached now.
fn addresses_of(node: &Node) -> Vec<Vec<u8>> {
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    node.addresses().iter().filter_map(|path| Some(bytes(path.socket_address()?.ip()))).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_peer_cannot_tell_whether_there_are_others() {
    let alone = World::run(1, |world| testify(world, Third::Unknown));
    let busy = World::run(1, |world| testify(world, Third::Busy));
    assert!(alone.heard.len() > 10, "keepalives are answered: {}", alone.heard.len());
    let seen = |testimony: &Testimony| {
        let seen = testimony.heard.iter().map(|(at, heard)| (*at, heard.plaintext.len()));
        seen.collect::<Vec<_>>()
    };
    assert_eq!(seen(&alone), seen(&busy), "the same packets, of the same sizes, at the same times");
}

#[test]
fn no_name_key_or_address_of_one_peer_is_in_anything_that_another_one_gets() {
    for seed in 0..5 {
        let testimony = World::run(seed, |world| testify(world, Third::Busy));
        let mut secrets = vec![testimony.third.as_bytes().to_vec(), testimony.third.to_string().into_bytes()];
        secrets.push(testimony.third.short().to_string().into_bytes());
        secrets.extend(testimony.keys);
        secrets.extend(testimony.addresses);
        assert!(secrets.len() >= 6);
        for (at, heard) in &testimony.heard {
            for secret in &secrets {
                assert!(!contains(&heard.plaintext, secret), "after {at:?}: {secret:?}");
            }
        }
    }
}

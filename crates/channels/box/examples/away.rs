//! A sender and a recipient who are never there at the same time, and a cache between them.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::collections::HashMap;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};
use telemesh_box::{Boxes, CacheLimits, CacheSecret, Caches, GRANT, KeySealer, MemoryStore, Stage};
use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_channel::{ChannelError, Hashname};
use telemesh_hashname::PublicKeys;
use telemesh_keys::KeySet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = StdRng::try_from_rng(&mut SysRng)?;
    let [alice, router, bob] = [0; 3].map(|_| Arc::new(KeySet::generate(&mut rng)));
    let known: Arc<HashMap<Hashname, PublicKeys>> =
        Arc::new([&alice, &router, &bob].map(|keys| (keys.hashname(), keys.public().clone())).into());
    let [a, r, b] = [&alice, &router, &bob].map(|keys| MemoryEndpoint::new(keys.hashname()));
    let sealer = |keys: &Arc<KeySet>| {
        let known = known.clone();
        Arc::new(KeySealer::new(keys.clone(), move |peer: &Hashname| known.get(peer).cloned()))
    };

    let of_alice =
        Boxes::builder(a.clone(), sealer(&alice)).caches(Caches::for_all([router.hashname()])).start()?;
    // A real secret is drawn at random once and kept outside of the store.
    let secret = CacheSecret::from_bytes([7; 32]);
    let of_router = Boxes::builder(r.clone(), sealer(&router))
        .cache(Arc::new(MemoryStore::new()), secret, CacheLimits::default())
        .start()?;
    r.grant(alice.hashname(), GRANT);
    let of_bob = Boxes::builder(b.clone(), sealer(&bob)).start()?;
    // Bob knows Alice: a contact has a link, whether it is up or not.
    memory::connect(&a, &b);
    memory::disconnect(&a, &b, &ChannelError::LinkDown);

    memory::connect(&a, &r);
    let id = of_alice.outbox().send(&bob.hashname(), "see you at nine").await?;
    of_alice.outbox().reached(&id, Stage::Cached).await;
    println!("alice has left message {id} and goes; the router keeps {:?}", of_router.cache_use());
    memory::disconnect(&a, &r, &ChannelError::LinkDown);

    memory::connect(&b, &r);
    let message = of_bob.inbox()?.next().await.ok_or("the boxes have ended")?;
    println!("bob reads: {}", String::from_utf8_lossy(message.content()));
    message.ack().await?;
    Ok(())
}

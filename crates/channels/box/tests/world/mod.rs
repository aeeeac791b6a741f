//! Endpoints with boxes over links in memory, whose stores outlive them, and a clock of the day that tests turn.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of several tests"
)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use telemesh_box::{
    Boxes, CacheLimits, CacheSecret, Caches, Clock, KeySealer, Limits, MemoryStore, Message, Stage, Store,
};
use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_channel::{ChannelError, Hashname};
use telemesh_keys::KeySet;

/// Runs a scenario on virtual time, so that one that gets stuck fails at once.
pub(crate) fn run<F: Future>(scenario: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(48 * 60 * 60), scenario)
            .await
            .expect("every task waits for ever")
    })
}

/// A clock that stands until somebody turns it.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn seconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// All endpoints that there are, with the keys they know of each other.
pub(crate) struct World {
    pub(crate) clock: Arc<TestClock>,
    keys: Arc<Mutex<HashMap<Hashname, telemesh_hashname::PublicKeys>>>,
}

/// An endpoint whose stores outlive it.
pub(crate) struct Node {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cache: Option<(Arc<dyn Store>, CacheLimits)>,
    pub(crate) caches: Caches,
    pub(crate) tells_caches: bool,
    pub(crate) limits: Limits,
    pub(crate) contacts: Vec<Hashname>,
    pub(crate) granted: Vec<Hashname>,
    pub(crate) running: Option<Running>,
}

pub(crate) struct Running {
    pub(crate) endpoint: Arc<MemoryEndpoint>,
    pub(crate) boxes: Boxes,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { clock: Arc::new(TestClock(AtomicU64::new(1_700_000_000))), keys: Arc::default() }
    }

    pub(crate) fn node(&self, seed: u64) -> Node {
        let keys = Arc::new(KeySet::generate(&mut StdRng::seed_from_u64(seed)));
        self.keys.lock().unwrap().insert(keys.hashname(), keys.public().clone());
        Node {
            keys,
            store: Arc::new(MemoryStore::new()),
            cache: None,
            caches: Caches::none(),
            tells_caches: true,
            limits: Limits::default(),
            contacts: Vec::new(),
            granted: Vec::new(),
            running: None,
        }
    }

    /// A node that caches for whoever has the grant.
    pub(crate) fn cache(&self, seed: u64) -> Node {
        Node { cache: Some((Arc::new(MemoryStore::new()), CacheLimits::default())), ..self.node(seed) }
    }

    /// Three endpoints that know each other: a sender, a cache that serves both, a recipient.
    pub(crate) fn three(&self) -> (Node, Node, Node) {
        let (mut sender, mut cache, mut recipient) = (self.node(1), self.cache(2), self.node(3));
        let all = [sender.hashname(), cache.hashname(), recipient.hashname()];
        for node in [&mut sender, &mut cache, &mut recipient] {
            node.contacts = all.to_vec();
        }
        cache.granted = all.to_vec();
        sender.caches = Caches::for_all([cache.hashname()]);
        recipient.caches = Caches::for_all([cache.hashname()]);
        for node in [&mut sender, &mut cache, &mut recipient] {
            self.start(node);
        }
        (sender, cache, recipient)
    }

    pub(crate) fn start(&self, node: &mut Node) {
        self.try_start(node).unwrap();
    }

    /// Starts an endpoint with what its stores hold.
    pub(crate) fn try_start(&self, node: &mut Node) -> Result<(), telemesh_box::StartError> {
        let endpoint = MemoryEndpoint::new(node.hashname());
        for contact in node.contacts.iter().filter(|contact| **contact != node.hashname()) {
            // A contact has a link, whether it is up or not.
            let away = MemoryEndpoint::new(*contact);
            memory::connect(&endpoint, &away);
            memory::disconnect(&endpoint, &away, &ChannelError::LinkDown);
        }
        node.granted.iter().for_each(|peer| endpoint.grant(*peer, telemesh_box::GRANT));
        let known = self.keys.clone();
        let sealer = KeySealer::new(node.keys.clone(), move |peer: &Hashname| {
            known.lock().unwrap().get(peer).cloned()
        });
        let mut builder = Boxes::builder(endpoint.clone(), Arc::new(sealer))
            .store(node.store.clone())
            .clock(self.clock.clone())
            .limits(node.limits)
            .tell_caches(node.tells_caches)
            .caches(node.caches.clone());
        if let Some((store, limits)) = &node.cache {
            builder = builder.cache(store.clone(), CacheSecret::from_bytes([7; 32]), *limits);
        }
        node.running = Some(Running { endpoint, boxes: builder.start()? });
        Ok(())
    }
}

impl Node {
    pub(crate) fn hashname(&self) -> Hashname {
        self.keys.hashname()
    }

    pub(crate) fn boxes(&self) -> &Boxes {
        &self.running.as_ref().expect("it runs").boxes
    }

    pub(crate) fn endpoint(&self) -> &Arc<MemoryEndpoint> {
        &self.running.as_ref().expect("it runs").endpoint
    }

    /// Ends it as a crash would: nothing is said, nothing is finished.
    pub(crate) fn kill(&mut self, others: &[&Node]) {
        for other in others.iter().filter(|other| other.running.is_some()) {
            disconnect(self, other);
        }
        self.running = None;
    }

    pub(crate) async fn send(&self, to: &Node, content: &str) -> telemesh_box::MessageId {
        self.boxes().outbox().send(&to.hashname(), content.to_owned()).await.unwrap()
    }

    /// What has no receipt yet.
    pub(crate) fn pending(&self) -> usize {
        self.boxes().outbox().pending().len()
    }

    /// Waits until nothing is without a receipt.
    pub(crate) async fn settled(&self) {
        for pending in self.boxes().outbox().pending() {
            while self.boxes().outbox().reached(&pending.id, Stage::Arrived).await.is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

pub(crate) fn connect(first: &Node, second: &Node) {
    memory::connect(first.endpoint(), second.endpoint());
}

pub(crate) fn disconnect(first: &Node, second: &Node) {
    memory::disconnect(first.endpoint(), second.endpoint(), &ChannelError::LinkDown);
}

/// Until every task has done what it can without time passing.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.content().to_vec()).unwrap()
}

/// Reads so many messages and acknowledges them; what they say.
pub(crate) async fn read(node: &Node, count: usize) -> Vec<String> {
    let mut inbox = node.boxes().inbox().unwrap();
    let mut texts = Vec::new();
    for _ in 0..count {
        let message = inbox.next().await.unwrap();
        texts.push(text(&message));
        message.ack().await.unwrap();
    }
    texts
}

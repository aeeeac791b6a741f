//! The task with gateways that a test makes up, under virtual time.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, timeout};

use super::*;
use crate::gateway::NoLease;

const PORT: NonZeroU16 = NonZeroU16::new(4242).unwrap();
const EXTERNAL: &str = "198.51.100.7:4242";

/// Gives leases of so many seconds, or none while there are none.
#[derive(Clone, Default)]
struct Made(Arc<Counts>);

#[derive(Default)]
struct Counts {
    seconds: AtomicUsize,
    obtained: AtomicUsize,
    renewed: AtomicUsize,
    released: AtomicUsize,
}

impl Gateways for Made {
    type Held = ();

    async fn obtain(&mut self, _: NonZeroU16, before: Option<()>) -> Result<Lease<()>, NoLease> {
        let counter = if before.is_some() { &self.0.renewed } else { &self.0.obtained };
        counter.fetch_add(1, Ordering::Relaxed);
        match self.0.seconds.load(Ordering::Relaxed) {
            0 => Err(NoLease::NoGateway),
            seconds => Ok(Lease {
                external: EXTERNAL.parse().unwrap(),
                lifetime: Duration::from_secs(seconds as u64),
                held: (),
            }),
        }
    }

    async fn release(&mut self, (): ()) {
        self.0.released.fetch_add(1, Ordering::Relaxed);
    }
}

impl Made {
    fn giving(seconds: usize) -> (Self, PortMapper) {
        let made = Self::default();
        made.0.seconds.store(seconds, Ordering::Relaxed);
        let mapper = PortMapper::with(made.clone()).unwrap();
        (made, mapper)
    }

    /// How often a lease was asked for, renewed, given back.
    fn counts(&self) -> (usize, usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.0.obtained), count(&self.0.renewed), count(&self.0.released))
    }
}

async fn mapped(mapper: &PortMapper) -> Option<SocketAddr> {
    poll_fn(|cx| mapper.poll_mapped(cx)).await
}

async fn released(mapper: &PortMapper) {
    poll_fn(|cx| mapper.poll_released(cx)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_a_port_is_wanted() {
    let (made, mapper) = Made::giving(60);
    assert!(timeout(Duration::from_secs(86_400), mapped(&mapper)).await.is_err());
    released(&mapper).await;
    assert_eq!(made.counts(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_at_half_of_its_time_and_given_back() {
    let (made, mapper) = Made::giving(3_600);
    mapper.map(PORT);
    assert_eq!(mapped(&mapper).await, Some(EXTERNAL.parse().unwrap()));
    tokio::time::sleep(Duration::from_secs(4 * 1_800 + 1)).await;
    assert_eq!(made.counts(), (1, 4, 0));
    released(&mapper).await;
    assert_eq!(made.counts(), (1, 4, 1));
    assert_eq!(mapped(&mapper).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gives_no_time_is_not_asked_all_the_time() {
    let (made, mapper) = Made::giving(1);
    mapper.map(PORT);
    mapped(&mapper).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(made.counts(), (1, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn without_help_it_asks_ever_more_seldom_and_at_once_when_the_network_is_another_one() {
    let (made, mapper) = Made::giving(0);
    mapper.map(PORT);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    let (asked, ..) = made.counts();
    assert!((48..60).contains(&asked), "asked {asked} times in a day");
    made.0.seconds.store(3_600, Ordering::Relaxed);
    let begin = Instant::now();
    mapper.map(PORT);
    assert_eq!(mapped(&mapper).await, Some(EXTERNAL.parse().unwrap()));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_port_gives_the_first_one_back() {
    let (made, mapper) = Made::giving(3_600);
    mapper.map(PORT);
    mapped(&mapper).await;
    mapper.map(NonZeroU16::new(4243).unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(made.counts(), (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_ends_is_told() {
    let (made, mapper) = Made::giving(60);
    mapper.map(PORT);
    assert!(mapped(&mapper).await.is_some());
    made.0.seconds.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    assert_eq!(mapped(&mapper).await, None);
    assert_eq!(begin.elapsed(), Duration::from_secs(30));
    released(&mapper).await;
    assert_eq!(made.counts(), (1, 1, 0), "there was nothing to give back");
}

//! The task that wants a mapping, keeps it, and gives it back.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use telemesh_transport::PortMapping;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::gateway::{Gateways, Lease, System};

/// A lease is renewed at half of its time (RFC 6887 section 11.2.1), but not sooner than this, whatever the gateway says.
const RENEW_MIN: Duration = Duration::from_secs(30);
/// How soon a gateway that has not helped is asked again, and how late at most: people switch such things on.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// See [`RETRY_FIRST`].
const RETRY_MAX: Duration = Duration::from_secs(1_800);

/// What is asked, and whom.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The gateway for PCP and NAT-PMP. Default: that of the default route, where the system shows it.
    pub gateway: Option<Ipv4Addr>,
    /// Whether to look for gateways by UPnP if that one does not help. Default: yes. Without the feature `upnp` it means nothing.
    pub upnp: bool,
    /// Where to look for them. Default: everywhere on the local network, by multicast.
    pub upnp_at: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { gateway: None, upnp: true, upnp_at: None }
    }
}

/// Asks this network's gateway for a way in. See the crate's page.
pub struct PortMapper {
    wish: watch::Sender<Wish>,
    slot: Arc<Slot>,
    task: AbortHandle,
}

/// What is wanted. Another round begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    port: Option<NonZeroU16>,
    round: u64,
}

/// What the task has to say.
#[derive(Debug, Default)]
struct Slot(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    mapped: Option<SocketAddr>,
    told: Option<SocketAddr>,
    /// The last round that was done with.
    idle: Option<u64>,
    mapped_waker: Option<Waker>,
    idle_waker: Option<Waker>,
}

impl PortMapper {
    /// Ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn open(options: Options) -> io::Result<Self> {
        Self::with(System { options })
    }

    fn with(gateways: impl Gateways) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (wish, wished) = watch::channel(Wish::default());
        let slot = Arc::new(Slot::default());
        let task = runtime.spawn(run(gateways, wished, slot.clone())).abort_handle();
        Ok(Self { wish, slot, task })
    }
}

impl PortMapping for PortMapper {
    fn map(&self, port: NonZeroU16) {
        self.wish.send_modify(|wish| *wish = Wish { port: Some(port), round: wish.round + 1 });
    }

    fn poll_mapped(&self, cx: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        let mut said = self.slot.0.lock();
        if said.mapped != said.told {
            said.told = said.mapped;
            return Poll::Ready(said.mapped);
        }
        said.mapped_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_released(&self, cx: &mut Context<'_>) -> Poll<()> {
        let wanted = self.wish.borrow().port.is_some();
        if wanted {
            self.wish.send_modify(|wish| *wish = Wish { port: None, round: wish.round + 1 });
        }
        let round = self.wish.borrow().round;
        let mut said = self.slot.0.lock();
        if round == 0 || said.idle >= Some(round) || self.task.is_finished() {
            return Poll::Ready(());
        }
        said.idle_waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for PortMapper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for PortMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortMapper").field("mapped", &self.slot.0.lock().mapped).finish_non_exhaustive()
    }
}

impl Slot {
    fn mapped(&self, mapped: Option<SocketAddr>) {
        let mut said = self.0.lock();
        if said.mapped != mapped {
            said.mapped = mapped;
            let waker = said.mapped_waker.take();
            drop(said);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn idle(&self, round: u64) {
        let mut said = self.0.lock();
        said.idle = Some(round);
        let waker = said.idle_waker.take();
        drop(said);
        waker.into_iter().for_each(Waker::wake);
    }
}

async fn run<G: Gateways>(mut gateways: G, mut wished: watch::Receiver<Wish>, slot: Arc<Slot>) {
    loop {
        let wish = *wished.borrow_and_update();
        match wish.port {
            None => slot.idle(wish.round),
            Some(port) => keep(&mut gateways, port, &mut wished, &slot).await,
        }
        // As long as nobody wants anything else, there is nothing to do.
        if *wished.borrow() == wish && wished.changed().await.is_err() {
            return;
        }
    }
}

/// Gets a mapping and renews it, until something else is wished; then gives it back.
async fn keep<G: Gateways>(
    gateways: &mut G,
    port: NonZeroU16,
    wished: &mut watch::Receiver<Wish>,
    slot: &Slot,
) {
    let (mut held, mut retry) = (None, RETRY_FIRST);
    loop {
        // A question that was asked is waited for: what it brings has to be given back.
        let wait = match gateways.obtain(port, held.take()).await {
            Ok(Lease { external, lifetime, held: kept }) => {
                tracing::info!(%external, "the gateway leads packets here");
                slot.mapped(Some(external));
                held = Some(kept);
                retry = RETRY_FIRST;
                (lifetime / 2).max(RENEW_MIN)
            }
            Err(error) => {
                tracing::info!(%error, "no gateway leads packets here");
                slot.mapped(None);
                let wait = retry;
                retry = (retry * 2).min(RETRY_MAX);
                wait
            }
        };
        if changed_within(wished, wait).await {
            break;
        }
    }
    if let Some(held) = held {
        gateways.release(held).await;
    }
    slot.mapped(None);
}

/// Whether something else is wished before the time is over.
async fn changed_within(wished: &mut watch::Receiver<Wish>, time: Duration) -> bool {
    tokio::select! {
        biased;
        // When nobody can wish any more the task is ended from outside.
        _ = wished.changed() => true,
        () = sleep(time) => false,
    }
}

#[cfg(test)]
mod tests;

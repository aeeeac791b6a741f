//! One end of a link in memory, and what both ends share while it is up.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use futures_core::future::BoxFuture;
use telemesh_hashname::Hashname;
use telemesh_wire::{ChannelKind, Open};
use tokio::runtime::Handle;

use super::datagrams::{MemoryDatagrams, PendingMemoryDatagrams};
use super::stream::{MemoryStream, PendingMemoryStream};
use super::{MemoryConfig, lock};
use crate::channel::Channel;
use crate::datagrams::Datagrams;
use crate::dispatch::{Dispatch, Dispatcher};
use crate::error::{ChannelError, OpenError};
use crate::incoming::Incoming;
use crate::network::Opener;
use crate::registry::{Registry, check_open};

/// One endpoint's link to another, in memory. It outlives disconnects.
pub struct MemoryLink {
    local: Hashname,
    peer: Hashname,
    line: Mutex<Option<Line>>,
}

/// One end's view of a link that is up.
#[derive(Clone)]
struct Line {
    config: MemoryConfig,
    /// Answers, at the other end, what is opened at this one.
    remote: Arc<Dispatcher>,
    channels: Arc<Mutex<Channels>>,
}

/// A channel's state that both its ends share.
pub(super) trait Breakable: Send + Sync {
    /// The link went away.
    fn fail(&self, reason: &ChannelError);
}

/// The channels of a link, so that they can fail with it.
#[derive(Default)]
struct Channels {
    open: Vec<Weak<dyn Breakable>>,
    /// Look for dead entries when there are so many.
    sweep_at: usize,
}

impl Channels {
    fn add(&mut self, channel: Weak<dyn Breakable>) {
        if self.open.len() >= self.sweep_at {
            self.open.retain(|channel| channel.strong_count() > 0);
            self.sweep_at = (self.open.len() * 2).max(64);
        }
        self.open.push(channel);
    }
}

/// Connects both ends; `local_registry` answers what the other end opens and the other way round.
pub(super) fn bring_up(
    local: &MemoryLink,
    local_registry: &Arc<Registry>,
    remote: &MemoryLink,
    remote_registry: &Arc<Registry>,
    config: MemoryConfig,
) {
    let channels = Arc::default();
    let line = |registry: &Arc<Registry>| Line {
        config,
        remote: Arc::new(Dispatcher::new(Arc::clone(registry))),
        channels: Arc::clone(&channels),
    };
    *lock(&local.line) = Some(line(remote_registry));
    *lock(&remote.line) = Some(line(local_registry));
}

impl MemoryLink {
    pub(super) fn new(local: Hashname, peer: Hashname) -> Self {
        Self { local, peer, line: Mutex::new(None) }
    }

    pub(super) fn is_up(&self) -> bool {
        lock(&self.line).is_some()
    }

    /// Whether it was up.
    pub(super) fn take_down(&self, reason: &ChannelError) -> bool {
        let Some(line) = lock(&self.line).take() else { return false };
        let channels = std::mem::take(&mut lock(&line.channels).open);
        for channel in channels.iter().filter_map(Weak::upgrade) {
            channel.fail(reason);
        }
        true
    }

    /// How many channels of a type this end has open at the other one, as the other's limit counts them.
    pub fn open_channels(&self, channel_type: &str) -> usize {
        lock(&self.line).as_ref().map_or(0, |line| line.remote.open_channels(channel_type))
    }

    fn up(&self, open: &Open, kind: ChannelKind) -> Result<Line, OpenError> {
        check_open(open, kind)?;
        lock(&self.line).clone().ok_or(OpenError::Channel(ChannelError::LinkDown))
    }

    fn open_stream(&self, open: Open) -> Result<Channel, OpenError> {
        let line = self.up(&open, ChannelKind::Reliable)?;
        let (local, remote) = MemoryStream::pair(line.config.stream_capacity.max(1));
        lock(&line.channels).add(local.breakable());
        let channel = Channel::new(self.peer, open.channel_type.clone(), Box::new(local));
        line.deliver(Incoming::reliable(self.local, open, Box::new(PendingMemoryStream(remote))));
        Ok(channel)
    }
}

impl Line {
    /// At the other end: to the handler, in a task of its own.
    fn deliver(&self, incoming: Incoming) {
        match (self.remote.dispatch(incoming, Instant::now()), Handle::try_current()) {
            (Dispatch::Run(task), Ok(runtime)) => drop(runtime.spawn(task)),
            // Dropping the task refuses the channel.
            (Dispatch::Run(_), Err(_)) | (Dispatch::Refused(_) | Dispatch::Ignored, _) => {}
        }
    }
}

impl Opener for MemoryLink {
    fn peer(&self) -> Hashname {
        self.peer
    }

    fn open(&self, open: Open) -> BoxFuture<'_, Result<Channel, OpenError>> {
        Box::pin(async move { self.open_stream(open) })
    }

    fn open_datagrams(&self, open: Open) -> Result<Datagrams, OpenError> {
        let line = self.up(&open, ChannelKind::Unreliable)?;
        let (size, max) = (open.encoded_length(), line.config.max_datagram_size);
        if size > max {
            return Err(OpenError::TooLarge { size, max });
        }
        let (local, remote) = MemoryDatagrams::pair(line.config);
        lock(&line.channels).add(local.breakable());
        let datagrams = Datagrams::new(self.peer, open.channel_type.clone(), Arc::new(local));
        line.deliver(Incoming::unreliable(self.local, open, Box::new(PendingMemoryDatagrams(remote))));
        Ok(datagrams)
    }

    /// The open message may be twice as long as a message: over a network it would go in two halves.
    fn notify(&self, open: Open) -> Result<(), OpenError> {
        let line = self.up(&open, ChannelKind::Unreliable)?;
        let (size, max) = (open.encoded_length(), 2 * line.config.max_datagram_size);
        if size > max {
            return Err(OpenError::TooLarge { size, max });
        }
        line.deliver(Incoming::notice(self.local, open));
        Ok(())
    }
}

impl fmt::Debug for MemoryLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryLink")
            .field("peer", &self.peer)
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}

//! A link in the application's hands.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{
    BoxFuture, Channel, ChannelKind, Datagrams, Open, OpenError, Opener, check_channel_type,
};
use telemesh_engine::Stats as EngineStats;
use telemesh_hashname::Hashname;
use telemesh_link::{DownReason, Explain, PathStatus, State};
use telemesh_wire::CloseReason;
use tokio::sync::watch;

use crate::cell::LinkCell;
use crate::clock;
use crate::datagrams::MeshDatagrams;
use crate::inner::{Inner, Pong};
use crate::metrics::Traffic;
use crate::raw_stream::MeshStream;
use crate::state::{LinkError, LinkState, may_come_back};
use crate::streams::Ticket;
use crate::wants::Want;

/// How long [`Link::ping`] waits for an answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The relation to one other endpoint. Clones are the same link; dropping them changes nothing about it.
#[derive(Clone)]
pub struct Link {
    pub(crate) cell: Arc<LinkCell>,
}

/// The ping was not answered: the packet was lost, or the link is not up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ping was not answered")]
pub struct PingError;

impl Link {
    /// The endpoint at the other end.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.cell.peer
    }

    /// Whether it is up, or why not.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.cell.state()
    }

    /// The state as it changes. Only the latest is kept.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.cell.watch()
    }

    /// Wants the link to be up from now on: initiates now, and again whenever it is down.
    pub fn connect(&self) {
        let wall = self.cell.core.clock.micros();
        self.cell.drive(|inner, now, _| {
            if !inner.is_stopped() {
                inner.link.connect(now, wall);
            }
        });
    }

    /// Waits until the link is up.
    ///
    /// # Errors
    /// [`LinkError::Closed`] if it is closed first, [`LinkError::TimedOut`] after `limit`.
    pub async fn up(&self, limit: Duration) -> Result<(), LinkError> {
        let mut watch = self.watch();
        if let State::Down(reason) = self.state().state
            && self.cell.look(|inner| inner.is_stopped())
        {
            return Err(LinkError::Closed(reason));
        }
        let up = async {
            // A closed state that is there already is history; one that comes while we wait is an answer.
            while !watch.borrow_and_update().is_up() {
                watch.changed().await.map_err(|_| LinkError::Closed(DownReason::New))?;
                match watch.borrow().state {
                    State::Down(reason) if !may_come_back(reason) => return Err(LinkError::Closed(reason)),
                    _ => {}
                }
            }
            Ok(())
        };
        match tokio::time::timeout(limit, up).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::TimedOut(Box::new(self.explain()))),
        }
    }

    /// Which paths were tried, what came of each, and which one is in use.
    #[must_use]
    pub fn explain(&self) -> Explain {
        self.cell.explain()
    }

    /// The path that data takes.
    #[must_use]
    pub fn path(&self) -> Option<PathStatus> {
        self.cell.look(|inner| inner.link.path())
    }

    /// What went over it since it was made.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.cell.traffic.read()
    }

    /// Figures of the reliable channels' engine; `None` before the first such channel.
    #[must_use]
    pub fn engine_stats(&self) -> Option<EngineStats> {
        self.cell.look(|inner| inner.engine_stats())
    }

    /// Measures a round trip on the path in use.
    ///
    /// # Errors
    /// [`PingError`] without an answer within five seconds.
    pub async fn ping(&self) -> Result<Pong, PingError> {
        let answer = self.cell.ping();
        match tokio::time::timeout(PING_TIMEOUT, answer).await {
            Ok(Ok(pong)) => Ok(pong),
            _ => Err(PingError),
        }
    }

    /// Waits until the peer has everything of the channels that were ended here in order, and says whether it has. At most
    /// `limit`; not, if the link's channels end before.
    pub async fn drained(&self, limit: Duration) -> bool {
        self.wait_for(limit, |inner| inner.is_drained()).await
    }

    /// As [`drained`](Self::drained), and until the peer knows that we have what it has sent. While channels are in use that
    /// may not be before the limit.
    pub async fn settled(&self, limit: Duration) -> bool {
        self.wait_for(limit, |inner| inner.is_settled(clock::now())).await
    }

    async fn wait_for(&self, limit: Duration, reached: impl Fn(&mut Inner) -> bool) -> bool {
        let lost = self.cell.look(|inner| inner.lost());
        let wait = async {
            let mut pause = Duration::from_millis(1);
            loop {
                let (now_lost, reached) = self.cell.look(|inner| (inner.lost(), reached(inner)));
                if reached || now_lost != lost {
                    return now_lost == lost;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(false)
    }

    /// Makes the peer one of our routers, or none any more; kept across restarts. A router is asked to introduce us to whom we have
    /// no path to, and others are told that it leads to us. It has to be one by its own choice, and to grant us that. Whether
    /// the peer is a contact, without which nothing changes.
    pub fn router(&self, router: bool) -> bool {
        let known = self.cell.core.trust.set_router(&self.cell.peer, router);
        if known && router {
            self.connect();
            self.cell.core.ways.wants.state(Want::Up(self.cell.peer));
        } else if known {
            self.cell.core.ways.wants.state(Want::Restarted(self.cell.peer));
        }
        known
    }

    /// Whether the peer is one of our routers.
    #[must_use]
    pub fn is_router(&self) -> bool {
        self.cell.core.trust.is_router(&self.cell.peer)
    }

    /// Ends the link: channels fail at both ends, and nobody dials until [`Link::connect`]. The peer stays a contact.
    pub fn close(&self) {
        self.cell.close(CloseReason::Closed);
    }

    fn check(open: &Open, kind: ChannelKind) -> Result<(), OpenError> {
        check_channel_type(&open.channel_type).map_err(OpenError::InvalidType)?;
        if open.kind != kind {
            return Err(OpenError::WrongKind(open.kind));
        }
        Ok(())
    }

    async fn open_reliable(&self, open: Open) -> Result<Channel, OpenError> {
        Self::check(&open, ChannelKind::Reliable)?;
        let first = Bytes::from(open.encode_delimited()?);
        let mut place = Place { cell: &self.cell, ticket: None };
        let (epoch, id) = poll_fn(|cx| self.cell.poll_open(cx, &first, &mut place.ticket)).await?;
        let stream = MeshStream::opener(self.cell.clone(), epoch, id);
        Ok(Channel::new(self.cell.peer, open.channel_type, Box::new(stream)))
    }
}

/// A place in the line for a stream, given up with the future that waits.
struct Place<'a> {
    cell: &'a Arc<LinkCell>,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.cell.leave_line(ticket);
        }
    }
}

impl Opener for Link {
    fn peer(&self) -> Hashname {
        self.cell.peer
    }

    fn open(&self, open: Open) -> BoxFuture<'_, Result<Channel, OpenError>> {
        Box::pin(self.open_reliable(open))
    }

    fn open_datagrams(&self, open: Open) -> Result<Datagrams, OpenError> {
        Self::check(&open, ChannelKind::Unreliable)?;
        let channel_type = open.channel_type.clone();
        let (number, queue) = self.cell.open_datagrams(open)?;
        let raw = MeshDatagrams { cell: self.cell.clone(), number, queue };
        Ok(Datagrams::new(self.cell.peer, channel_type, Arc::new(raw)))
    }

    fn notify(&self, open: Open) -> Result<(), OpenError> {
        Self::check(&open, ChannelKind::Unreliable)?;
        self.cell.notify(open)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.cell.peer)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

//! A UDP tunnel as its opener has it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{Datagrams, Opener};
use tokio::time::{Instant, timeout_at};

use crate::datagram::{Datagram, Message, Reassembly, Sender};
use crate::failure::SockError;
use crate::request::Request;
use crate::targets::Target;

/// How long the first answer may take before the tunnel is opened anew, in case the opening was lost; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How often a tunnel is opened before it is given up: half a minute in all.
const ATTEMPTS: u32 = 6;

/// Datagrams from where a peer is. Each may be lost, doubled or overtake another, as on every network.
pub struct UdpTunnel {
    link: Arc<dyn Opener>,
    request: Request,
    channel: Datagrams,
    sender: Sender,
    reassembly: Reassembly,
    /// How often it was opened without an answer; `None` once there was one.
    attempts: Option<u32>,
    again_at: Instant,
    /// A datagram that has come before anybody asked for one.
    early: Option<Datagram>,
}

impl UdpTunnel {
    pub(crate) fn open(link: Arc<dyn Opener>, request: Request) -> Result<Self, SockError> {
        let channel = link.open_datagrams(request.open())?;
        Ok(Self {
            link,
            request,
            channel,
            sender: Sender::default(),
            reassembly: Reassembly::new(),
            attempts: Some(1),
            again_at: Instant::now() + FIRST_WAIT,
            early: None,
        })
    }

    /// Sends a datagram of at most 48 KiB, now or not at all: to `place`, or to the tunnel's own target.
    pub fn send(&mut self, place: Option<&Target>, data: Bytes) {
        // Whether it was lost here or later makes no difference to whoever waits for an answer.
        let _ = self.sender.send(&self.channel, Datagram { place: place.cloned(), data });
    }

    /// Waits until the peer has opened the tunnel. Nobody has to: datagrams may be sent before, and a refusal comes with
    /// [`recv`](Self::recv) too. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn opened(&mut self) -> Result<(), SockError> {
        while self.attempts.is_some() {
            match self.next().await? {
                Some(message) => self.early = self.reassembly.take(message).or(self.early.take()),
                None => return Err(SockError::Failed("the tunnel was closed".into())),
            }
        }
        Ok(())
    }

    /// Waits for the next datagram, with where it comes from; without a place it comes from the tunnel's own target. `None` when
    /// the peer has closed the tunnel, because nothing went through it for minutes. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SockError`]: refused by the peer, no answer from it, the link is lost.
    pub async fn recv(&mut self) -> Result<Option<Datagram>, SockError> {
        if let Some(early) = self.early.take() {
            return Ok(Some(early));
        }
        loop {
            let Some(message) = self.next().await? else { return Ok(None) };
            if let Some(datagram) = self.reassembly.take(message) {
                return Ok(Some(datagram));
            }
        }
    }

    /// The next message, whatever it is; opens the tunnel anew as long as there is none.
    async fn next(&mut self) -> Result<Option<Message>, SockError> {
        loop {
            let message = match self.attempts {
                None => self.channel.recv().await,
                Some(attempts) => match timeout_at(self.again_at, self.channel.recv()).await {
                    Ok(message) => message,
                    Err(_) if attempts >= ATTEMPTS => return Err(SockError::TimedOut),
                    Err(_) => {
                        self.channel = self.link.open_datagrams(self.request.open())?;
                        self.attempts = Some(attempts + 1);
                        self.again_at = Instant::now() + FIRST_WAIT * 2_u32.pow(attempts.min(ATTEMPTS));
                        continue;
                    }
                },
            };
            let Some(message) = message? else { return Ok(None) };
            self.attempts = None;
            if let Ok(message) = Message::decode(message) {
                return Ok(Some(message));
            }
        }
    }
}

impl fmt::Debug for UdpTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpTunnel")
            .field("peer", &self.channel.peer())
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

//! One command that is being carried out, as it sees whoever asked for it: somebody to tell what happens, and for `pipe`
//! bytes to read and write.
//!
//! The other side of a session is [`Events`]: this process's output, or a connection of the control socket. Its queue is
//! short. Whoever does not read holds up their own command, and nobody else's.

use tokio::sync::{mpsc, oneshot};

use crate::console::Console;
use crate::event::{Event, Happened};
use crate::failure::Failure;

#[cfg(unix)]
use crate::control::wire::Wire;
#[cfg(unix)]
use std::sync::Arc;

/// Events that may wait to be written.
const QUEUE: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Session {
    events: mpsc::Sender<Item>,
    data: Data,
}

/// Where the bytes of `pipe` come from and go to.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Standard input and output of this process, and whoever sits there.
    Stdio(Console),
    /// The connection on which the command came.
    #[cfg(unix)]
    Wire(Arc<Wire>),
}

impl Data {
    /// All bytes have been read and written: whoever is there may go.
    pub(crate) fn settle(&self) {
        match self {
            Self::Stdio(_) => {}
            #[cfg(unix)]
            Self::Wire(wire) => wire.settle(),
        }
    }

    /// Whether the end of what is read may as well be the death of whoever has written.
    pub(crate) fn may_be_dead(&self) -> bool {
        match self {
            Self::Stdio(_) => false,
            #[cfg(unix)]
            Self::Wire(wire) => wire.has_finished(),
        }
    }

    /// Whoever sits at the data: for a connection that is somebody else's business.
    pub(crate) fn console(&self) -> Console {
        match self {
            Self::Stdio(console) => console.clone(),
            #[cfg(unix)]
            Self::Wire(_) => Console::nobody(),
        }
    }
}

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) event: Event,
    /// Told once it is written.
    pub(crate) written: Option<oneshot::Sender<()>>,
}

/// What a session has said.
pub(crate) type Events = mpsc::Receiver<Item>;

impl Session {
    pub(crate) fn new(data: Data) -> (Self, Events) {
        let (events, receiver) = mpsc::channel(QUEUE);
        (Self { events, data }, receiver)
    }

    /// Says something, as soon as there is room.
    ///
    /// # Errors
    /// When nobody listens any more: the command is over.
    pub(crate) async fn say(&self, event: Event) -> Result<(), Failure> {
        self.events.send(Item { event, written: None }).await.map_err(|_| Failure::OutputClosed)
    }

    /// Says something that has happened.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub(crate) async fn happened(&self, happened: Happened) -> Result<(), Failure> {
        self.say(Event::Happened(happened)).await
    }

    /// Says something, and waits until it is written.
    ///
    /// # Errors
    /// As [`say`](Self::say); then nobody has read it.
    pub(crate) async fn told(&self, happened: Happened) -> Result<(), Failure> {
        let (sender, written) = oneshot::channel();
        let item = Item { event: Event::Happened(happened), written: Some(sender) };
        self.events.send(item).await.map_err(|_| Failure::OutputClosed)?;
        written.await.map_err(|_| Failure::OutputClosed)
    }

    /// Says how far something is, unless that would mean to wait.
    pub(crate) fn progress(&self, what: &str, bytes: u64, total: Option<u64>) {
        self.say_if_room(Happened::Progress {
            what: what.to_owned(),
            bytes,
            total,
            files: None,
            files_total: None,
        });
    }

    /// Says something that the next one of its kind makes good for if there is no room for it.
    pub(crate) fn say_if_room(&self, happened: Happened) {
        let _ = self.events.try_send(Item { event: Event::Happened(happened), written: None });
    }

    /// Says the last event before bytes follow, and gives the way for them once it is written.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub(crate) async fn open(&self, event: Happened) -> Result<Data, Failure> {
        let (sender, written) = oneshot::channel();
        let item = Item { event: Event::Happened(event), written: Some(sender) };
        self.events.send(item).await.map_err(|_| Failure::OutputClosed)?;
        written.await.map_err(|_| Failure::OutputClosed)?;
        Ok(self.data.clone())
    }
}

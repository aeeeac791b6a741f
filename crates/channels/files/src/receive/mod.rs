//! Receiving: a [`Request`] is decided upon, and then [`Request::receive`] moves bytes between the channel and a
//! [`writer`] thread, which checks what arrives and writes it; a second thread, the [`placer`], puts it in place.

mod collect;
mod decide;
mod handler;
mod incoming_file;
mod place;
mod placer;
mod pump;
mod state;
mod target;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod writer;

pub use handler::{Ending, Receiver};
pub use target::{Existing, Leftover, Target};

use std::fmt;

use telemesh_channel::{Hashname, Incoming};
use telemesh_wire::{ChannelKind, Refusal, RefusalCode};

use self::state::{State, StateError};
use crate::error::ReceiveError;
use crate::list::{TransferId, label};
use crate::progress::Progress;
use crate::report::Report;
use crate::wire::{Hello, Malformed};
use crate::{BULK_PRIORITY, FILES};

/// A transfer that a peer offers and that waits for a decision. Dropped undecided, it is refused.
pub struct Request {
    incoming: Incoming,
    hello: Hello,
}

impl Request {
    /// Reads what an incoming channel offers.
    ///
    /// # Errors
    /// [`ReceiveError::NotATransfer`]; the channel was refused then.
    pub fn read(incoming: Incoming) -> Result<Self, ReceiveError> {
        let refuse = |incoming: Incoming, code, why: &'static str| {
            incoming.refuse(Refusal::new(code, why));
            Err(ReceiveError::NotATransfer(why))
        };
        if incoming.kind() != ChannelKind::Reliable || incoming.open().channel_type != FILES {
            return refuse(incoming, RefusalCode::NotAllowed, "files travel over a reliable channel");
        }
        match Hello::decode(&incoming.open().body) {
            Ok(hello) => Ok(Self { incoming, hello }),
            Err(Malformed(why)) => refuse(incoming, RefusalCode::Application, why),
        }
    }

    /// Who offers it. The link has authenticated this.
    pub fn peer(&self) -> Hashname {
        self.incoming.peer()
    }

    /// What the sender calls the transfer. Show it through [`escaped`](crate::escaped).
    pub fn name(&self) -> &str {
        &self.hello.name
    }

    /// The transfer's id.
    pub fn id(&self) -> TransferId {
        TransferId(self.hello.id)
    }

    /// How many files it has at most.
    pub fn files(&self) -> u64 {
        self.hello.files
    }

    /// How many files, folders and links it has at most.
    pub fn entries(&self) -> u64 {
        self.hello.entries
    }

    /// How many bytes its files have at most.
    pub fn bytes(&self) -> u64 {
        self.hello.bytes
    }

    /// Refuses with a reason that the sender reads.
    pub fn refuse(self, refusal: Refusal) {
        self.incoming.refuse(refusal);
    }

    /// Takes the transfer. It resolves when everything that was wanted is in place and on the disk, and the sender knows.
    ///
    /// Dropping the future stops the transfer. After that, and after an error, what arrived is kept in the target's
    /// [`STATE_FOLDER`](crate::STATE_FOLDER), and the next attempt of the same peer goes on from there.
    ///
    /// # Errors
    /// [`ReceiveError`]. Entries that could not be taken are no error, see [`Report::is_complete`].
    pub async fn receive(self, target: &Target, progress: &Progress) -> Result<Report, ReceiveError> {
        let Self { incoming, hello } = self;
        let peer = incoming.peer();
        progress.set_totals(hello.entries, hello.files, hello.bytes);
        if let Err(refusal) = target.check(&hello) {
            let error = ReceiveError::Refused(refusal.reason().to_owned());
            incoming.refuse(refusal);
            return Err(error);
        }
        let opening = {
            let (target, id) = (target.clone(), hello.id);
            tokio::task::spawn_blocking(move || State::open(&target, peer, &id))
        };
        let state = match opening.await.map_err(std::io::Error::other) {
            Ok(Ok(state)) => state,
            Ok(Err(StateError::Busy)) => {
                incoming.refuse(Refusal::new(RefusalCode::Busy, "this transfer is being received already"));
                return Err(ReceiveError::Busy);
            }
            Ok(Err(StateError::Io(error))) | Err(error) => {
                // The system's words could name folders; the kind of the error tells the sender enough.
                let why = format!("the files cannot be kept: {}", error.kind());
                incoming.refuse(Refusal::new(RefusalCode::Internal, why));
                return Err(ReceiveError::Local(error));
            }
        };
        let mut channel = incoming.accept()?;
        channel.set_priority(BULK_PRIORITY);
        let what = label(&hello);
        let result = pump::run(channel, target, hello, state, progress).await;
        match &result {
            Ok(report) => tracing::debug!(%peer, what, problems = report.problem_count, "transfer received"),
            Err(error) => tracing::debug!(%peer, what, %error, "transfer not received"),
        }
        result
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("peer", &self.peer())
            .field("what", &label(&self.hello))
            .finish()
    }
}

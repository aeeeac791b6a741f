//! What links want that takes more than themselves: other links, services, the table of all. Stated under a link's lock, done by
//! one task without it.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use telemesh_hashname::Hashname;
use telemesh_wire::Circuit;
use tokio::sync::mpsc;

use crate::cell::LinkCell;
use crate::shared::Shared;

/// Something that a link wants done.
#[derive(Debug)]
pub(crate) enum Want {
    /// Nobody answers on the paths that it has: routers may help.
    Path(Weak<LinkCell>),
    /// A packet for a circuit that its router does not know yet: it takes an introduction.
    Introduction {
        /// Who is at the other end.
        peer: Hashname,
        circuit: Circuit,
        /// The packet, without the circuit's header.
        packet: Bytes,
    },
    /// The two ends should tell each other where they are; whether the peer is to answer, and to try many ports as this end does.
    Comparison { cell: Weak<LinkCell>, ask: bool, birthday: bool },
    /// A link has come up.
    Up(Hashname),
    /// The peer's process is another one: if it was a router, its circuits are gone.
    Restarted(Hashname),
}

/// The way from links to the task. It holds as much as links state, each a bounded number at a time.
#[derive(Debug)]
pub(crate) struct Wants {
    sender: mpsc::UnboundedSender<Want>,
}

impl Wants {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Want>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    pub(crate) fn state(&self, want: Want) {
        // After the end of the endpoint nobody wants anything.
        let _ = self.sender.send(want);
    }
}

/// Does what is wanted until it is dropped.
pub(crate) async fn run(shared: Arc<Shared>, mut wants: mpsc::UnboundedReceiver<Want>) {
    while let Some(want) = wants.recv().await {
        match want {
            Want::Path(cell) => {
                if let Some(cell) = cell.upgrade() {
                    shared.ask_routers(&cell);
                }
            }
            Want::Introduction { peer, circuit, packet } => shared.introduce(peer, circuit, packet),
            Want::Comparison { cell, ask, birthday } => {
                if let Some(cell) = cell.upgrade() {
                    shared.compare_paths(&cell, ask, birthday);
                }
            }
            Want::Up(peer) => shared.came_up(&peer),
            Want::Restarted(peer) => shared.drop_circuits(&peer),
        }
        // Others have their turn, however much is wanted.
        tokio::task::yield_now().await;
    }
}

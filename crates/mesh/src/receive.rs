//! The receive task of a transport: batches in, each packet to its link or to the gate.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use telemesh_link::{Admission, Claim, PacketKind, Request, State, classify, receiver_index, slot_of};
use telemesh_transport::{ReceiveBatch, Transport};
use telemesh_wire::{LinkInfo, PathAddress};
use tokio::sync::watch;

use crate::cell::{Entry, LinkCell};
use crate::clock;
use crate::invites::RESERVATION;
use crate::policy::{Standing, Verdict};
use crate::shared::Shared;
use crate::state::{LinkState, may_come_back};

/// Buffers per batch, of 64 KiB each: with receive offload each holds some 45 packets.
const BUFFERS: usize = 8;

/// Bytes of a batch that came alone, most likely.
const SMALL: usize = 4096;

/// Wait after a socket has failed: something else must repair it, and a busy loop would not help.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);

/// Packets of one batch that go to the same link, handed over under one lock.
#[derive(Default)]
pub(crate) struct Run {
    cell: Option<Arc<LinkCell>>,
    packets: Vec<(PathAddress, BytesMut)>,
    /// Links that have given many tasks something to do, and send nothing until those have had their turn.
    turns: Vec<Arc<LinkCell>>,
}

/// Receives until it is dropped.
pub(crate) async fn run(shared: Arc<Shared>, transport: Arc<dyn Transport>) {
    let mut batch = ReceiveBatch::new(BUFFERS);
    let mut run = Run::default();
    loop {
        if let Err(error) = poll_fn(|cx| transport.poll_receive(cx, &mut batch)).await {
            tracing::warn!(%error, "receiving failed");
            tokio::time::sleep(FAILURE_PAUSE).await;
            continue;
        }
        let is_full = batch.room() == 0;
        let mut taken = 0;
        for received in batch.drain() {
            taken += received.contents.len();
            shared.take_run(received, &mut run);
        }
        run.finish();
        // Let those read who were woken before more is received: what they read is still in the processor's cache. What many of
        // them write is sent together. After a few small packets the socket is empty, and they run anyway: to yield would only make
        // the runtime wake another thread for this task.
        if is_full || taken >= SMALL || !run.turns.is_empty() {
            tokio::task::yield_now().await;
            run.end_turns();
        }
    }
}

impl Run {
    fn add(&mut self, cell: &Arc<LinkCell>, source: PathAddress, packet: BytesMut) {
        if !self.cell.as_ref().is_some_and(|current| Arc::ptr_eq(current, cell)) {
            self.finish();
            self.cell = Some(cell.clone());
        }
        self.packets.push((source, packet));
    }

    pub(crate) fn finish(&mut self) {
        if let Some(cell) = self.cell.take()
            && cell.receive(&mut self.packets)
        {
            self.turns.push(cell);
        }
    }

    /// The tasks have had their turn.
    fn end_turns(&mut self) {
        self.turns.drain(..).for_each(|cell| cell.end_turn());
    }
}

impl Drop for Run {
    /// The transport's task may end at any time, and packets of circuits have a run of their own.
    fn drop(&mut self) {
        self.end_turns();
    }
}

impl Shared {
    /// One packet to where it belongs. Whatever belongs nowhere is counted and forgotten.
    pub(crate) fn dispatch(self: &Arc<Self>, source: PathAddress, mut packet: BytesMut, run: &mut Run) {
        match classify(&packet) {
            Ok(PacketKind::Initiation) => {
                // In the order of arrival: the link's packets before it may have ended the session that this one replaces.
                run.finish();
                self.admit(source, &mut packet);
            }
            Ok(_) => {
                let cell =
                    receiver_index(&packet).and_then(|index| self.table.read().slot(slot_of(index)).cloned());
                match cell {
                    Some(cell) => run.add(&cell, source, packet),
                    None => self.dropped.no_link(),
                }
            }
            Err(_) => self.dropped.not_a_packet(),
        }
    }

    /// Lets an initiation in if the policy accepts its sender. Everybody else meets silence.
    fn admit(self: &Arc<Self>, source: PathAddress, packet: &mut BytesMut) {
        let now = clock::now();
        let admitted = self.gate.lock().handle_initiation(now, source, packet);
        let request = match admitted {
            Ok(Admission::Request(request)) => request,
            Ok(Admission::Cookie { to, packet }) => {
                // Lost if the transport takes no more: whoever is really there asks again.
                self.core.send(to, packet.len(), &packet);
                return;
            }
            _ => return,
        };
        let peer = request.claim().hashname;
        let known = self.table.read().find(&peer).cloned();
        let standing = self.standing_of(request.claim(), now);
        let (verdict, standing) =
            self.core.trust.decide(&self.core.hashname(), request.claim(), standing, now);
        match (verdict, standing) {
            (Verdict::Accept, Standing::Issuer) => self.let_issuer_in(request.claim()),
            // It has become one since somebody began to look for it.
            (Verdict::Accept, Standing::Contact) => self.sought.found(&peer),
            _ => {}
        }
        let cell = match (verdict, known) {
            (Verdict::Accept, Some(cell)) => cell,
            (Verdict::Accept, None) => match self.provisional(&request, standing) {
                Some(cell) => cell,
                None => return self.dropped.no_room(),
            },
            (Verdict::Ask | Verdict::Ignore, _) => return self.dropped.not_trusted(),
        };
        cell.accept(*request);
    }

    /// Who somebody is by what it shows, beyond being a contact or bearing an invite.
    fn standing_of(&self, claim: &Claim, now: Instant) -> Standing {
        let standing = self.core.trust.standing(&self.core.hashname(), claim, now);
        if standing != Standing::Stranger || claim.credential.is_none() {
            standing
        } else if self.sought.is_issuer(&claim.hashname, &self.core.hashname(), &claim.credential) {
            Standing::Issuer
        } else if self.ticket_holder(claim.credential.as_bytes()).is_some() {
            Standing::Ticketed
        } else {
            standing
        }
    }

    /// The issuer of an invite that we bear becomes a contact, as if its URI had named it.
    fn let_issuer_in(&self, claim: &Claim) {
        if let Ok(info) = LinkInfo::new(claim.keys.clone()) {
            self.core.trust.add(&info);
            self.sought.found(&claim.hashname);
        }
    }

    /// A new link with somebody who is no contact, for as long as it takes to show that it is there.
    fn provisional(self: &Arc<Self>, request: &Request, standing: Standing) -> Option<Arc<LinkCell>> {
        let claim = request.claim();
        let entry = match standing {
            Standing::Contact => Entry::Contact,
            Standing::Invited => Entry::Invited,
            Standing::Issuer => Entry::Contact,
            Standing::Ticketed => Entry::Guest(self.ticket_holder(claim.credential.as_bytes())),
            Standing::Barred | Standing::Stranger => Entry::Guest(None),
        };
        let cell = self.add_link(claim.hashname, Some(claim.keys.clone()), entry).ok()?;
        self.keep_while_there(&cell);
        Some(cell)
    }

    /// Removes a new link with somebody who is no contact, if they do not show in time that they are there, and when they are gone.
    pub(crate) fn keep_while_there(self: &Arc<Self>, cell: &Arc<LinkCell>) {
        let (shared, weak, state) = (Arc::downgrade(self), Arc::downgrade(cell), cell.watch());
        self.core.runtime.spawn(async move {
            tokio::time::sleep(RESERVATION).await;
            if let (Some(shared), Some(cell)) = (shared.upgrade(), weak.upgrade()) {
                shared.remove_provisional(&cell);
            }
            // Nobody is left to want a guest's link when it is down for good.
            gone(state, &shared).await;
            if let (Some(shared), Some(cell)) = (shared.upgrade(), weak.upgrade())
                && cell.is_guest()
            {
                shared.remove_cell(&cell);
            }
        });
    }
}

/// Resolves when a link has been down for longer than its channels wait for it, or does not come back.
async fn gone(mut state: watch::Receiver<LinkState>, shared: &Weak<Shared>) {
    loop {
        let Ok(down) = state.wait_for(|state| !state.is_up()).await.map(|state| *state) else { return };
        if matches!(down.state, State::Down(reason) if !may_come_back(reason)) {
            return;
        }
        let Some(patience) = shared.upgrade().map(|shared| shared.core.survive_down) else { return };
        let back = tokio::time::timeout(patience, state.wait_for(LinkState::is_up)).await;
        if !matches!(back, Ok(Ok(_))) {
            // It has not come back, or there is no link any more.
            return;
        }
    }
}

//! From a link to its transports: packets of the link and of the engine, sealed in batches, and what waits because a transport
//! takes no more.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use telemesh_channel::{ChannelError, DatagramError};
use telemesh_link::{CIRCUIT_HEADER_SIZE, DATA_OVERHEAD, DEFAULT_MAX_DATAGRAM, MessageError};
use telemesh_transport::MAX_DATAGRAM;
use telemesh_wire::limits::FRAME_HEADER_LENGTH;
use telemesh_wire::{Circuit, Frame, PathAddress};

use crate::cell::LinkCell;
use crate::inner::Inner;
use crate::outcome::Outcome;
use crate::outlet::Sent;
use crate::wants::Want;

/// Packets of the link's own that wait for their transports. More are lost, and sent again if they matter.
const MAX_OWN: usize = 16;

/// So many tasks that one batch of packets gives something to do write together: each of them would send a packet of its own.
/// Fewer would only wait for each other.
const MANY_TASKS: usize = 4;

/// How long something that was written quietly waits for company, and how long a turn may take.
const QUIET: Duration = Duration::from_millis(5);

/// A transport that takes nothing for so long does not just have a full buffer: other paths are tried.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// How long after that they are tried again.
const STUCK_AGAIN: Duration = Duration::from_secs(5);

thread_local! {
    /// Plain and sealed packets of the batch that this thread is sending: buffers per thread, not per link.
    static BATCH: Cell<(Vec<u8>, Vec<u8>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// Lends the thread's buffers. They are taken out meanwhile, so that it does no harm if a transport comes back here, and there
/// are others if the thread is ending.
fn with_batch<T>(act: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> T) -> T {
    let (mut plain, mut sealed) = BATCH.try_with(Cell::take).unwrap_or_default();
    let result = act(&mut plain, &mut sealed);
    let _ = BATCH.try_with(|batch| batch.set((plain, sealed)));
    result
}

/// What waits for transports, and what is known about the path's packets.
#[derive(Default)]
pub(crate) struct Sending {
    /// Engine packets. While they wait the engine is not asked for more.
    data: Option<Run>,
    /// Packets of the link itself: they may go another way than the data, and must not wait for it. A path whose transport
    /// is stuck is left because probes still pass on others.
    own: VecDeque<Run>,
    /// Many tasks have been woken and are about to write: the engine is asked for packets when they have.
    turn: bool,
    /// What is being done gives the engine no reason to be asked for packets.
    quiet: bool,
    /// When what was written quietly, or is held back by a turn, is sent, unless something else is before.
    quiet_until: Option<Instant>,
    /// When the transport counts as stuck, unless it takes something before.
    stuck_at: Option<Instant>,
    /// The largest datagram that the link was told of; 0 before the first.
    datagram: usize,
    /// Size of the engine's packets that was found out on an earlier path, and says nothing about this one.
    unproven: Option<usize>,
}

/// Sealed packets of one size that wait for their transport.
struct Run {
    to: PathAddress,
    segment: usize,
    contents: Vec<u8>,
}

impl Sending {
    /// There is no engine any more, or nobody to send to.
    pub(crate) fn drop_data(&mut self) {
        self.data = None;
        self.stuck_at = None;
    }

    /// So many tasks are about to write.
    pub(crate) fn begin_turn(&mut self, tasks: usize, now: Instant) {
        if tasks >= MANY_TASKS {
            self.turn = true;
            // They may be slow.
            self.quiet_until.get_or_insert(now + QUIET);
        }
    }

    /// They have written.
    pub(crate) fn end_turn(&mut self) {
        self.turn = false;
    }

    pub(crate) fn is_turn(&self) -> bool {
        self.turn
    }

    /// What is being written is sent with the next that is, or a little later.
    pub(crate) fn write_quietly(&mut self, now: Instant) {
        self.quiet = true;
        self.quiet_until.get_or_insert(now + QUIET);
    }

    /// Whether something waits for company, or for the end of a turn.
    pub(crate) fn has_waiting(&self) -> bool {
        self.quiet_until.is_some()
    }

    /// Whether something that was written waits for company, and need not.
    pub(crate) fn has_quiet(&self) -> bool {
        self.quiet_until.is_some() && !self.turn
    }

    /// What has waited long enough is sent when the cell settles.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.quiet_until.is_some_and(|at| at <= now) {
            self.turn = false;
        }
    }

    /// Whether the engine is to be asked for packets now.
    fn may_send(&mut self, urgent: bool) -> bool {
        let quiet = std::mem::take(&mut self.quiet);
        if quiet || self.turn && !urgent {
            return false;
        }
        if !self.turn {
            self.quiet_until = None;
        }
        self.data.is_none()
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.data.is_none() && self.own.is_empty()
    }

    fn keep_data(&mut self, run: Run, now: Instant) {
        self.data = Some(run);
        self.stuck_at = Some(now + STUCK_AFTER);
    }

    /// When to ask [`Sending::is_stuck`] and call [`Sending::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.stuck_at, self.quiet_until].into_iter().flatten().min()
    }

    /// Whether data has waited so long that other paths should be tried.
    pub(crate) fn is_stuck(&mut self, now: Instant) -> bool {
        let stuck = self.stuck_at.take_if(|at| *at <= now).is_some();
        if stuck {
            self.stuck_at = Some(now + STUCK_AGAIN);
        }
        stuck
    }

    fn keep_own(&mut self, cell: &Arc<LinkCell>, run: Run) {
        if self.own.len() < MAX_OWN {
            cell.core.wait(run.to, cell);
            self.own.push_back(run);
        }
    }
}

impl Inner {
    /// Sends everything that may be sent now.
    pub(crate) fn transmit(&mut self, cell: &Arc<LinkCell>, now: Instant, outcome: &mut Outcome) {
        with_batch(|plain, sealed| {
            loop {
                sealed.clear();
                let Some(to) = self.link.poll_transmit(now, sealed) else { break };
                if let Some(circuit) = self.unknown_circuit(&to) {
                    let packet = sealed.get(CIRCUIT_HEADER_SIZE..).unwrap_or_default();
                    let packet = Bytes::copy_from_slice(packet);
                    outcome.wants.push(Want::Introduction { peer: cell.peer, circuit, packet });
                    continue;
                }
                // Every path begins with a packet of the link's own. A QUIC listener wants to be shown that we know it.
                if let (PathAddress::Quic(_), Some(keys)) = (&to, self.link.keys()) {
                    cell.core.expect(&to, keys);
                }
                if let Sent::Part(_) = cell.send(to, sealed.len(), sealed) {
                    self.sending.keep_own(cell, Run { to, segment: sealed.len(), contents: sealed.clone() });
                }
            }
            let urgent = self.streams.as_ref().is_some_and(|streams| streams.is_urgent());
            if self.sending.may_send(urgent) && self.is_up() {
                self.transmit_streams(cell, now, plain, sealed);
            }
        });
    }

    /// The circuit, if it was asked for here and nothing has come through it yet: then its router may not know it, and each
    /// packet asks again.
    fn unknown_circuit(&self, to: &PathAddress) -> Option<Circuit> {
        match to {
            PathAddress::Circuit(circuit) if !circuit.id.is_routed() && !self.link.is_heard_on(to) => {
                Some(*circuit)
            }
            _ => None,
        }
    }

    fn transmit_streams(
        &mut self,
        cell: &Arc<LinkCell>,
        now: Instant,
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) {
        if let Some(streams) = &mut self.streams {
            streams.told();
        }
        while let Some(streams) = &mut self.streams {
            plain.clear();
            sealed.clear();
            let packet = usize::from(streams.engine.packet_size()) + DATA_OVERHEAD;
            let mut segments = cell.core.max_segments().min(MAX_DATAGRAM / (packet + CIRCUIT_HEADER_SIZE));
            if self.link.is_narrow() {
                segments = 1;
            }
            let segment = streams.engine.poll_transmit(now, segments, plain);
            self.learn_datagram(packet);
            let Some(segment) = segment else { return };
            let Some(batch) = self.link.seal_batch(now, plain, segment, sealed) else { return };
            if let Sent::Part(sent) = cell.send(batch.to, batch.segment, sealed) {
                let contents = sealed.get(sent..).unwrap_or_default().to_vec();
                self.sending.keep_data(Run { to: batch.to, segment: batch.segment, contents }, now);
                cell.core.wait(batch.to, cell);
                return;
            }
        }
    }

    /// Data takes another path from now on. What waits for the old one is sent anew.
    pub(crate) fn path_changed(&mut self, path: PathAddress, similar: bool, now: Instant) {
        if self.sending.data.as_ref().is_some_and(|run| run.to != path) {
            self.sending.drop_data();
        }
        if let Some(streams) = &mut self.streams {
            streams.recovered(now, similar);
        }
        self.doubt_datagram();
    }

    /// The local network has changed.
    pub(crate) fn network_changed(&mut self, now: Instant) {
        self.link.network_changed(now);
        self.times.comparison.restart(now);
        self.doubt_datagram();
    }

    /// What was found out about the path's packets may be true no longer. The engine goes on with it where paths are alike,
    /// and notices when its packets get lost; messages would be lost unnoticed.
    fn doubt_datagram(&mut self) {
        let packet = self.streams.as_ref().map(|streams| streams.engine.packet_size());
        self.sending.unproven = packet.map(|packet| usize::from(packet) + DATA_OVERHEAD);
        self.set_datagram(DEFAULT_MAX_DATAGRAM);
    }

    /// Messages of unreliable channels may be as large as the largest packet that the engine has found to pass.
    fn learn_datagram(&mut self, bytes: usize) {
        if self.sending.unproven != Some(bytes) {
            self.sending.unproven = None;
            self.set_datagram(bytes);
        }
    }

    fn set_datagram(&mut self, bytes: usize) {
        if self.sending.datagram != bytes {
            self.sending.datagram = bytes;
            self.link.set_max_datagram(bytes);
        }
    }

    /// Goes on with what the transports did not take. The rest of the sending follows when the cell settles.
    pub(crate) fn resume(&mut self, cell: &Arc<LinkCell>, now: Instant) {
        for run in std::mem::take(&mut self.sending.own) {
            if let Some(rest) = send_run(cell, run) {
                self.sending.own.push_back(rest);
            }
        }
        let Some(run) = self.sending.data.take() else { return };
        let before = run.contents.len();
        match send_run(cell, run) {
            Some(rest) if rest.contents.len() < before => self.sending.keep_data(rest, now),
            Some(rest) => self.sending.data = Some(rest),
            None => self.sending.drop_data(),
        }
    }

    /// Sends one frame of an unreliable channel: now or not at all if it is a message, others may wait.
    ///
    /// # Errors
    /// Why it was not sent. Sizes are those of the message, without the frame's header.
    pub(crate) fn send_frame(
        &mut self,
        cell: &Arc<LinkCell>,
        frame: &Frame<'_>,
        now: Instant,
    ) -> Result<(), DatagramError> {
        let may_wait = !matches!(frame, Frame::Message { .. });
        if !self.is_up() {
            return Err(DatagramError::Channel(ChannelError::LinkDown));
        }
        if self.sending.data.is_some() && !may_wait {
            return Err(DatagramError::Blocked);
        }
        with_batch(|plain, sealed| {
            plain.clear();
            sealed.clear();
            let max = self.link.max_message().saturating_sub(FRAME_HEADER_LENGTH);
            frame
                .encode_into(plain)
                .map_err(|_| DatagramError::Channel(ChannelError::Protocol("not a frame")))?;
            let size = plain.len().saturating_sub(FRAME_HEADER_LENGTH);
            let batch = self.link.seal_message(now, plain, sealed).map_err(|error| match error {
                MessageError::TooLarge { .. } => DatagramError::TooLarge { size, max },
                _ => DatagramError::Channel(ChannelError::LinkDown),
            })?;
            match cell.send(batch.to, batch.segment, sealed) {
                Sent::All | Sent::Refused => Ok(()),
                Sent::Part(sent) if may_wait => {
                    let contents = sealed.get(sent..).unwrap_or_default().to_vec();
                    self.sending.keep_own(cell, Run { to: batch.to, segment: batch.segment, contents });
                    Ok(())
                }
                Sent::Part(_) => Err(DatagramError::Blocked),
            }
        })
    }
}

/// Sends what has waited; what is left of it if it has to wait on.
fn send_run(cell: &Arc<LinkCell>, mut run: Run) -> Option<Run> {
    match cell.send(run.to, run.segment, &run.contents) {
        Sent::All | Sent::Refused => None,
        Sent::Part(sent) => {
            run.contents.drain(..sent.min(run.contents.len()));
            cell.core.wait(run.to, cell);
            Some(run)
        }
    }
}

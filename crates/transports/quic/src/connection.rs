//! One QUIC connection: packets in as runs, packets out as datagrams.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use quinn::{SendDatagramError, VarInt};
use telemesh_transport::{PathAddress, Received, SendError, Transmit};
use tokio::sync::mpsc;

use crate::{
    halves::{GROUP, HEADER, Joiner, Packet, Splitter},
    limits::{CHECK_INTERVAL, DEAD_AFTER, MAX_RUN},
    signal::Signal,
};

/// What quinn counts for each datagram in its buffers beside the contents, and a little more.
const BOOKKEEPING: usize = 64;

/// Packets that one turn of a connection's task takes, before another task runs.
const PACKETS_PER_TURN: usize = 64;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Connection {
    quinn: quinn::Connection,
    splitter: Mutex<Splitter>,
    /// Groups for which there was no room; [`Connection::run`] sends them when there is.
    late: mpsc::Sender<Vec<Bytes>>,
    waiting: AtomicUsize,
    /// Whether we have sent something.
    used: AtomicBool,
    hearing: Mutex<Hearing>,
}

/// Whether anything comes back.
#[derive(Debug)]
struct Hearing {
    checked: Instant,
    datagrams: u64,
    /// When the first thing was sent after which nothing has been heard.
    unanswered: Option<Instant>,
}

/// What the task of a connection needs beside the connection.
#[derive(Debug)]
pub(crate) struct Late(mpsc::Receiver<Vec<Bytes>>);

impl Connection {
    pub(crate) fn new(quinn: quinn::Connection, now: Instant) -> (Self, Late) {
        let (late, receiver) = mpsc::channel(1);
        let hearing = Hearing { checked: now, datagrams: quinn.stats().udp_rx.datagrams, unanswered: None };
        let connection = Self {
            quinn,
            splitter: Mutex::default(),
            late,
            waiting: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            hearing: Mutex::new(hearing),
        };
        (connection, Late(receiver))
    }

    /// Where the other end is now.
    pub(crate) fn remote(&self) -> SocketAddr {
        crate::canonical(self.quinn.remote_address())
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.quinn.close(VarInt::from_u32(0), b"");
    }

    /// Whether nothing comes back, as of now, when something is about to be sent.
    pub(crate) fn is_dead(&self, now: Instant) -> bool {
        if self.quinn.close_reason().is_some() {
            return true;
        }
        let mut hearing = self.hearing.lock();
        if now.saturating_duration_since(hearing.checked) >= CHECK_INTERVAL {
            hearing.checked = now;
            let datagrams = self.quinn.stats().udp_rx.datagrams;
            if datagrams != hearing.datagrams {
                (hearing.datagrams, hearing.unanswered) = (datagrams, None);
            } else if hearing
                .unanswered
                .is_some_and(|since| now.saturating_duration_since(since) >= DEAD_AFTER)
            {
                return true;
            }
        }
        hearing.unanswered.get_or_insert(now);
        false
    }

    /// Hands a run over, as much of it as there is room for.
    pub(crate) fn send(&self, transmit: &Transmit<'_>, signal: &Signal) -> Result<(), SendError> {
        let Some(limit) = self.quinn.max_datagram_size() else { return Err(gone()) };
        if transmit.datagram_size() > 2 * limit.saturating_sub(HEADER) {
            return Err(SendError::TooLarge);
        }
        self.used.store(true, Ordering::Relaxed);
        // Held until all is handed over: two threads that found the same room would push out each other's datagrams.
        let mut splitter = self.splitter.lock();
        let (mut sent, size) = (0, transmit.datagram_size().max(1));
        loop {
            let rest = transmit.contents.get(sent..).unwrap_or_default();
            let group = rest.get(..GROUP * size).unwrap_or(rest);
            let one = Transmit { contents: group, ..*transmit };
            let packets: Vec<&[u8]> = one.datagrams().collect();
            let blocked = self.waiting.load(Ordering::Acquire) > 0
                || self.quinn.datagram_send_buffer_space() < group.len() + packets.len() * 2 * BOOKKEEPING;
            if blocked {
                self.send_later(&mut splitter, &packets, limit, signal).map_err(|error| match error {
                    SendError::Blocked { .. } => SendError::Blocked { sent },
                    error => error,
                })?;
            } else {
                let datagrams = splitter.split(packets.iter().copied(), limit).ok_or(SendError::TooLarge)?;
                for datagram in datagrams {
                    self.quinn.send_datagram(datagram).map_err(classify)?;
                }
            }
            sent += group.len();
            if sent >= transmit.contents.len() {
                return Ok(());
            }
        }
    }

    /// Leaves a group to the connection's task, if that has nothing yet. It fires the signal when it is done.
    fn send_later(
        &self,
        splitter: &mut Splitter,
        packets: &[&[u8]],
        limit: usize,
        signal: &Signal,
    ) -> Result<(), SendError> {
        signal.want();
        let place = match self.late.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Full(())) => return Err(SendError::Blocked { sent: 0 }),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(gone()),
        };
        let datagrams = splitter.split(packets.iter().copied(), limit).ok_or(SendError::TooLarge)?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        place.send(datagrams);
        Ok(())
    }

    /// Receives and sends until the connection ends.
    pub(crate) async fn run(
        &self,
        mut late: Late,
        received: &mpsc::Sender<Received>,
        signal: &Signal,
        moved: impl FnMut(SocketAddr),
    ) {
        tokio::select! {
            () = self.receive(received, moved) => {}
            () = self.send_late(&mut late, signal) => {}
        }
    }

    async fn send_late(&self, late: &mut Late, signal: &Signal) {
        while let Some(group) = late.0.recv().await {
            for datagram in group {
                match self.quinn.send_datagram_wait(datagram).await {
                    // The path has become smaller meanwhile: lost, as on the way.
                    Ok(()) | Err(SendDatagramError::TooLarge) => {}
                    Err(_) => return,
                }
            }
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            signal.fire();
        }
    }

    async fn receive(&self, received: &mpsc::Sender<Received>, mut moved: impl FnMut(SocketAddr)) {
        let (mut joiner, mut from) = (Joiner::default(), self.remote());
        let mut run = Run::default();
        while let Ok(datagram) = self.quinn.read_datagram().await {
            let now_from = self.remote();
            if now_from != from {
                from = now_from;
                moved(from);
            }
            let mut next = Some(datagram);
            for _ in 0..PACKETS_PER_TURN {
                let Some(datagram) = next.take() else { break };
                if let Some(packet) = joiner.join(datagram)
                    && let Some(full) = run.add(&packet)
                    && received.send(full.received(from)).await.is_err()
                {
                    return;
                }
                next = self.quinn.read_datagram().now_or_never().and_then(Result::ok);
            }
            // The last one that was read is not lost.
            if let Some(packet) = next.and_then(|datagram| joiner.join(datagram))
                && let Some(full) = run.add(&packet)
                && received.send(full.received(from)).await.is_err()
            {
                return;
            }
            if let Some(rest) = run.take()
                && received.send(rest.received(from)).await.is_err()
            {
                return;
            }
        }
    }
}

/// Packets of one length, of which the last may be shorter, as they are collected.
#[derive(Debug, Default)]
struct Run {
    stride: usize,
    packets: usize,
    contents: BytesMut,
}

impl Run {
    /// Adds a packet. What was collected before comes out if it does not go with that.
    fn add(&mut self, packet: &Packet) -> Option<Self> {
        let length = packet.length();
        let ended = self.contents.len() < self.packets * self.stride;
        let fits = !ended && length <= self.stride && length > 0 && self.contents.len() + length <= MAX_RUN;
        let full = if fits { None } else { self.take() };
        if self.packets == 0 {
            self.stride = length;
        }
        packet.write(&mut self.contents);
        self.packets += 1;
        full
    }

    /// What was collected, if anything.
    fn take(&mut self) -> Option<Self> {
        (self.packets > 0).then(|| std::mem::take(self))
    }

    fn received(self, from: SocketAddr) -> Received {
        Received { source: PathAddress::Quic(from), stride: self.stride, ecn: None, contents: self.contents }
    }
}

/// Why quinn did not take a datagram.
fn classify(error: SendDatagramError) -> SendError {
    match error {
        SendDatagramError::TooLarge => SendError::TooLarge,
        error => SendError::Unreachable(io::Error::other(error)),
    }
}

fn gone() -> SendError {
    SendError::Unreachable(io::ErrorKind::NotConnected.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(lengths: &[usize]) -> Vec<(usize, usize)> {
        let mut splitter = Splitter::default();
        let (mut joiner, mut run, mut out) = (Joiner::default(), Run::default(), Vec::new());
        for length in lengths {
            let datagrams = splitter.split([&vec![7; *length][..]], 100_000).unwrap();
            let packet = joiner.join(datagrams[0].clone()).unwrap();
            out.extend(run.add(&packet));
        }
        out.extend(run.take());
        out.into_iter().map(|run| (run.stride, run.contents.len())).collect()
    }

    #[test]
    fn packets_of_one_length_make_one_run() {
        assert_eq!(runs(&[100, 100, 100]), [(100, 300)]);
        assert_eq!(runs(&[100, 100, 30, 100]), [(100, 230), (100, 100)]);
        assert_eq!(runs(&[100, 200, 200]), [(100, 100), (200, 400)]);
        assert_eq!(runs(&[0, 5, 0]), [(0, 0), (5, 5), (0, 0)]);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn a_run_is_no_longer_than_a_buffer() {
        assert_eq!(runs(&[40_000, 40_000]), [(40_000, 40_000), (40_000, 40_000)]);
    }
}

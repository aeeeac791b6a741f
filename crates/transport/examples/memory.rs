//! A transport in memory: two ends that hand each other datagrams. `cargo run -p telemesh-transport --example memory`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use telemesh_transport::{PathAddress, ReceiveBatch, Received, SendError, Transmit, Transport};

/// Runs that wait at one end before it counts as blocked.
const QUEUE: usize = 16;

/// What waits at one end, and who waits for it.
#[derive(Debug, Default)]
struct Inbox {
    runs: VecDeque<Received>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Memory {
    own: PathAddress,
    other: PathAddress,
    incoming: Arc<Mutex<Inbox>>,
    outgoing: Arc<Mutex<Inbox>>,
}

fn pair(a: PathAddress, b: PathAddress) -> (Memory, Memory) {
    let (to_a, to_b) = <(Arc<Mutex<Inbox>>, Arc<Mutex<Inbox>>)>::default();
    (
        Memory { own: a, other: b, incoming: to_a.clone(), outgoing: to_b.clone() },
        Memory { own: b, other: a, incoming: to_b, outgoing: to_a },
    )
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for Memory {
    fn carries(&self, address: &PathAddress) -> bool {
        *address == self.other
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        vec![self.own]
    }

    fn max_send_segments(&self) -> usize {
        64
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        if !self.carries(&transmit.destination) {
            return Err(SendError::UnusableAddress);
        }
        let mut inbox = lock(&self.outgoing);
        if inbox.runs.len() >= QUEUE {
            return Err(SendError::Blocked { sent: 0 });
        }
        inbox.runs.push_back(Received {
            source: self.own,
            stride: transmit.datagram_size(),
            ecn: transmit.ecn,
            contents: transmit.contents.into(),
        });
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inbox = lock(&self.outgoing);
        if inbox.runs.len() < QUEUE {
            return Poll::Ready(Ok(()));
        }
        inbox.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut inbox = lock(&self.incoming);
        while batch.room() > 0 {
            let Some(run) = inbox.runs.pop_front() else { break };
            if let Err(run) = batch.push(run) {
                inbox.runs.push_front(run);
                break;
            }
        }
        if batch.is_empty() {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(writer) = inbox.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn rebind(&self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (a, b) = pair("udp:192.0.2.1:42424".parse()?, "udp:192.0.2.2:42424".parse()?);
    a.try_send(&Transmit::segmented(b.own, b"three datagrams in one", 8))?;

    let mut batch = ReceiveBatch::new(4);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(outcome) = b.poll_receive(&mut cx, &mut batch) {
        outcome?;
        for run in batch.drain() {
            let source = run.source;
            for datagram in run.into_datagrams() {
                println!("{source}: {:?}", String::from_utf8_lossy(&datagram));
            }
        }
    }
    Ok(())
}

//! Sockets and a clock around the [`Model`]: one thread that waits for whichever comes first, a datagram to read or the
//! time of one to leave.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::flows::{Talks, bound};
use crate::model::{Arrived, Flow, Model, Way, Ways};
use crate::report::{Late, Report};

/// Datagrams read from one socket before the others, and those that should leave, get their turn.
const READ_AT_ONCE: usize = 32;

/// The longest datagram.
const LONGEST: usize = 65_535;

/// How soon a forwarder notices that it should stop.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Forwards between the address on which it listens and a target, over a [`Model`].
#[derive(Debug)]
pub struct Forwarder {
    listening: UdpSocket,
    address: SocketAddr,
    model: Model,
    talks: Talks,
    started: Instant,
    refused: u64,
    unsent: u64,
    late: Late,
}

/// A forwarder in a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Report>>>,
}

impl Forwarder {
    /// Listens on `listen`, for what is to go to `target`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(listen: SocketAddr, target: SocketAddr, ways: Ways, seed: u64) -> io::Result<Self> {
        let listening = bound(listen)?;
        let address = listening.local_addr()?;
        let model = Model::new(ways, target.is_ipv6(), seed).ok_or_else(|| io::Error::other("no model"))?;
        Ok(Self {
            listening,
            address,
            model,
            talks: Talks::new(target),
            started: Instant::now(),
            refused: 0,
            unsent: 0,
            late: Late::default(),
        })
    }

    /// Sends to the target from this address, and not from the one that the system chooses.
    #[must_use]
    pub fn send_from(mut self, address: IpAddr) -> Self {
        self.talks.send_from(address);
        self
    }

    /// Where to send what should reach the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    pub fn report(&self) -> Report {
        Report {
            there: self.model.counts(Way::There),
            back: self.model.counts(Way::Back),
            refused: self.refused,
            unsent: self.unsent,
            late: self.late,
        }
    }

    /// Forwards for this long.
    ///
    /// # Errors
    /// When the system does not let it wait for its sockets.
    pub fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end = self.started.elapsed() + time;
        be_punctual();
        while self.started.elapsed() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Forwards in a thread of its own.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn spawn(mut self) -> io::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let forward = move || {
            while !stopped.load(Ordering::Relaxed) {
                self.run_for(LOOK_UP)?;
            }
            Ok(self.report())
        };
        let thread = std::thread::Builder::new().name("wan".to_owned()).spawn(forward)?;
        Ok(Running { stop, thread: Some(thread) })
    }

    /// Sends what is due, waits for more, at most until `end`, and reads it.
    fn turn(&mut self, end: Duration) -> io::Result<()> {
        self.let_leave();
        let until = self.model.next_at().map_or(end, |at| at.min(end));
        let wait = until.saturating_sub(self.started.elapsed());
        let (listening, flows) = self.readable(wait)?;
        if listening {
            self.read_senders();
        }
        for flow in flows {
            self.read_target(flow);
        }
        Ok(())
    }

    /// Sends everything whose time has come.
    fn let_leave(&mut self) {
        loop {
            let now = self.started.elapsed();
            let Some(Arrived { at, flow, way, payload }) = self.model.take(now) else { return };
            self.late.add(now.saturating_sub(at));
            let sent = self.talks.get(flow).map(|talk| match way {
                Way::There => talk.socket.send(&payload),
                Way::Back => self.listening.send_to(&payload, talk.sender),
            });
            self.unsent += u64::from(!matches!(sent, Some(Ok(_))));
            self.model.recycle(payload);
        }
    }

    /// Waits until a socket has something, for `wait` at most; says which ones do: the listening one, and those of flows.
    fn readable(&self, wait: Duration) -> io::Result<(bool, Vec<Flow>)> {
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let mut waiting = vec![PollFd::new(&self.listening, PollFlags::IN)];
        waiting.extend(self.talks.all().map(|talk| PollFd::new(&talk.socket, PollFlags::IN)));
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok((false, Vec::new())),
            Err(error) => return Err(error.into()),
        }
        let mut ready = waiting.iter().map(|one| !one.revents().is_empty());
        let listening = ready.next().unwrap_or_default();
        let flows = self.talks.all().zip(ready).filter(|(_, ready)| *ready).map(|(talk, _)| talk.flow);
        Ok((listening, flows.collect()))
    }

    fn read_senders(&mut self) {
        let mut buffer = [0; LONGEST];
        for _ in 0..READ_AT_ONCE {
            let (length, sender) = match self.listening.recv_from(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What an earlier datagram met (a port that is closed): no news here.
                Err(_) => continue,
            };
            let now = self.started.elapsed();
            match (self.talks.of(now, sender, &mut self.model), buffer.get(..length)) {
                (Some(flow), Some(payload)) => self.model.send(now, flow, Way::There, payload),
                _ => self.refused += 1,
            }
        }
    }

    fn read_target(&mut self, flow: Flow) {
        let mut buffer = [0; LONGEST];
        for _ in 0..READ_AT_ONCE {
            let Some(talk) = self.talks.get(flow) else { return };
            let length = match talk.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let now = self.started.elapsed();
            self.talks.heard(now, flow);
            if let Some(payload) = buffer.get(..length) {
                self.model.send(now, flow, Way::Back, payload);
            }
        }
    }
}

impl Running {
    /// Stops it, and says what happened on it.
    ///
    /// # Errors
    /// When it ended before, with what ended it.
    pub fn stop(mut self) -> io::Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or_else(|| io::Error::other("stopped before"))?;
        thread.join().map_err(|_| io::Error::other("the forwarder panicked"))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Linux lets timers of ordinary threads be 50 µs late, to save power, and has niceness for each thread. Who may, goes
/// before other programs; who may not is as exact as a free core makes it.
fn be_punctual() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let _ = rustix::process::setpriority_process(None, BEFORE_OTHERS);
    }
}

/// Niceness; -20 would be the least.
#[cfg(target_os = "linux")]
const BEFORE_OTHERS: i32 = -15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conditions;

    const LOOPBACK: &str = "127.0.0.1:0";

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind(LOOPBACK).unwrap();
        // Only a test that fails waits for it.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    #[test]
    fn answers_find_their_senders_and_are_never_early() {
        let delay = Duration::from_millis(20);
        let (server, one, other) = (socket(), socket(), socket());
        let ways = Ways::both(Conditions::new().delay(delay));
        let target = server.local_addr().unwrap();
        let forwarder = Forwarder::bind(LOOPBACK.parse().unwrap(), target, ways, 1).unwrap();
        let address = forwarder.address();
        let running = forwarder.spawn().unwrap();

        let begin = Instant::now();
        one.send_to(b"one", address).unwrap();
        other.send_to(b"other", address).unwrap();
        let mut buffer = [0; 100];
        for _ in 0..2 {
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert!(begin.elapsed() >= delay);
            server.send_to(&buffer[..length], from).unwrap();
        }
        for (client, said) in [(&one, &b"one"[..]), (&other, b"other")] {
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (said, address));
        }
        assert!(begin.elapsed() >= delay * 2);
        let report = running.stop().unwrap();
        assert_eq!((report.there.delivered, report.back.delivered, report.late.count), (2, 2, 4));
        assert_eq!((report.refused, report.unsent), (0, 0));
    }

    #[test]
    #[cfg(target_os = "linux")] // Others have no more than one loopback address.
    fn the_target_sees_the_address_that_was_asked_for() {
        let (server, client) = (socket(), socket());
        let (target, ways) = (server.local_addr().unwrap(), Ways::both(Conditions::new()));
        let forwarder = Forwarder::bind(LOOPBACK.parse().unwrap(), target, ways, 1).unwrap();
        let forwarder = forwarder.send_from([127, 0, 0, 3].into());
        client.send_to(b"x", forwarder.address()).unwrap();
        let _running = forwarder.spawn().unwrap();
        assert_eq!(server.recv_from(&mut [0; 8]).unwrap().1.ip(), IpAddr::from([127, 0, 0, 3]));
    }

    #[test]
    fn what_is_lost_does_not_arrive() {
        let (server, client) = (socket(), socket());
        let ways = Ways { there: Conditions::new().loss(0.5), back: Conditions::new() };
        let target = server.local_addr().unwrap();
        let forwarder = Forwarder::bind(LOOPBACK.parse().unwrap(), target, ways, 1).unwrap();
        let address = forwarder.address();
        let running = forwarder.spawn().unwrap();
        server.set_nonblocking(true).unwrap();
        let (mut sent, mut got) = (0, 0);
        // Until enough has come through, however slow the machine is.
        while got < 50 {
            client.send_to(b"x", address).unwrap();
            sent += 1;
            std::thread::yield_now();
            got += usize::from(server.recv_from(&mut [0; 8]).is_ok());
        }
        let report = running.stop().unwrap();
        assert!(report.there.sent <= sent);
        let lost = report.there.dropped(crate::DropReason::Loss);
        assert_eq!(report.there.sent, report.there.delivered + lost);
        assert!(lost > report.there.sent / 4 && lost < report.there.sent * 3 / 4, "{report}");
    }

    #[test]
    fn a_target_that_is_not_there_yet_is_no_reason_to_end() {
        let gone = socket().local_addr().unwrap();
        let ways = Ways::both(Conditions::new());
        let forwarder = Forwarder::bind(LOOPBACK.parse().unwrap(), gone, ways, 1).unwrap();
        let address = forwarder.address();
        let running = forwarder.spawn().unwrap();
        let client = socket();
        client.send_to(b"nobody hears this", address).unwrap();
        let server = UdpSocket::bind(gone).unwrap();
        server.set_nonblocking(true).unwrap();
        while server.recv_from(&mut [0; 32]).is_err() {
            client.send_to(b"somebody does", address).unwrap();
            std::thread::yield_now();
        }
        assert!(running.stop().unwrap().there.delivered > 0);
    }
}

//! The discovery itself: sockets, time and the [machine](crate::machine) under one lock.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use telemesh_transport::{Announcement, Discovery, DiscoveryError, DiscoveryEvent};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use crate::announcement::{TTL, write_announcement, write_question};
use crate::announcer::Due;
use crate::interfaces::{self, Interface, Wanted};
use crate::machine::Machine;
use crate::message::MAX_PACKET;
use crate::names::PORT;
use crate::sockets::{Buffer, Socket};

/// How often it is looked whether there are other interfaces or addresses than before. Asking the system takes some ten
/// microseconds, and whoever joins a network does not notice the wait.
const LOOK: Duration = Duration::from_secs(10);

/// Packets that are read before others get their turn.
const PACKETS_PER_POLL: usize = 64;

/// Hears who announces themselves on the local network, and announces this endpoint for as long as it is asked to.
///
/// It works on the tokio runtime in which it was opened, whenever somebody polls it, and sends from the caller's thread.
pub struct Mdns {
    options: Options,
    runtime: Handle,
    state: Mutex<State>,
}

/// Where to listen.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    port: u16,
    wanted: Wanted,
}

impl Options {
    /// The port of multicast DNS, on all interfaces that lead to others.
    #[must_use]
    pub const fn new() -> Self {
        Self { port: PORT, wanted: Wanted::Network }
    }

    /// Another port, on which only those are heard who were told the same: for tests.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Only the loopback interface, so that nothing leaves this machine: for tests.
    #[must_use]
    pub const fn loopback(mut self) -> Self {
        self.wanted = Wanted::Loopback;
        self
    }

    /// Opens the sockets, and sends nothing.
    ///
    /// Without any interface this succeeds, and hears others once there is one.
    ///
    /// # Errors
    /// Outside a tokio runtime, or if none of the interfaces can be listened on: somebody has the port for themselves, for
    /// example.
    ///
    /// # Panics
    /// If the runtime was built without I/O or time.
    pub fn open(self) -> io::Result<Mdns> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let now = now();
        let mut state = State {
            machine: Machine::new(now),
            interfaces: Vec::new(),
            sockets: Vec::new(),
            look_at: now + LOOK,
            sleep: Box::pin(tokio::time::sleep(LOOK)),
            waker: None,
            buffer: Box::new([0; MAX_PACKET + 1]),
        };
        match state.look(self) {
            Some(error) if state.sockets.is_empty() => Err(error),
            _ => Ok(Mdns { options: self, runtime, state: Mutex::new(state) }),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

struct State {
    machine: Machine,
    interfaces: Vec<Interface>,
    sockets: Vec<Socket>,
    look_at: Instant,
    sleep: Pin<Box<Sleep>>,
    /// Of the task that polls, which has to sleep anew when something is announced.
    waker: Option<Waker>,
    buffer: Buffer,
}

impl Mdns {
    /// Listens on all interfaces, as [`Options::new`] does.
    ///
    /// # Errors
    /// As [`Options::open`].
    ///
    /// # Panics
    /// As [`Options::open`].
    pub fn open() -> io::Result<Self> {
        Options::new().open()
    }

    /// How many interfaces are listened on.
    #[must_use]
    pub fn interfaces(&self) -> usize {
        let state = self.state.lock();
        let is_heard =
            |interface: &&Interface| state.sockets.iter().any(|socket| socket.interface == interface.index);
        state.interfaces.iter().filter(is_heard).count()
    }
}

impl State {
    /// Looks for interfaces, and opens and closes sockets accordingly. Gives the last error of those that could not be opened.
    fn look(&mut self, options: Options) -> Option<io::Error> {
        let interfaces = match interfaces::list(options.wanted) {
            Ok(interfaces) => interfaces,
            Err(error) => return Some(error),
        };
        let mut failed = None;
        self.sockets.retain(|socket| interfaces.iter().any(|interface| socket.fits(interface)));
        for interface in &interfaces {
            for is_v4 in [true, false].into_iter().filter(|is_v4| interface.speaks(*is_v4)) {
                let is_it = |socket: &Socket| socket.interface == interface.index && socket.is_v4 == is_v4;
                if self.sockets.iter().any(is_it) {
                    continue;
                }
                match Socket::open(interface, is_v4, options.port) {
                    Ok(socket) => self.sockets.push(socket),
                    Err(error) => {
                        tracing::debug!(%error, interface = interface.index, is_v4, "not listened on");
                        failed = Some(error);
                    }
                }
            }
        }
        if interfaces != self.interfaces {
            self.machine
                .interfaces_changed(now(), |index| interfaces.iter().any(|known| known.index == index));
            self.interfaces = interfaces;
        }
        failed
    }

    /// Sends everything that is due.
    fn transmit(&mut self, now: Instant) -> Result<(), DiscoveryError> {
        let mut result = Ok(());
        while let Some((due, announcement)) = self.machine.poll_transmit(now) {
            result = match due {
                Due::Announce => {
                    let announcement = announcement.clone();
                    self.send_all(|interface| write_announcement(&announcement, &interface.addresses(), TTL))
                }
                Due::Ask => {
                    let known: Vec<_> = self.machine.known().collect();
                    self.send_all(|_| write_question(known.iter().copied()))
                }
            };
        }
        result
    }

    /// Sends a packet on each interface. An error if it went out on none.
    fn send_all(
        &self,
        write: impl Fn(&Interface) -> Result<Vec<u8>, DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let mut result = Err(DiscoveryError::NoPath);
        for interface in &self.interfaces {
            let packet = match write(interface) {
                Ok(packet) => packet,
                // Somewhere else there may be one.
                Err(DiscoveryError::NoPath) => continue,
                Err(error) => return Err(error),
            };
            for socket in self.sockets.iter().filter(|socket| socket.interface == interface.index) {
                match socket.send(&packet) {
                    Ok(()) => result = Ok(()),
                    Err(error) => {
                        tracing::debug!(%error, interface = interface.index, "not sent");
                        if result.is_err() {
                            result = Err(error.into());
                        }
                    }
                }
            }
        }
        result
    }

    /// Reads what has come in. Whether there may be more.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut left = PACKETS_PER_POLL;
        for socket in &self.sockets {
            let Some(interface) = self.interfaces.iter().find(|known| known.index == socket.interface) else {
                continue;
            };
            loop {
                if left == 0 {
                    return true;
                }
                left -= 1;
                match socket.poll_receive(cx, &mut self.buffer) {
                    Poll::Ready(Ok(arrived)) => {
                        self.machine.handle_packet(now, arrived.packet, arrived.source, interface);
                    }
                    // Told once; an interface that stays away is noticed by looking.
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, interface = interface.index, "not heard")
                    }
                    Poll::Pending => break,
                }
            }
        }
        false
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Discovery for Mdns {
    fn announce(&self, announcement: &Announcement) -> Result<(), DiscoveryError> {
        let mut state = self.state.lock();
        let now = now();
        state.machine.announce(announcement.clone(), now);
        let result = state.transmit(now);
        if result.is_err() {
            state.machine.withdraw();
        }
        state.wake();
        result
    }

    fn withdraw(&self) {
        let mut state = self.state.lock();
        if let Some(announcement) = state.machine.withdraw() {
            // Who does not hear the goodbye forgets us when the announcement runs out.
            let goodbye =
                |interface: &Interface| write_announcement(&announcement, &interface.addresses(), 0);
            if let Err(error) = state.send_all(goodbye) {
                tracing::debug!(%error, "no goodbye");
            }
        }
        state.wake();
    }

    fn poll_discovered(&self, cx: &mut Context<'_>) -> Poll<io::Result<DiscoveryEvent>> {
        let mut state = self.state.lock();
        loop {
            if let Some(event) = state.machine.poll_event() {
                return Poll::Ready(Ok(event));
            }
            let now = now();
            if state.look_at <= now {
                state.look_at = now + LOOK;
                let _entered = self.runtime.enter();
                state.look(self.options);
            }
            let more = state.receive(cx, now);
            state.machine.handle_timeout(now);
            if let Err(error) = state.transmit(now) {
                tracing::debug!(%error, "not announced");
            }
            if let Some(event) = state.machine.poll_event() {
                return Poll::Ready(Ok(event));
            }
            state.waker = Some(cx.waker().clone());
            if more {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let next = state.machine.poll_timeout().map_or(state.look_at, |next| next.min(state.look_at));
            state.sleep.as_mut().reset(next.into());
            if state.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl fmt::Debug for Mdns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Mdns")
            .field("interfaces", &state.interfaces.len())
            .field("announcing", &state.machine.announcement().map(|announcement| announcement.hashname))
            .finish_non_exhaustive()
    }
}

/// Tokio's time, so that a paused runtime makes all of it run on virtual time.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

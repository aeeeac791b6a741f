//! A simulated network as a transport: datagrams go into the simulation, and a task brings out what has arrived.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use telemesh_simnet::{HostId, Network, SocketId};
use telemesh_transport::{ReceiveBatch, Received, SendError, Transmit, Transport};
use telemesh_wire::{ExtraSocket, PathAddress};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A simulated network that runs on tokio's (paused) time. Clones are the same network.
#[derive(Clone)]
pub struct SimNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was sent that may arrive before what the pump waits for.
    sent: Notify,
    started: Instant,
}

struct State {
    network: Network,
    inboxes: BTreeMap<SocketId, Inbox>,
    /// What was sent since somebody began to listen in.
    tapped: Option<Vec<Tapped>>,
}

/// A datagram as somebody sees it who listens in where it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    /// Where it goes.
    pub to: SocketAddr,
    /// Its bytes.
    pub payload: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    packets: VecDeque<(SocketAddr, BytesMut)>,
    reader: Option<Waker>,
}

/// Datagrams that a socket holds unread: as many large ones as a receive buffer of 4 MiB, which is what the UDP transport asks
/// for.
const INBOX: usize = 1_800;

impl SimNetwork {
    /// Wraps a network and starts the task that delivers.
    pub(crate) fn start(seed: u64, started: Instant) -> Self {
        let state = State { network: Network::new(seed), inboxes: BTreeMap::new(), tapped: None };
        let this =
            Self { shared: Arc::new(Shared { state: Mutex::new(state), sent: Notify::new(), started }) };
        tokio::spawn(this.clone().pump());
        this
    }

    /// Looks at the simulation or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Network) -> T) -> T {
        act(&mut self.shared.state.lock().network)
    }

    /// What was sent since the last call; the first one begins to listen in.
    pub(crate) fn take_tapped(&self) -> Vec<Tapped> {
        self.shared.state.lock().tapped.replace(Vec::new()).unwrap_or_default()
    }

    fn send(&self, socket: SocketId, to: SocketAddr, payload: &[u8]) {
        let now = self.now();
        let mut state = self.shared.state.lock();
        if let Some(tapped) = &mut state.tapped {
            tapped.push(Tapped { to, payload: payload.to_vec() });
        }
        // A destination without a route is a datagram that is lost.
        let _ = state.network.send(now, socket, to, payload);
        drop(state);
        self.shared.sent.notify_one();
    }

    async fn pump(self) {
        loop {
            let next = self.shared.state.lock().network.next_delivery_at();
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.shared.started + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.shared.sent.notified() => {}
                () = sleep => self.deliver(),
            }
        }
    }

    fn now(&self) -> Duration {
        self.shared.started.elapsed()
    }

    fn deliver(&self) {
        let now = self.now();
        let mut wakers = Vec::new();
        let mut state = self.shared.state.lock();
        while let Some(delivery) = state.network.deliver(now) {
            if let Some(inbox) = state.inboxes.get_mut(&delivery.socket) {
                if inbox.packets.len() < INBOX {
                    inbox.packets.push_back((delivery.from, BytesMut::from(&delivery.payload[..])));
                }
                wakers.extend(inbox.reader.take());
            }
            state.network.recycle(delivery.payload);
        }
        drop(state);
        for waker in wakers {
            waker.wake();
        }
    }

    fn bind(&self, host: HostId, address: SocketAddr) -> io::Result<SocketId> {
        let mut state = self.shared.state.lock();
        let socket = state.network.bind(host, address).map_err(io::Error::other)?;
        state.inboxes.insert(socket, Inbox::default());
        Ok(socket)
    }

    fn unbind(&self, socket: SocketId) {
        let mut state = self.shared.state.lock();
        state.network.unbind(socket);
        if let Some(reader) = state.inboxes.remove(&socket).and_then(|inbox| inbox.reader) {
            reader.wake();
        }
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNetwork")
    }
}

/// One socket of one host as a transport.
#[derive(Debug)]
pub struct SimTransport {
    network: SimNetwork,
    host: HostId,
    /// The host's addresses may change; the socket listens on all of them.
    socket: Mutex<SocketId>,
    /// Sockets beside it, by their numbers.
    extra: ExtraSockets,
    reader: Mutex<Option<Waker>>,
    valve: Valve,
    /// What its addresses are called.
    name: fn(SocketAddr) -> PathAddress,
}

/// The extra sockets of a transport. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExtraSockets(Arc<Mutex<Extra>>);

impl ExtraSockets {
    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().sockets.len()
    }
}

#[derive(Debug, Default)]
struct Extra {
    next: u32,
    sockets: BTreeMap<u32, SocketId>,
}

/// What lets datagrams of a socket out: open, or for a number of them only, as a full send buffer does. Clones are the same
/// valve.
#[derive(Debug, Clone, Default)]
pub struct Valve(Arc<Mutex<Flow>>);

#[derive(Debug, Default)]
struct Flow {
    /// Datagrams that may still go; any number without it.
    left: Option<usize>,
    writer: Option<Waker>,
}

impl Valve {
    /// Lets so many more datagrams out and then none.
    pub fn close_after(&self, datagrams: usize) {
        let mut flow = self.0.lock();
        flow.left = Some(datagrams);
        let writer = flow.writer.take().filter(|_| datagrams > 0);
        drop(flow);
        writer.into_iter().for_each(Waker::wake);
    }

    /// Lets everything out again.
    pub fn open(&self) {
        let mut flow = self.0.lock();
        flow.left = None;
        let writer = flow.writer.take();
        drop(flow);
        writer.into_iter().for_each(Waker::wake);
    }

    /// Whether one more datagram may go; counts it.
    fn pass(&self) -> bool {
        match &mut self.0.lock().left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl SimTransport {
    /// Binds port 42424 on all addresses of a host.
    ///
    /// # Panics
    /// When the port is in use.
    pub fn bind(network: &SimNetwork, host: HostId) -> Self {
        Self::bind_as(network, host, PORT, PathAddress::Udp)
    }

    /// Binds port 443 on all addresses of a host and calls its addresses those of QUIC: a second way for the same packets.
    ///
    /// # Panics
    /// When the port is in use.
    pub fn bind_quic(network: &SimNetwork, host: HostId) -> Self {
        Self::bind_as(network, host, QUIC_PORT, PathAddress::Quic)
    }

    #[allow(clippy::expect_used, reason = "a simulation that cannot start should say so at once")]
    fn bind_as(network: &SimNetwork, host: HostId, port: u16, name: fn(SocketAddr) -> PathAddress) -> Self {
        let socket = network.bind(host, SocketAddr::new(ANY.ip(), port)).expect("the port is free");
        Self {
            network: network.clone(),
            host,
            socket: Mutex::new(socket),
            extra: ExtraSockets::default(),
            reader: Mutex::default(),
            valve: Valve::default(),
            name,
        }
    }

    /// The addresses under which the socket is reached, without a NAT.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let socket = *self.socket.lock();
        self.network.with(|network| {
            let port = network.local_address(socket).map_or(0, |address| address.port());
            network.addresses(self.host).map(|ip| SocketAddr::new(ip, port)).collect()
        })
    }

    /// Sends one datagram as it is, for tests that play a stranger.
    pub fn send(&self, to: SocketAddr, payload: &[u8]) {
        self.network.send(*self.socket.lock(), to, payload);
    }

    /// The socket from which a path of this transport's begins, and where it leads.
    fn of_path(&self, path: &PathAddress) -> Option<(SocketId, SocketAddr)> {
        let to = path.socket_address()?;
        match path {
            PathAddress::Extra(extra) => Some((*self.extra.0.lock().sockets.get(&extra.number)?, to)),
            _ => ((self.name)(to) == *path).then(|| (*self.socket.lock(), to)),
        }
    }

    /// Its extra sockets.
    pub(crate) fn extra_sockets(&self) -> ExtraSockets {
        self.extra.clone()
    }

    fn close_all_extra(&self) {
        for socket in std::mem::take(&mut self.extra.0.lock().sockets).into_values() {
            self.network.unbind(socket);
        }
    }

    /// What lets its datagrams out.
    pub fn valve(&self) -> Valve {
        self.valve.clone()
    }

    /// Datagrams that have arrived and nobody has read.
    pub fn unread(&self) -> usize {
        let socket = *self.socket.lock();
        self.network.shared.state.lock().inboxes.get(&socket).map_or(0, |inbox| inbox.packets.len())
    }
}

/// The port on which a node starts.
const PORT: u16 = telemesh_wire::limits::DEFAULT_PORT;

/// The port of a second way, as for QUIC.
const QUIC_PORT: u16 = 443;

/// All addresses of a host, and a port that it chooses.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Transport for SimTransport {
    fn carries(&self, address: &PathAddress) -> bool {
        self.of_path(address).is_some()
    }

    fn local_addresses(&self) -> Vec<PathAddress> {
        self.addresses().into_iter().map(self.name).collect()
    }

    fn open_extra(&self, to: &PathAddress, count: usize) -> Vec<PathAddress> {
        let PathAddress::Udp(to) = *to else { return Vec::new() };
        let mut extra = self.extra.0.lock();
        let mut paths = Vec::new();
        for _ in 0..count {
            let Ok(socket) = self.network.bind(self.host, ANY) else { break };
            let number = extra.next;
            extra.next += 1;
            extra.sockets.insert(number, socket);
            paths.push(PathAddress::Extra(ExtraSocket { to, number }));
        }
        drop(extra);
        // It has to wait for them, too.
        self.reader.lock().take().into_iter().for_each(Waker::wake);
        paths
    }

    fn close_extra(&self, path: &PathAddress) {
        if let PathAddress::Extra(extra) = path
            && let Some(socket) = self.extra.0.lock().sockets.remove(&extra.number)
        {
            self.network.unbind(socket);
        }
    }

    fn max_send_segments(&self) -> usize {
        16
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let (socket, to) = self.of_path(&transmit.destination).ok_or(SendError::UnusableAddress)?;
        let mut sent = 0;
        for datagram in transmit.datagrams() {
            if !self.valve.pass() {
                return Err(SendError::Blocked { sent });
            }
            self.network.send(socket, to, datagram);
            sent += datagram.len();
        }
        Ok(())
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut flow = self.valve.0.lock();
        if flow.left == Some(0) {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        *self.reader.lock() = Some(cx.waker().clone());
        let usual = (None, *self.socket.lock());
        let extra = self
            .extra
            .0
            .lock()
            .sockets
            .iter()
            .map(|(number, socket)| (Some(*number), *socket))
            .collect::<Vec<_>>();
        let mut state = self.network.shared.state.lock();
        let all = || std::iter::once(usual).chain(extra.iter().copied());
        for (number, socket) in all() {
            let Some(inbox) = state.inboxes.get_mut(&socket) else { continue };
            while batch.room() > 0 {
                let Some((from, contents)) = inbox.packets.pop_front() else { break };
                let stride = contents.len();
                let source = match number {
                    None => (self.name)(from),
                    Some(number) => PathAddress::Extra(ExtraSocket { to: from, number }),
                };
                // There is room, so it is taken.
                let _ = batch.push(Received { source, stride, ecn: None, contents });
            }
        }
        if !batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        for (_, socket) in all() {
            if let Some(inbox) = state.inboxes.get_mut(&socket) {
                inbox.reader = Some(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    fn rebind(&self) -> io::Result<()> {
        self.close_all_extra();
        let socket = self.network.bind(self.host, ANY)?;
        let old = std::mem::replace(&mut *self.socket.lock(), socket);
        self.network.unbind(old);
        if let Some(reader) = self.reader.lock().take() {
            reader.wake();
        }
        Ok(())
    }
}

impl Drop for SimTransport {
    fn drop(&mut self) {
        self.close_all_extra();
        self.network.unbind(*self.socket.lock());
    }
}

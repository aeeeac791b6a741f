//! The connections of a transport by address, and the tasks that make them.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use telemesh_hashname::PublicKeys;
use telemesh_transport::{Received, SendError};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    admission::Admission,
    connection::Connection,
    filter::Expected,
    keys::ExpectedKeys,
    limits::{
        ACCEPT_LIMIT, Config, HANDSHAKE_LIMIT, MAX_OUTBOUND, MAX_SLOTS, REDIAL_FIRST, REDIAL_MAX,
        UNUSED_LIMIT,
    },
    port::Port,
    signal::Signal,
};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) runtime: Handle,
    pub(crate) signal: Signal,
    received: mpsc::Sender<Received>,
    admission: Arc<Admission>,
    /// Of those whose address nothing proves yet.
    handshakes: Arc<Admission>,
    table: Mutex<Table>,
    keys: Mutex<ExpectedKeys>,
}

/// Where things stand with an address.
#[derive(Debug)]
enum Slot {
    Dialling,
    Up(Arc<Connection>),
    /// Nobody answered; not to be dialled again before this.
    Failed {
        until: Instant,
        wait: Duration,
    },
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<SocketAddr, Slot>,
    /// Opened with the first dial.
    dialler: Option<Port>,
    /// Connections that we have dialled, or are dialling.
    outbound: usize,
    closed: bool,
}

/// A dial whose answer is waited for.
#[derive(Debug)]
struct Dial {
    to: SocketAddr,
    connecting: quinn::Connecting,
    /// How long was waited before it, because those before had failed.
    waited: Duration,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Dialled,
    Accepted,
}

impl Table {
    /// Takes a connection out, if it is there.
    fn remove(&mut self, address: SocketAddr, connection: &Arc<Connection>) -> bool {
        let here =
            matches!(self.slots.get(&address), Some(Slot::Up(found)) if Arc::ptr_eq(found, connection));
        if here {
            self.slots.remove(&address);
        }
        here
    }
}

impl Shared {
    pub(crate) fn new(runtime: Handle, received: mpsc::Sender<Received>, config: Config) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            signal: Signal::default(),
            received,
            admission: Admission::new(config),
            handshakes: Admission::new(config.of_handshakes()),
            table: Mutex::default(),
            keys: Mutex::default(),
        })
    }

    pub(crate) fn expect(&self, address: SocketAddr, keys: &PublicKeys) {
        self.keys.lock().add(address, keys);
    }

    /// The connection with whoever is at an address, which is dialled if there is none.
    pub(crate) fn connection(self: &Arc<Self>, to: SocketAddr) -> Result<Arc<Connection>, SendError> {
        let now = Instant::now();
        let mut table = self.table.lock();
        let waited = match table.slots.get(&to) {
            Some(Slot::Up(connection)) if !connection.is_dead(now) => return Ok(connection.clone()),
            Some(Slot::Up(_)) => Duration::ZERO,
            Some(Slot::Dialling) => {
                self.signal.want();
                return Err(SendError::Connecting);
            }
            Some(Slot::Failed { until, .. }) if now < *until => {
                return Err(SendError::Unreachable(io::ErrorKind::TimedOut.into()));
            }
            Some(Slot::Failed { wait, .. }) => *wait,
            None => Duration::ZERO,
        };
        // Whoever is there cannot be made to answer without its key, so nothing is sent at all.
        let Some(key) = self.keys.lock().current(to) else {
            if let Some(Slot::Up(dead)) = table.slots.remove(&to) {
                dead.close();
            }
            return Err(SendError::UnusableAddress);
        };
        if table.outbound >= MAX_OUTBOUND || table.closed {
            return Err(SendError::Unreachable(io::Error::other("too many connections")));
        }
        let _entered = self.runtime.enter();
        let port = match &table.dialler {
            Some(port) => port.clone(),
            None => table.dialler.insert(Port::dialler().map_err(SendError::Unreachable)?).clone(),
        };
        let expected = port.peers.expect(to);
        let connecting = port.dial(to, &key).map_err(SendError::Unreachable)?;
        if let Some(Slot::Up(dead)) = table.slots.insert(to, Slot::Dialling) {
            dead.close();
        }
        table.outbound += 1;
        drop(table);
        self.signal.want();
        let dial = Dial { to, connecting, waited };
        self.runtime.spawn(self.clone().dial(dial, expected));
        Err(SendError::Connecting)
    }

    async fn dial(self: Arc<Self>, dial: Dial, expected: Expected) {
        let Dial { to, connecting, waited } = dial;
        match timeout(HANDSHAKE_LIMIT, connecting).await {
            Ok(Ok(connection)) => self.drive(to, connection, Origin::Dialled).await,
            outcome => {
                tracing::debug!(%to, ?outcome, "nobody answered the dial");
                self.failed(to, waited);
            }
        }
        self.table.lock().outbound -= 1;
        drop(expected);
    }

    fn failed(&self, to: SocketAddr, waited: Duration) {
        self.keys.lock().failed(to);
        let wait = (waited * 2).clamp(REDIAL_FIRST, REDIAL_MAX);
        {
            let mut table = self.table.lock();
            if table.slots.len() >= MAX_SLOTS {
                table.slots.retain(|_, slot| !matches!(slot, Slot::Failed { .. }));
            }
            // Whoever is there may have dialled us meanwhile.
            if matches!(table.slots.get(&to), Some(Slot::Dialling)) {
                table.slots.insert(to, Slot::Failed { until: Instant::now() + wait, wait });
            }
        }
        self.signal.fire();
    }

    /// Takes connections in until the port is closed.
    pub(crate) async fn listen(self: Arc<Self>, port: Port) {
        while let Some(incoming) = port.endpoint.accept().await {
            let from = crate::canonical(incoming.remote_address());
            // An Initial with an id of ours that belongs to no connection is an echo of an old one.
            let is_dial = port.filter.is_dial(&incoming.orig_dst_cid());
            let is_welcome = is_dial && self.admission.has_room(from.ip());
            let Some(handshake) = is_welcome.then(|| self.handshakes.enter(from.ip())).flatten() else {
                incoming.ignore();
                continue;
            };
            let expected = port.peers.expect(from);
            let Ok(connecting) = incoming.accept() else { continue };
            let shared = self.clone();
            self.runtime.spawn(async move {
                let outcome = timeout(ACCEPT_LIMIT, connecting).await;
                drop(handshake);
                // Only who gets what is sent to its address comes so far.
                if let Ok(Ok(connection)) = outcome
                    && let Some(_place) = shared.admission.enter(from.ip())
                {
                    shared.drive(from, connection, Origin::Accepted).await;
                }
                drop(expected);
            });
        }
    }

    /// Runs a connection until it ends; one from outside only for so long, if we have nothing to say to its other end.
    async fn drive(&self, mut address: SocketAddr, quinn: quinn::Connection, origin: Origin) {
        let (connection, late) = Connection::new(quinn, Instant::now());
        let connection = Arc::new(connection);
        self.up(address, &connection);
        self.signal.fire();
        let run = connection.run(late, &self.received, &self.signal, |to| {
            if self.moved(&connection, address, to) {
                address = to;
            }
        });
        let unused = async {
            sleep(UNUSED_LIMIT).await;
            if origin == Origin::Dialled || connection.is_used() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = run => {}
            () = unused => connection.close(),
        }
        self.table.lock().remove(address, &connection);
        self.signal.fire();
    }

    /// A connection stands. One that there was before is replaced: whoever dialled anew has lost it.
    fn up(&self, address: SocketAddr, connection: &Arc<Connection>) {
        let mut table = self.table.lock();
        if table.closed {
            connection.close();
        } else if let Some(Slot::Up(old)) = table.slots.insert(address, Slot::Up(connection.clone())) {
            old.close();
        }
    }

    /// The peer of a connection has another address now. A connection that is at that address already stays there:
    /// sources of packets can be forged. Whether it is found there from now on; if not, it stays where it was.
    fn moved(&self, connection: &Arc<Connection>, from: SocketAddr, to: SocketAddr) -> bool {
        let mut table = self.table.lock();
        let moves = !matches!(table.slots.get(&to), Some(Slot::Up(_))) && table.remove(from, connection);
        if moves {
            table.slots.insert(to, Slot::Up(connection.clone()));
        }
        moves
    }

    /// Sockets for dialling move; what nobody answered may have an answer there.
    pub(crate) fn rebind(&self) -> io::Result<()> {
        let outcome = {
            let mut table = self.table.lock();
            table.slots.retain(|_, slot| !matches!(slot, Slot::Failed { .. }));
            let _entered = self.runtime.enter();
            table.dialler.as_ref().map_or(Ok(()), Port::rebind)
        };
        self.signal.fire();
        outcome
    }

    /// Datagrams that the socket for dialling has dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.table.lock().dialler.as_ref().map_or(0, |port| port.filter.dropped())
    }

    /// Ends all connections. Their tasks end with them.
    pub(crate) fn close(&self) {
        let (slots, dialler) = {
            let mut table = self.table.lock();
            table.closed = true;
            (std::mem::take(&mut table.slots), table.dialler.take())
        };
        for slot in slots.into_values() {
            if let Slot::Up(connection) = slot {
                connection.close();
            }
        }
        if let Some(port) = dialler {
            port.close();
        }
        self.signal.fire();
    }
}

#[cfg(test)]
mod tests;

//! rust-libp2p with one behaviour, plain streams: over QUIC, and over TCP with Noise and yamux.

use std::{collections::HashMap, marker::PhantomData, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use futures_util::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise,
    swarm::{
        Config, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use libp2p_stream::{Behaviour, Control};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use crate::{
    peer::{Host, Peer},
    peers::UDP_PAYLOAD,
    sample::Settings,
    service,
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/telemesh-bench/1");

/// libp2p over its QUIC.
pub(crate) type OverQuic = Libp2p<Quic>;
/// libp2p over TCP with Noise and yamux.
pub(crate) type OverTcp = Libp2p<Tcp>;

/// See the module.
pub(crate) struct Libp2p<T>(PhantomData<T>);

/// What carries libp2p's streams.
pub(crate) trait Carrier: 'static {
    /// Where a server listens.
    const LISTEN: &str;

    /// An endpoint with a new identity.
    fn swarm() -> Result<Swarm<Behaviour>>;

    /// What is known about the packets.
    fn settings() -> Settings;
}

/// Marks QUIC.
pub(crate) struct Quic;

impl Carrier for Quic {
    const LISTEN: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

    fn swarm() -> Result<Swarm<Behaviour>> {
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_quic_config(|config| config.mtu_upper_bound(UDP_PAYLOAD))
            .with_behaviour(|_| Behaviour::new())?
            .with_swarm_config(never_idle)
            .build();
        Ok(swarm)
    }

    fn settings() -> Settings {
        // The connection inside cannot be asked. It starts at 1,200 and finds the bound during the warm-up.
        Settings::from([("udp_payload".to_owned(), format!("up to {UDP_PAYLOAD}, not read back"))])
    }
}

/// Marks TCP with Noise and yamux.
pub(crate) struct Tcp;

impl Carrier for Tcp {
    const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

    fn swarm() -> Result<Swarm<Behaviour>> {
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_| Behaviour::new())?
            .with_swarm_config(never_idle)
            .build();
        Ok(swarm)
    }

    fn settings() -> Settings {
        Settings::from([("udp_payload".to_owned(), "none: TCP in loopback's large frames".to_owned())])
    }
}

/// The default would close connections without streams after a few seconds, which `memory` wants to keep.
fn never_idle(config: Config) -> Config {
    config.with_idle_connection_timeout(Duration::from_secs(24 * 60 * 60))
}

/// Who the server is, and where it listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Address {
    peer: String,
    socket: Multiaddr,
}

/// A client's swarm, which runs in a task of its own.
pub(crate) struct Dialer {
    orders: mpsc::Sender<Order>,
    control: Control,
    server: PeerId,
}

/// What the task of a client's swarm is asked to do; the answer comes when it has happened.
enum Order {
    Connect(oneshot::Sender<Result<()>>),
    Disconnect(oneshot::Sender<Result<()>>),
}

/// The one connection that a dialer has.
pub(crate) struct Connection {
    control: Control,
    server: PeerId,
}

impl<T: Carrier> Peer for Libp2p<T> {
    type Dialer = Dialer;
    type Connection = Connection;
    type Stream = Compat<Stream>;

    async fn serve(host: Host) -> Result<()> {
        let mut swarm = T::swarm()?;
        let mut streams = swarm.behaviour().new_control().accept(PROTOCOL)?;
        swarm.listen_on(T::LISTEN.parse()?)?;
        let mut connected = HashMap::new();
        loop {
            tokio::select! {
                event = swarm.select_next_some() => match event {
                    SwarmEvent::NewListenAddr { address: socket, .. } => {
                        let address = Address { peer: swarm.local_peer_id().to_string(), socket };
                        host.listening(serde_json::to_string(&address)?)?;
                    }
                    SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                        connected.insert(connection_id, host.connected());
                    }
                    SwarmEvent::ConnectionClosed { connection_id, .. } => {
                        connected.remove(&connection_id);
                    }
                    SwarmEvent::ListenerError { error, .. } => return Err(error.into()),
                    _ => {}
                },
                stream = streams.next() => {
                    let (_, stream) = stream.context("libp2p stopped accepting streams")?;
                    // A stream that fails shows at the client, which reports it.
                    tokio::spawn(async move { service::serve(&mut stream.compat()).await });
                }
            }
        }
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        let Address { peer, socket } = serde_json::from_str(address)?;
        let server: PeerId = peer.parse()?;
        let swarm = T::swarm()?;
        let control = swarm.behaviour().new_control();
        let (orders, received) = mpsc::channel(1);
        tokio::spawn(run(swarm, server, socket, received));
        Ok(Dialer { orders, control, server })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Connection> {
        dialer.order(Order::Connect).await?;
        Ok(Connection { control: dialer.control.clone(), server: dialer.server })
    }

    async fn open(connection: &mut Connection) -> Result<Self::Stream> {
        Ok(connection.control.open_stream(connection.server, PROTOCOL).await?.compat())
    }

    fn settings(_: &Connection) -> Settings {
        T::settings()
    }

    async fn close(dialer: &mut Dialer, _: Connection) -> Result<()> {
        dialer.order(Order::Disconnect).await
    }
}

impl Dialer {
    async fn order(&mut self, order: fn(oneshot::Sender<Result<()>>) -> Order) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| anyhow!("the client's swarm has ended"))?;
        outcome.await.context("the client's swarm has ended")?
    }
}

/// Runs a client's swarm until its dialer is dropped.
async fn run(
    mut swarm: Swarm<Behaviour>,
    server: PeerId,
    socket: Multiaddr,
    mut orders: mpsc::Receiver<Order>,
) -> Result<()> {
    let mut pending: Option<oneshot::Sender<Result<()>>> = None;
    loop {
        let outcome = tokio::select! {
            order = orders.recv() => match order {
                None => return Ok(()),
                Some(Order::Connect(done)) => {
                    pending = Some(done);
                    let dial = DialOpts::peer_id(server).addresses(vec![socket.clone()]);
                    match swarm.dial(dial.condition(PeerCondition::Always).build()) {
                        Ok(()) => continue,
                        Err(error) => Err(error.into()),
                    }
                }
                Some(Order::Disconnect(done)) => {
                    pending = Some(done);
                    match swarm.disconnect_peer_id(server) {
                        Ok(()) => continue,
                        Err(()) => Err(anyhow!("there is no connection")),
                    }
                }
            },
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { .. } | SwarmEvent::ConnectionClosed { .. } => Ok(()),
                SwarmEvent::OutgoingConnectionError { error, .. } => Err(error.into()),
                _ => continue,
            },
        };
        if let Some(done) = pending.take() {
            // The workload has given up waiting if this fails.
            let _ = done.send(outcome);
        }
    }
}

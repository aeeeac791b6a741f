//! What an endpoint asks of a peer: [`SockOpener`] and what it gives.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use telemesh_channel::{Channel, Incoming, Opener};

use crate::bindings::{Binding, Waiting};
use crate::failure::SockError;
use crate::request::Request;
use crate::service::Sock;
use crate::targets::{Host, Target};
use crate::tunnel::UdpTunnel;

/// Adds `sock()` to every link (every [`Opener`]).
pub trait SockOpener: Opener {
    /// TCP and UDP from where the peer is.
    fn sock(&self) -> Tunnels<'_, Self> {
        Tunnels { link: self }
    }
}

impl<O: Opener + ?Sized> SockOpener for O {}

/// What can be opened at a peer that grants it. See [`SockOpener::sock`].
#[derive(Debug)]
pub struct Tunnels<'a, O: ?Sized> {
    link: &'a O,
}

impl<O: Opener + ?Sized> Tunnels<'_, O> {
    /// Has the peer connect to a target, `10.0.0.1:22` or `host.name:443`, and resolves when it has. The channel is the
    /// connection: `shutdown` ends its sending half, dropping it before resets it (RST at the target), and a reset of the
    /// target's fails it with `ConnectionReset`.
    ///
    /// # Errors
    /// [`SockError`]: no grant there, refused by the target, no answer, …
    pub async fn connect(&self, target: impl IntoTarget) -> Result<Channel, SockError> {
        let mut channel = open_connection(self.link, target.into_target()?).await?;
        channel.accepted().await?;
        Ok(channel)
    }

    /// Has the peer send datagrams: to `target`, or, without one, to wherever each of them says. Nothing is sent before the
    /// first datagram but the opening itself; a refusal comes with [`UdpTunnel::recv`].
    ///
    /// # Errors
    /// [`SockError`]: the link is not up.
    pub fn udp(&self, target: Option<Target>) -> Result<UdpTunnel, SockError>
    where
        O: Clone + Sized,
    {
        UdpTunnel::open(Arc::new(self.link.clone()), Request::Udp(target))
    }

    /// Has the peer listen for TCP connections at an address of its own, and resolves when it does. Connections come to the
    /// returned listener for as long as that is kept. `sock` is this endpoint's service, which takes them from the link.
    ///
    /// # Errors
    /// [`SockError`]: no grant there, the address in use, …
    pub async fn bind(&self, sock: &Sock, at: impl IntoTarget) -> Result<RemoteListener, SockError> {
        let at = listening(at.into_target()?)?;
        let binding = sock.service.bindings.begin(self.link.peer());
        let mut channel = self.link.open(Request::Bind { at, number: binding.number }.open()).await?;
        channel.accepted().await?;
        Ok(RemoteListener { channel, binding })
    }

    /// Has the peer listen for datagrams at an address of its own. [`UdpTunnel::recv`] gives them with where they come from, and
    /// answers go there with [`UdpTunnel::send`].
    ///
    /// # Errors
    /// [`SockError`]: the link is not up.
    pub fn udp_bind(&self, at: impl IntoTarget) -> Result<UdpTunnel, SockError>
    where
        O: Clone + Sized,
    {
        let at = listening(at.into_target()?)?;
        UdpTunnel::open(Arc::new(self.link.clone()), Request::UdpBind(at))
    }
}

/// Asks for a connection and does not wait for the answer: what is written at once travels with the question.
pub(crate) async fn open_connection<O: Opener + ?Sized>(
    link: &O,
    target: Target,
) -> Result<Channel, SockError> {
    Ok(link.open(Request::Connect(target).open()).await?)
}

/// Listening is at an address.
fn listening(at: Target) -> Result<Target, SockError> {
    match at.host() {
        Host::Name(name) => Err(SockError::Failed(format!("listening is at an address, not at {name}"))),
        _ => Ok(at),
    }
}

/// A target, or text that is one.
pub trait IntoTarget {
    /// The target.
    ///
    /// # Errors
    /// [`SockError::Target`].
    fn into_target(self) -> Result<Target, SockError>;
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target, SockError> {
        Ok(self)
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target, SockError> {
        Ok(self.parse()?)
    }
}

impl IntoTarget for SocketAddr {
    fn into_target(self) -> Result<Target, SockError> {
        Ok(self.try_into()?)
    }
}

/// A listener at a peer. Dropped, the peer stops listening; connections that were taken go on.
pub struct RemoteListener {
    channel: Channel,
    binding: Binding,
}

impl RemoteListener {
    /// The endpoint that listens.
    pub fn peer(&self) -> telemesh_channel::Hashname {
        self.channel.peer()
    }

    /// Waits for the next connection that somebody makes there. Dropping the future loses none.
    ///
    /// # Errors
    /// [`SockError`]: the peer listens no more, the link is lost.
    pub async fn accept(&mut self) -> Result<RemoteConnection, SockError> {
        tokio::select! {
            biased;
            Some(waiting) = self.binding.waiting.recv() => Ok(RemoteConnection(waiting)),
            ended = self.channel.read_chunk() => match ended {
                Ok(_) => Err(SockError::Failed("it listens no more".into())),
                Err(error) => Err(match telemesh_channel::ChannelError::of(&error) {
                    Some(error) => error.clone().into(),
                    None => SockError::of_socket(&error),
                }),
            },
        }
    }
}

impl fmt::Debug for RemoteListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteListener").field("peer", &self.channel.peer()).finish_non_exhaustive()
    }
}

/// A connection that somebody made at a peer, before it is decided upon. Dropped, it is reset.
#[derive(Debug)]
pub struct RemoteConnection(Waiting);

impl RemoteConnection {
    /// Who has connected, as the peer says.
    pub fn from(&self) -> SocketAddr {
        self.0.from
    }

    /// The connection's bytes.
    ///
    /// # Errors
    /// [`SockError`], which does not happen: only reliable channels come here.
    pub fn accept(self) -> Result<Channel, SockError> {
        self.0.incoming.accept().map_err(|error| SockError::Failed(error.to_string()))
    }

    /// Refuses: whoever has connected sees a reset.
    pub fn refuse(self, error: &SockError) {
        let incoming: Incoming = self.0.incoming;
        incoming.refuse(error.refusal());
    }
}

//! The traits between channels and what carries them: a link, the local endpoint, all its links.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use telemesh_hashname::Hashname;
use telemesh_wire::Open;

use crate::channel::Channel;
use crate::datagrams::Datagrams;
use crate::error::{ChannelError, HandleError, OpenError};
use crate::handler::Handler;

/// Opens channels to one peer: a link, or one end of the memory pair.
pub trait Opener: Send + Sync + 'static {
    /// The endpoint at the other end.
    fn peer(&self) -> Hashname;

    /// Opens a reliable channel. It is open when this resolves, and waits only for room among the
    /// link's streams, never for the peer's answer. The open message is sent with the first bytes that are written, as soon as something
    /// is waited for, or after a few milliseconds. The answer is
    /// [`Channel::accepted`], and a refusal also fails the channel's reads and writes.
    ///
    /// Dropping the future before it resolves opens nothing.
    ///
    /// # Errors
    /// [`OpenError`]: an unusable open message, or a link that is not up. It does not wait for a link to come up.
    fn open(&self, open: Open) -> BoxFuture<'_, Result<Channel, OpenError>>;

    /// Opens an unreliable channel. The open message must fit in one packet together with a small header.
    ///
    /// # Errors
    /// [`OpenError`], as [`open`](Self::open).
    fn open_datagrams(&self, open: Open) -> Result<Datagrams, OpenError>;

    /// Sends an open message that is the whole conversation: nothing follows, nothing comes back, and it may get lost. At the
    /// other end it is an unreliable channel that has ended. It must fit in one packet, or in the two halves of one.
    ///
    /// # Errors
    /// [`OpenError`], as [`open`](Self::open).
    fn notify(&self, open: Open) -> Result<(), OpenError>;
}

impl<T: Opener + ?Sized> Opener for Arc<T> {
    fn peer(&self) -> Hashname {
        (**self).peer()
    }

    fn open(&self, open: Open) -> BoxFuture<'_, Result<Channel, OpenError>> {
        (**self).open(open)
    }

    fn open_datagrams(&self, open: Open) -> Result<Datagrams, OpenError> {
        (**self).open_datagrams(open)
    }

    fn notify(&self, open: Open) -> Result<(), OpenError> {
        (**self).notify(open)
    }
}

/// Takes handlers for the channels that peers open: the mesh, or one end of the memory pair.
pub trait Acceptor: Send + Sync + 'static {
    /// Registers the one handler of a channel type, for all links.
    ///
    /// # Errors
    /// [`HandleError`]: the name breaks the rules (see [`crate::check_channel_type`]), or the type has a handler already.
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError>;

    /// The handler of a channel type, for a channel that adds to the one it has registered before (look inside with
    /// [`Any`](std::any::Any)). `None` if there is none, it is retired, or this acceptor does not say, as the default.
    fn handler(&self, channel_type: &str) -> Option<Arc<dyn Handler>> {
        let _ = channel_type;
        None
    }
}

impl<T: Acceptor + ?Sized> Acceptor for Arc<T> {
    fn handle(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        (**self).handle(channel_type, handler)
    }

    fn handler(&self, channel_type: &str) -> Option<Arc<dyn Handler>> {
        (**self).handler(channel_type)
    }
}

/// The local endpoint with its links, for channels that involve several peers.
pub trait Network: Acceptor {
    /// The local endpoint's own hashname.
    fn hashname(&self) -> Hashname;

    /// The link to this peer, whether it is up or not; `None` if there is none. It does not dial.
    fn link(&self, peer: &Hashname) -> Option<Arc<dyn Opener>>;

    /// Wants the link to this peer from now on: it is dialled now and again whenever it is down, also with the help of
    /// routers. Nothing happens for a peer without a link. That it is up comes as a [`LinkEvent`].
    fn connect(&self, peer: &Hashname);

    /// The peers whose links are up.
    fn peers(&self) -> Vec<Hashname>;

    /// Whether this peer may do something that needs a grant: a kind, like `router`, or a kind and what it is for, like
    /// `sock:10.0.0.1:22`. Exactly this grant is looked for.
    fn has_grant(&self, peer: &Hashname, grant: &str) -> bool;

    /// All grants of a kind that this peer has, in whole: those that are just the kind, and those that say what it is for.
    /// For services whose grants are patterns. As they are now: ask again for every decision, and for one that lasts with every
    /// [`LinkEvent::Granted`].
    fn grants_of_kind(&self, peer: &Hashname, kind: &str) -> Vec<String>;

    /// What happens to links from now on. To know all, subscribe first and then look at [`peers`](Self::peers).
    fn link_events(&self) -> LinkEvents;

    /// The same endpoint without keeping it: what a handler holds that needs the endpoint which holds the handler.
    fn downgrade(&self) -> Arc<dyn WeakNetwork>;
}

/// An endpoint that ends when nobody else holds it; see [`Network::downgrade`].
pub trait WeakNetwork: Send + Sync + 'static {
    /// The endpoint, unless it has ended. Not to be kept longer than one decision takes.
    fn upgrade(&self) -> Option<Arc<dyn Network>>;
}

impl<T: Network + ?Sized> Network for Arc<T> {
    fn hashname(&self) -> Hashname {
        (**self).hashname()
    }

    fn link(&self, peer: &Hashname) -> Option<Arc<dyn Opener>> {
        (**self).link(peer)
    }

    fn connect(&self, peer: &Hashname) {
        (**self).connect(peer);
    }

    fn peers(&self) -> Vec<Hashname> {
        (**self).peers()
    }

    fn has_grant(&self, peer: &Hashname, grant: &str) -> bool {
        (**self).has_grant(peer, grant)
    }

    fn grants_of_kind(&self, peer: &Hashname, kind: &str) -> Vec<String> {
        (**self).grants_of_kind(peer, kind)
    }

    fn link_events(&self) -> LinkEvents {
        (**self).link_events()
    }

    fn downgrade(&self) -> Arc<dyn WeakNetwork> {
        (**self).downgrade()
    }
}

/// Link events as a stream. A subscriber who does not read in time gets [`LinkEvent::Lagged`] instead of the oldest.
pub type LinkEvents = Pin<Box<dyn Stream<Item = LinkEvent> + Send>>;

/// A change in the state of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The link came up: channels can be opened.
    Up {
        /// The endpoint at the other end.
        peer: Hashname,
    },
    /// The link went down.
    Down {
        /// The endpoint at the other end.
        peer: Hashname,
        /// What the channels on it fail with.
        reason: ChannelError,
    },
    /// The application has set what this peer may do: it may be more or less than before.
    Granted {
        /// The endpoint at the other end.
        peer: Hashname,
    },
    /// So many events were dropped because the subscriber did not read; look at [`Network::peers`] again.
    Lagged {
        /// How many.
        missed: u64,
    },
}

//! Two endpoints of ours, each at one end of a circuit through a router, or with a plain forwarder where the other end's address
//! would be.
//!
//! Neither tells the other its addresses, so that there is nothing to find but the way that is measured: the client by a grant
//! that keeps them, the server because its guest learns only addresses of the internet.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use telemesh::{
    Acceptor as _, Channel, Claim, Contact, Grants, Incoming, Link, LinkInfo, Mesh, Open, Opener as _,
    PathAddress, Verdict, channel::ChannelKind,
};

use super::{THROUGH, WAY, middle};
use crate::{
    peer::{Host, Peer},
    peers::LOOPBACK,
    sample::Settings,
    service,
};

/// Channel type of the streams.
const SERVICE: &str = "org.telemesh.bench";
/// The grant that keeps our addresses from a contact.
const NO_ADDRESSES: &str = "paths:routers";

/// A circuit through a router.
pub(super) struct ThroughRouter;

/// The plain forwarder: as far as the ends know, it is the other end.
pub(super) struct AroundRouter;

/// An endpoint and whom it links to.
pub(super) struct Dialer {
    mesh: Mesh,
    server: LinkInfo,
}

/// The server, for the client.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    /// Its URI.
    uri: String,
    socket: SocketAddr,
}

impl Peer for ThroughRouter {
    type Dialer = Dialer;
    type Connection = Link;
    type Stream = Channel;

    async fn serve(host: Host) -> Result<()> {
        let mesh = endpoint().await?;
        mesh.link(middle::place()?).await?.router(true);
        serve(&mesh, &host).await
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        let (mesh, (server, _)) = (endpoint().await?, read(address)?);
        mesh.link(middle::place()?).await?.router(true);
        Ok(Dialer { mesh, server })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Link> {
        connect(dialer).await
    }

    async fn open(link: &mut Link) -> Result<Channel> {
        open(link).await
    }

    fn settings(link: &Link) -> Settings {
        settings(link, |path| !path.is_direct())
    }

    async fn close(_: &mut Dialer, link: Link) -> Result<()> {
        close(&link).await
    }
}

impl Peer for AroundRouter {
    type Dialer = Dialer;
    type Connection = Link;
    type Stream = Channel;

    async fn serve(host: Host) -> Result<()> {
        serve(&endpoint().await?, &host).await
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        let (mesh, (server, socket)) = (endpoint().await?, read(address)?);
        middle::join([own_address(&mesh)?, socket])?;
        let server = server.with_path(PathAddress::Udp(middle::place()?.parse()?))?;
        Ok(Dialer { mesh, server })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Link> {
        connect(dialer).await
    }

    async fn open(link: &mut Link) -> Result<Channel> {
        open(link).await
    }

    fn settings(link: &Link) -> Settings {
        let place = middle::place().ok().and_then(|place| place.parse().ok()).map(PathAddress::Udp);
        settings(link, |path| Some(*path) == place)
    }

    async fn close(_: &mut Dialer, link: Link) -> Result<()> {
        close(&link).await
    }
}

async fn endpoint() -> Result<Mesh> {
    // Anybody may link: nobody else is on this loopback, and guests learn nothing.
    let builder = telemesh::builder(telemesh::generate_keys()?).policy(|_: &Claim<'_>| Verdict::Accept);
    Ok(builder.listen(LOOPBACK).create().await?)
}

fn own_address(mesh: &Mesh) -> Result<SocketAddr> {
    mesh.addresses().iter().find_map(PathAddress::socket_address).context("the endpoint has no address")
}

async fn serve(mesh: &Mesh, host: &Host) -> Result<()> {
    let serve = |incoming: Incoming| async move {
        let Ok(mut channel) = incoming.accept() else { return };
        // A stream that fails shows at the client, which reports it.
        let _ = service::serve(&mut channel).await;
    };
    mesh.handle(SERVICE, Arc::new(serve))?;
    let address = Address { uri: mesh.uri().to_string(), socket: own_address(mesh)? };
    host.listening(serde_json::to_string(&address)?)?;
    std::future::pending().await
}

/// The server's keys without its addresses, and where it listens.
fn read(address: &str) -> Result<(LinkInfo, SocketAddr)> {
    let Address { uri, socket } = serde_json::from_str(address)?;
    let uri: telemesh::LinkUri = uri.parse()?;
    Ok((LinkInfo::new(uri.link().keys().clone())?, socket))
}

async fn connect(dialer: &mut Dialer) -> Result<Link> {
    let mut grants = Grants::link();
    grants.insert(NO_ADDRESSES.parse()?)?;
    dialer.mesh.set_contact(Contact::new(dialer.server.clone()).with_grants(grants))?;
    Ok(dialer.mesh.link(dialer.server.clone()).await?)
}

async fn open(link: &Link) -> Result<Channel> {
    Ok(link.open(Open::new(SERVICE, ChannelKind::Reliable)).await?)
}

fn settings(link: &Link, is_right: impl Fn(&PathAddress) -> bool) -> Settings {
    let way = match link.path() {
        Some(path) if is_right(&path.address) => THROUGH.to_owned(),
        Some(path) => path.address.to_string(),
        None => "nowhere".to_owned(),
    };
    Settings::from([(WAY.to_owned(), way)])
}

async fn close(link: &Link) -> Result<()> {
    let mut state = link.watch();
    link.close();
    state.wait_for(|state| !state.is_up()).await.context("the endpoint ended")?;
    Ok(())
}

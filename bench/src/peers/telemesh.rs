//! telemesh: a link by invite. Both ends prove who they are, and the server answers nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use telemesh::{
    Acceptor as _, Channel, Incoming, Invite, Link, LinkEvent, Mesh, Network as _, Open, Opener as _,
    channel::ChannelKind,
};

use crate::{
    peer::{Host, Peer},
    peers::LOOPBACK,
    sample::Settings,
    service,
};

/// See the module.
pub(crate) struct Telemesh;

/// A client endpoint and whom it dials.
pub(crate) struct Dialer {
    mesh: Mesh,
    server: String,
}

/// Channel type of the benchmark's streams.
const SERVICE: &str = "org.telemesh.bench";

/// More than any workload makes.
const BEARERS: u32 = 1_000_000;

/// Bytes that the link adds to each engine packet.
const SEAL_OVERHEAD: u16 = 32;

impl Peer for Telemesh {
    type Dialer = Dialer;
    type Connection = Link;
    type Stream = Channel;

    async fn serve(host: Host) -> Result<()> {
        let mesh = endpoint().await?;
        let serve = |incoming: Incoming| async move {
            let Ok(mut channel) = incoming.accept() else { return };
            // A stream that fails shows at the client, which reports it.
            let _ = service::serve(&mut channel).await;
        };
        mesh.handle(SERVICE, Arc::new(serve))?;
        let mut events = mesh.link_events();
        let invite = mesh.invite(Invite::once().uses(BEARERS))?;
        host.listening(invite.to_secret_string().to_string())?;
        let mut connected = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                LinkEvent::Up { peer } => drop(connected.insert(peer, host.connected())),
                LinkEvent::Down { peer, .. } => drop(connected.remove(&peer)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn dialer(address: &str) -> Result<Dialer> {
        Ok(Dialer { mesh: endpoint().await?, server: address.to_owned() })
    }

    async fn connect(dialer: &mut Dialer) -> Result<Link> {
        Ok(dialer.mesh.link(&dialer.server).await?)
    }

    async fn open(link: &mut Link) -> Result<Channel> {
        Ok(link.open(Open::new(SERVICE, ChannelKind::Reliable)).await?)
    }

    fn settings(link: &Link) -> Settings {
        let payload = link.engine_stats().map_or(0, |stats| stats.packet + SEAL_OVERHEAD);
        Settings::from([("udp_payload".to_owned(), payload.to_string())])
    }

    async fn close(_: &mut Dialer, link: Link) -> Result<()> {
        let mut state = link.watch();
        link.close();
        state.wait_for(|state| !state.is_up()).await.context("the endpoint ended")?;
        Ok(())
    }
}

/// An endpoint with keys of its own, on loopback.
pub(crate) async fn endpoint() -> Result<Mesh> {
    Ok(telemesh::builder(telemesh::generate_keys()?).listen(LOOPBACK).create().await?)
}

//! `status` and `stop`: the endpoint that is up.

use telemesh::{BridgeStats, Link};

use super::{path, state};
use crate::endpoint::Endpoint;
use crate::event::{Event, Happened, Mapping, Routing, Status, StatusLink, micros};
use crate::failure::Failure;
use crate::session::Session;

/// Says how the endpoint is.
pub(super) async fn run(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    let running = endpoint.running().ok_or_else(not_up)?;
    let mesh = endpoint.mesh();
    let mut links: Vec<_> = mesh.links().iter().map(|link| shown(endpoint, link)).collect();
    links.sort_by(|one, other| (&one.name, &one.hashname).cmp(&(&other.name, &other.hashname)));
    let status = Status {
        hashname: mesh.hashname().to_string(),
        process: std::process::id(),
        uptime_s: endpoint.uptime().as_secs(),
        addresses: mesh.addresses().iter().map(ToString::to_string).collect(),
        mapping: endpoint
            .maps_port()
            .then(|| Mapping { address: mesh.mapped_address().map(|address| address.to_string()) }),
        links,
        dropped: mesh.metrics().dropped,
        invites: mesh.invites().len(),
        routing: mesh.routing().map(routing),
        commands: running.commands(),
    };
    session.say(Event::Status(status)).await
}

fn routing(stats: BridgeStats) -> Routing {
    Routing {
        circuits: stats.circuits,
        introductions: stats.introductions,
        refused: stats.refused,
        forwarded_packets: stats.packets,
        forwarded_bytes: stats.bytes,
    }
}

fn shown(endpoint: &Endpoint, link: &Link) -> StatusLink {
    let (word, reason) = state(link.state().state);
    let traffic = link.traffic();
    let since = endpoint.running().and_then(|running| running.since(&link.hashname()));
    StatusLink {
        hashname: link.hashname().to_string(),
        name: endpoint.name_of(&link.hashname()),
        state: word.to_owned(),
        reason,
        path: path(link),
        rtt_us: link.path().and_then(|path| path.rtt).map(micros),
        since_s: since.map(|at| at.elapsed().as_secs()),
        sent_bytes: traffic.bytes_sent,
        received_bytes: traffic.bytes_received,
    }
}

/// Ends the endpoint, and says so once it has ended.
pub(super) async fn stop(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    let running = endpoint.running().ok_or_else(not_up)?;
    let delivered = running.stop().await;
    session.happened(Happened::Closed { delivered }).await
}

/// Reads the configuration file again.
pub(super) async fn reload(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    let running = endpoint.running().ok_or_else(not_up)?;
    let event = running.reload().await?;
    session.happened(event).await
}

/// There is nothing to ask.
pub(crate) fn not_up() -> Failure {
    Failure::Failed("no endpoint is up on this home: start one with `telemesh up`".into())
}

//! `telemesh demo`: two endpoints on this machine show what they can do, one step after the other.
//!
//! Everything goes over UDP sockets on loopback, as between two machines. Each step is a file; [`endpoint`] and [`transfer`]
//! are what they work with, [`report`] says how they went.

mod address_change;
mod boxes;
mod chat;
mod endpoint;
mod http;
mod report;
mod requests;
mod restart;
mod router;
mod silence;
mod sock;
mod transfer;

use std::time::Duration;

use telemesh::{Invite, Link};

use crate::args::Demo;
use crate::context::Context;
use crate::failure::Failure;
use endpoint::Endpoint;
use report::{Outcome, Report};

/// No step needs nearly as long on any machine.
const STEP_LIMIT: Duration = Duration::from_secs(300);

const MIB: u64 = 1 << 20;

/// Runs all steps; fails unless every one has worked.
pub(crate) async fn run(context: &Context, options: &Demo) -> Result<(), Failure> {
    let size = options.size * MIB;
    let mut report = Report::new(&context.output);
    let mut alice = Endpoint::new().await?;
    let mut bob = Endpoint::new().await?;

    let title = "an invite links two endpoints";
    let Some(link) = report.step("link", title, linked(&alice, &bob)).await? else {
        return report.finish();
    };
    let title = format!("{} MiB each way through a stream, checked with SHA-256", options.size);
    report.step("stream", &title, both_ways(&link, &mut alice, &mut bob, size)).await?;
    report
        .step("requests", "a thousand requests, each on a channel of its own", requests::run(&link))
        .await?;
    let title = "a local port leads to the one server that was granted";
    report.step("sock", title, sock::run(&link, &alice)).await?;
    let title = "a folder over HTTP, for those who were granted it";
    report.step("thtp", title, http::folder(&alice.mesh, &link, &bob.mesh.hashname())).await?;
    report.step("ws", "messages over a WebSocket", http::messages(&alice.mesh, &link)).await?;
    report.step("chat", "two people chat and have the same history", chat::run()).await?;
    let title = "both ends change their UDP address in the middle of a transfer";
    report.step("address-change", title, address_change::run(&link, &mut alice, &bob, size)).await?;
    drop(link);
    report.step("restart", "one end dies and comes back", restart::run(&mut alice, bob)).await?;
    let title = "a router leads two endpoints to each other by their hashnames, and is needed no more";
    report.step("router", title, router::run()).await?;
    report.step("box", "a message for somebody who comes when its sender is gone", boxes::run()).await?;
    report.step("silence", "strangers get no answer, whatever they send", silence::run(&alice)).await?;
    report.finish()
}

/// Bob links to Alice with an invite of hers.
async fn linked(alice: &Endpoint, bob: &Endpoint) -> Outcome<Link> {
    let link = bob.mesh.link(alice.mesh.invite(Invite::once())?).await?;
    let path = link.path().ok_or("the link is up without a path")?.address;
    Ok((link, format!("over {path}")))
}

/// A transfer from Bob to Alice, and one from Alice to Bob.
async fn both_ways(link: &Link, alice: &mut Endpoint, bob: &mut Endpoint, size: u64) -> Outcome<()> {
    let there = transfer::run(link, &mut alice.streams, size, transfer::undisturbed).await?;
    let back_link = alice.mesh.find(&bob.mesh.hashname()).ok_or("alice has no link to bob")?;
    let back = transfer::run(&back_link, &mut bob.streams, size, transfer::undisturbed).await?;
    Ok(((), format!("{} and {} MiB/s", speed(size, there), speed(size, back))))
}

/// Whole MiB per second.
fn speed(bytes: u64, time: Duration) -> u128 {
    u128::from(bytes / MIB) * 1_000_000 / time.as_micros().max(1)
}

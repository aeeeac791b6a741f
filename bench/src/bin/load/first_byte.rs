//! How long it takes from the wish for a link until the first byte of an answer is there: at a known address, through a router with
//! keys that are known, and through a router with nothing but a hashname; and until that link has found its direct path.
//!
//! The router is a process of its own and shares a core with the endpoint that is looked for; whoever looks is new each time.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use telemesh::{IntoTarget, Link, LinkInfo, Mesh};
use telemesh_bench::cores::{self, CLIENT_CORE, SERVER_CORE};
use telemesh_bench::figures::percentile;
use tokio::sync::oneshot;

use crate::endpoint::Endpoint;
use crate::{begin, channels, options, print, tell};

/// How long a link may take to become direct.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the path in use.
const LOOK: Duration = Duration::from_micros(200);

/// Runs it all and prints a table.
pub(crate) fn run(task: &options::FirstByte) -> Result<()> {
    begin();
    let folder = tempfile::tempdir()?;
    let mut router = Endpoint::start_as(folder.path(), "127.0.0.1:0", true, true)?;
    let invite = router.invite()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell_target, told) = mpsc::channel();
    let led = invite.clone();
    let running = cores::spawn("target", SERVER_CORE, move || async move {
        let mesh = endpoint(Some(&led)).await?;
        channels::serve(&mesh)?;
        if tell_target.send(mesh).is_ok() {
            // It is over either way.
            let _ = stopped.await;
        }
        Ok(())
    })?;
    let Ok(target) = told.recv() else { return running.join() };
    let runs = task.runs;
    let measured = cores::spawn("asker", CLIENT_CORE, move || async move {
        measure(&Place { target, router: invite }, runs).await
    })?;
    let measured = measured.join();
    drop(stop);
    running.join()?;

    print(&format!(
        "| from the wish for a link, {runs} times | p50 ms | p90 ms | most ms |\n|---|---|---|---|"
    ));
    for (name, mut nanoseconds) in measured? {
        let mut at = |percent| {
            percentile(&mut nanoseconds, percent)
                .map(|time| time as f64 / 1e6)
                .context("nothing was measured")
        };
        print(&format!("| {name} | {:.2} | {:.2} | {:.2} |", at(50)?, at(90)?, at(100)?));
    }
    Ok(())
}

/// Who is looked for, and the invite of the router that leads there.
struct Place {
    target: Mesh,
    router: String,
}

/// What is measured, and its nanoseconds.
type Measured = Vec<(&'static str, Vec<u64>)>;

async fn measure(place: &Place, runs: u32) -> Result<Measured> {
    let uri = place.target.uri().to_string();
    let keys = LinkInfo::new(place.target.link_info().keys().clone())?;
    let [mut known, mut led, mut unknown, mut direct] = [const { Vec::new() }; 4];
    for run in 1..=runs {
        known.push(place.look(&uri, false).await?.first_byte);
        led.push(place.look(keys.clone(), true).await?.first_byte);
        let found = place.look(place.target.hashname(), true).await?;
        unknown.push(found.first_byte);
        direct.extend(found.direct);
        tell(&format!("run {run} of {runs}"));
    }
    Ok(vec![
        ("first byte, address and keys known", known),
        ("first byte through a router, keys known", led),
        ("first byte through a router, only the hashname known", unknown),
        ("direct, only the hashname known", direct),
    ])
}

/// Nanoseconds from the wish on.
struct Found {
    first_byte: u64,
    direct: Option<u64>,
}

impl Place {
    /// Somebody whom nobody has met looks for the target, which allows it.
    async fn look(&self, to: impl IntoTarget, through_router: bool) -> Result<Found> {
        let asker = endpoint(through_router.then_some(self.router.as_str())).await?;
        self.target.add_contact(asker.hashname())?;
        let started = Instant::now();
        let link = asker.link(to).await?;
        channels::first_echo(&link).await?;
        let first_byte = nanoseconds(started)?;
        let direct = if through_router { Some(until_direct(&link, started).await?) } else { None };
        let closed = asker.close().await;
        ensure!(closed.delivered, "the target did not confirm everything");
        self.target.forget(&asker.hashname());
        Ok(Found { first_byte, direct })
    }
}

async fn until_direct(link: &Link, started: Instant) -> Result<u64> {
    let end = Instant::now() + PATIENCE;
    while !link.path().is_some_and(|path| path.address.is_direct()) {
        ensure!(Instant::now() < end, "no direct path: {}", link.explain());
        tokio::time::sleep(LOOK).await;
    }
    nanoseconds(started)
}

fn nanoseconds(since: Instant) -> Result<u64> {
    Ok(u64::try_from(since.elapsed().as_nanos())?)
}

/// An endpoint on loopback; with an invite, led by that router.
async fn endpoint(router: Option<&str>) -> Result<Mesh> {
    let mesh = telemesh::builder(telemesh::generate_keys()?).listen("127.0.0.1:0".parse()?).create().await?;
    if let Some(invite) = router {
        mesh.link(invite).await?.router(true);
    }
    Ok(mesh)
}

//! Thousands of idle links to one endpoint: memory, CPU, time until all are up, and again after it was killed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use telemesh_bench::cores::{self, CLIENT_CORE};

use crate::crowd::{self, Crowd};
use crate::endpoint::{Endpoint, Status};
use crate::{begin, options, print, tell};

/// All links must be up within this.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs it all and prints a table.
pub(crate) fn run(task: &options::Links) -> Result<()> {
    begin();
    cores::pin(CLIENT_CORE)?;
    let folder = tempfile::tempdir()?;
    let count = usize::try_from(task.count)?;
    let mut endpoint = Endpoint::start_as(folder.path(), "127.0.0.1:0", true, task.router)?;
    let alone = endpoint.status()?;

    tell(&format!("making {count} peers"));
    let mut crowd = Crowd::new(&endpoint.uri, count, task.sockets.into())?;
    let file = folder.path().join("contacts");
    fs::write(&file, crowd.uris().collect::<Vec<_>>().join("\n"))?;
    endpoint.add_contacts(&file)?;
    fs::remove_file(&file)?;
    let known = endpoint.status()?;

    tell("they dial");
    let (started, before) = (Instant::now(), endpoint.status()?);
    crowd.dial();
    let first = until_all_are_up(&mut crowd, &mut endpoint, count, started, &before)?;
    // Confirmations and the store come to rest.
    crowd.run(Duration::from_secs(5), |_| Ok(false))?;
    let up = endpoint.status()?;

    tell(&format!("{} seconds of nothing", task.idle));
    let idling = Instant::now();
    crowd.run(Duration::from_secs(task.idle), |_| Ok(false))?;
    let idle = endpoint.status()?;
    let idle_seconds = idling.elapsed().as_secs_f64();
    ensure!(idle.links_up == count && crowd.up() == count, "only {} links are still up", idle.links_up);

    let kind = if task.router { " on one router" } else { "" };
    print(&format!("| {count} links{kind} | |\n|---|---|"));
    let per_link = |from: &Status, to: &Status| {
        to.resident_kib.saturating_sub(from.resident_kib) as f64 * 1024.0 / count as f64
    };
    print(&format!("| bytes for a contact, its link down | {:.0} |", per_link(&alone, &known)));
    print(&format!("| bytes for a contact with a link that is up and idle | {:.0} |", per_link(&alone, &up)));
    print(&format!("| the same after {} s of nothing | {:.0} |", task.idle, per_link(&alone, &idle)));
    print(&format!("| all resident, MiB | {:.1} |", idle.resident_kib as f64 / 1024.0));
    let cpu = (idle.cpu_seconds - up.cpu_seconds) * 1_000.0 / idle_seconds;
    print(&format!("| CPU while idle, ms per second, keepalives included | {cpu:.1} |"));
    print(&format!("| all up for the first time | {first} |"));

    let by_itself = Restart { folder: folder.path(), router: task.router, at_once: false };
    let again = by_itself.run(endpoint, &mut crowd, count)?;
    print(&again.line(if task.router {
        "all up again after a kill, when the router initiates to all"
    } else {
        "all up again after a kill, when the peers notice by themselves"
    }));
    let at_once = Restart { at_once: true, ..by_itself }.run(again.endpoint, &mut crowd, count)?;
    print(&at_once.line("all up again after a kill, when all dial at once"));
    Ok(())
}

/// How an endpoint came back.
struct Again {
    endpoint: Endpoint,
    /// Seconds from the start of the process until it listened with all its contacts.
    ready: f64,
    all_up: String,
    known: u64,
}

impl Again {
    fn line(&self, what: &str) -> String {
        format!(
            "| {what} | {}; {} initiations with a return tag; listening after {:.2} s |",
            self.all_up, self.known, self.ready
        )
    }
}

/// A kill and another start, with all that was stored.
#[derive(Clone, Copy)]
struct Restart<'a> {
    folder: &'a Path,
    router: bool,
    /// The peers do not wait until they notice.
    at_once: bool,
}

impl Restart<'_> {
    fn run(self, endpoint: Endpoint, crowd: &mut Crowd, count: usize) -> Result<Again> {
        tell("it is killed, and starts again");
        let listen = crowd::address(&crowd::server(&endpoint.uri)?)?.to_string();
        endpoint.kill();
        let started = Instant::now();
        let mut endpoint = Endpoint::start_as(self.folder, &listen, true, self.router)?;
        let ready = started.elapsed().as_secs_f64();
        if self.at_once {
            crowd.dial();
        }
        let all_up = until_all_are_up(crowd, &mut endpoint, count, started, &Status::default())?;
        let known = endpoint.status()?.known_initiations;
        Ok(Again { endpoint, ready, all_up, known })
    }
}

fn until_all_are_up(
    crowd: &mut Crowd,
    endpoint: &mut Endpoint,
    count: usize,
    started: Instant,
    before: &Status,
) -> Result<String> {
    let mut now = Status::default();
    let all = crowd.run(PATIENCE, |_| {
        now = endpoint.status()?;
        Ok(now.links_up == count)
    })?;
    ensure!(all, "after {PATIENCE:?} only {} links are up: dropped {:?}", now.links_up, now.dropped);
    let seconds = started.elapsed().as_secs_f64();
    let cpu = now.cpu_seconds - before.cpu_seconds;
    tell(&format!("all up after {seconds:.1} s; dropped {:?}", now.dropped_since(before)));
    Ok(format!("{seconds:.1} s, {cpu:.1} s of CPU"))
}

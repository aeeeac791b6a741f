//! Initiations that are not wanted: what each costs the endpoint, what a transfer notices, whether anything goes out or stays.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use telemesh_bench::cores::{self, CLIENT_CORE};
use telemesh_bench::figures::median;

use crate::client::Client;
use crate::crowd::Crowd;
use crate::endpoint::{Endpoint, Status};
use crate::flooder::{Flooder, KINDS, Kind};
use crate::{begin, options, print, tell};

/// What one kind did.
struct Seen {
    /// Initiations dropped.
    dropped: u64,
    /// Of those, with two Diffie-Hellman operations.
    read: u64,
    by_reason: BTreeMap<String, u64>,
    cpu_seconds: f64,
}

impl Seen {
    fn unread(&self) -> f64 {
        self.dropped.saturating_sub(self.read) as f64
    }
}

/// Runs all kinds and prints tables.
pub(crate) fn run(task: &options::Flood) -> Result<()> {
    begin();
    cores::pin(CLIENT_CORE)?;
    let folder = tempfile::tempdir()?;
    let mut endpoint = Endpoint::start(folder.path(), "127.0.0.1:0", true)?;
    let client = Client::start(&endpoint.invite()?, false)?;
    let mut contact = Crowd::new(&endpoint.uri, 1, 1)?;
    let file = folder.path().join("contacts");
    fs::write(&file, contact.uris().collect::<String>())?;
    endpoint.add_contacts(&file)?;
    contact.dial();
    ensure!(contact.run(Duration::from_secs(10), |crowd| Ok(crowd.up() == 1))?, "the contact gets no link");
    contact.run(Duration::from_secs(1), |_| Ok(false))?;

    let flooder = Flooder::new(&mut contact, &endpoint.uri, task.sockets.into())?;
    let mut load = Load { endpoint, client, flooder };
    client_warm_up(&mut load)?;
    let before = load.endpoint.status()?;
    each(&mut load, task)?;
    beside_a_transfer(&mut load, task)?;
    let after = load.endpoint.status()?;
    print(&format!(
        "\nResident before: {} KiB, after: {} KiB. Datagrams sent to the flooding addresses: {}.",
        before.resident_kib,
        after.resident_kib,
        load.flooder.replies()?
    ));
    Ok(())
}

struct Load {
    endpoint: Endpoint,
    client: Client,
    flooder: Flooder,
}

/// Buffers are made, and windows found, by transfers that nobody measures; strangers fill tables that have a limit.
fn client_warm_up(load: &mut Load) -> Result<()> {
    load.client.transfer(512)?;
    for (kind, _) in KINDS {
        load.seen(kind, 20_000, 1)?;
    }
    Ok(())
}

impl Load {
    fn seen(&mut self, kind: Kind, rate: u32, seconds: u64) -> Result<Seen> {
        let before = self.endpoint.status()?;
        let flood = self.flooder.start(kind, rate);
        thread::sleep(Duration::from_secs(seconds));
        flood.stop()?;
        // What waits in the socket is taken, too.
        thread::sleep(Duration::from_millis(200));
        Ok(seen(&before, &self.endpoint.status()?))
    }
}

fn seen(before: &Status, after: &Status) -> Seen {
    let by_reason = after.dropped_since(before);
    Seen {
        dropped: by_reason.values().sum(),
        read: by_reason.get("not trusted").copied().unwrap_or(0),
        by_reason,
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
    }
}

/// The second rate, as a multiple of the first.
const MORE: u32 = 4;

/// What each costs, while nothing else happens: at the rate, and each further one at a higher rate, when one waking of the
/// endpoint is for more of them.
fn each(load: &mut Load, task: &options::Flood) -> Result<()> {
    print(&format!(
        "| {} a second from {} addresses | dropped as | CPU ns for each | each further, up to {} a second |\n|---|---|---|---|",
        task.rate,
        task.sockets,
        task.rate * MORE
    ));
    for (kind, name) in KINDS {
        let seen = load.seen(kind, task.rate, task.seconds)?;
        let more = load.seen(kind, task.rate * MORE, task.seconds)?;
        // Strangers are read up to the same budget at both rates, so this is what one costs that is not read.
        let further = (more.cpu_seconds - seen.cpu_seconds) / (more.unread() - seen.unread()).max(1.0);
        let reasons: Vec<_> =
            seen.by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let cost = seen.cpu_seconds / seen.dropped.max(1) as f64;
        print(&format!("| {name} | {} | {:.0} | {:.0} |", reasons.join(", "), cost * 1e9, further * 1e9));
        if kind == Kind::Strangers {
            let read = (seen.cpu_seconds - seen.unread() * further) / seen.read.max(1) as f64;
            print(&format!("| of these those within the budget, which are read | | {:.0} | |", read * 1e9));
        }
    }
    Ok(())
}

/// What a transfer notices.
fn beside_a_transfer(load: &mut Load, task: &options::Flood) -> Result<()> {
    print(&format!(
        "\n| {} MiB, beside | MiB/s | x without | CPU s/GiB of the endpoint | dropped a second |\n|---|---|---|---|---|",
        task.size_mib
    ));
    let mut quiet: Vec<Transfer> = Vec::new();
    let mut rows = Vec::new();
    for (kind, name) in KINDS {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for run in 1..=task.runs {
            alone.push(transfer(load, task.size_mib)?);
            let flood = load.flooder.start(kind, task.rate);
            beside.push(transfer(load, task.size_mib)?);
            flood.stop()?;
            tell(&format!("{name}, run {run}: {:.0} MiB/s without, {:.0} with", last(&alone), last(&beside)));
        }
        let ratio = of(&beside, |one| one.mib_per_s)? / of(&alone, |one| one.mib_per_s)?;
        rows.push((name, beside, Some(ratio)));
        quiet.extend(alone);
    }
    rows.insert(0, ("nothing", quiet, None));
    for (name, transfers, ratio) in rows {
        let ratio = ratio.map_or_else(|| "1".to_owned(), |ratio| format!("{ratio:.2}"));
        print(&format!(
            "| {name} | {:.0} | {ratio} | {:.2} | {:.0} |",
            of(&transfers, |one| one.mib_per_s)?,
            of(&transfers, |one| one.cpu_per_gib)?,
            of(&transfers, |one| one.dropped_per_s)?,
        ));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Transfer {
    mib_per_s: f64,
    cpu_per_gib: f64,
    dropped_per_s: f64,
}

fn transfer(load: &mut Load, mib: u64) -> Result<Transfer> {
    let before = load.endpoint.status()?;
    let seconds = load.client.transfer(mib)?;
    let seen = seen(&before, &load.endpoint.status()?);
    Ok(Transfer {
        mib_per_s: mib as f64 / seconds,
        cpu_per_gib: seen.cpu_seconds * 1_024.0 / mib as f64,
        dropped_per_s: seen.dropped as f64 / seconds,
    })
}

fn of(transfers: &[Transfer], figure: impl Fn(&Transfer) -> f64) -> Result<f64> {
    median(&transfers.iter().map(figure).collect::<Vec<_>>()).context("no transfers")
}

fn last(transfers: &[Transfer]) -> f64 {
    transfers.last().map_or(0.0, |one| one.mib_per_s)
}

//! The process in the middle: how a measuring process has it, and the process itself.

use std::{
    iter,
    net::SocketAddr,
    sync::{Arc, OnceLock, mpsc},
};

use anyhow::{Context as _, Result, anyhow, bail};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use telemesh::{BridgeConfig, Invite, Mesh};
use telemesh_bench::child::{self, Process};

use super::plain;
use crate::{
    cores::{self, SERVER_CORE},
    machine,
    options::{MiddleTask, Way},
    peers::LOOPBACK,
};

/// Ends that one middle has, with room to spare.
const BEARERS: u32 = 100;

#[derive(Debug, Serialize, Deserialize)]
enum Question {
    Status,
    /// Packets from either of these go to the other. For the plain forwarder, which nobody tells otherwise.
    Join([SocketAddr; 2]),
}

/// What a middle says about itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) cpu_seconds: f64,
    /// Packets forwarded so far; zero where it does not count them.
    pub(super) packets: u64,
    /// Packets that found no room on the way out.
    pub(super) lost: u64,
}

/// The one of this process: a measuring process has exactly one.
struct Middle {
    process: Mutex<Option<Process>>,
    place: String,
}

static MIDDLE: OnceLock<Middle> = OnceLock::new();

/// Starts the one of this process.
pub(super) fn start(task: MiddleTask) -> Result<()> {
    let arguments = task.arguments();
    let arguments: Vec<&str> = iter::once("middle").chain(arguments.iter().map(String::as_str)).collect();
    let (process, place) = Process::start(&arguments, true)?;
    let middle = Middle { process: Mutex::new(Some(process)), place };
    MIDDLE.set(middle).map_err(|_| anyhow!("there is a middle already"))
}

/// Ends it.
pub(super) fn end() {
    if let Some(middle) = MIDDLE.get() {
        drop(middle.process.lock().take());
    }
}

/// Where it is: what the ends make of that depends on the way.
pub(super) fn place() -> Result<&'static str> {
    Ok(&MIDDLE.get().context("there is no middle")?.place)
}

pub(super) fn status() -> Result<Status> {
    ask(&Question::Status)
}

/// See [`Question::Join`].
pub(super) fn join(ends: [SocketAddr; 2]) -> Result<()> {
    ask(&Question::Join(ends)).map(drop)
}

fn ask(question: &Question) -> Result<Status> {
    let mut process: MutexGuard<'_, Option<Process>> =
        MIDDLE.get().context("there is no middle")?.process.lock();
    process.as_mut().context("the middle has ended")?.ask(question)
}

/// Runs one until its input ends.
pub(crate) fn run(task: &MiddleTask) -> Result<()> {
    let core = task.core(SERVER_CORE);
    match task.way {
        Way::Plain => {
            let plain = Arc::new(plain::Forwarder::default());
            let (forwarding, (told, place)) = (plain.clone(), mpsc::channel());
            let running = cores::spawn("middle", core, move || forwarding.run(told))?;
            let Ok(place) = place.recv() else { return running.join() };
            serve(&place.to_string(), |question| {
                if let Question::Join(ends) = question {
                    plain.join(ends);
                }
                let counts = plain.counts();
                Ok(Status { cpu_seconds: 0.0, packets: counts.packets, lost: counts.lost })
            })
        }
        Way::Router => {
            let (told, router) = mpsc::channel();
            let running = cores::spawn("middle", core, move || async move {
                let keys = telemesh::generate_keys()?;
                let router =
                    telemesh::builder(keys).listen(LOOPBACK).router(BridgeConfig::default()).create().await?;
                let invite = router.invite(Invite::once().uses(BEARERS).grant("router".parse()?))?;
                if told.send((router, invite.to_secret_string().to_string())).is_ok() {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })?;
            let Ok((router, invite)) = router.recv() else { return running.join() };
            serve(&invite, |question| routed(&router, &question))
        }
        #[cfg(feature = "iroh")]
        Way::IrohRelay => {
            let (told, relay) = mpsc::channel();
            let running = cores::spawn("middle", core, move || super::relay::relay(told))?;
            let Ok((url, metrics)) = relay.recv() else { return running.join() };
            serve(&url, |_| Ok(Status { packets: metrics(), ..Status::default() }))
        }
    }
}

fn routed(router: &Mesh, question: &Question) -> Result<Status> {
    if matches!(question, Question::Join(_)) {
        bail!("a router joins those who ask for it");
    }
    let packets = router.routing().context("it is no router")?.packets;
    let lost = router.metrics().dropped.get("blocked").copied().unwrap_or(0);
    Ok(Status { packets, lost, ..Status::default() })
}

/// Answers with what `answer` counts and with this process's CPU time, which is read last.
fn serve(place: &str, mut answer: impl FnMut(Question) -> Result<Status>) -> Result<()> {
    child::serve(place, |question| {
        let counted = answer(question)?;
        Ok(Status { cpu_seconds: machine::process_cpu_seconds(), ..counted })
    })
}

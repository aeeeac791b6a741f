//! Another ordinary endpoint, with one link to the measured one: sends requests and transfers, or behaves badly.
//!
//! Its bad behaviour runs on a thread of its own and with less priority than its requests: what is measured is what the
//! other end makes of it, not how a program that attacks slows itself down.

use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use telemesh::Link;
use telemesh_bench::cores::{self, CLIENT_CORE};
use telemesh_bench::figures::percentile;
use tokio::runtime::Handle;

use crate::channels::{self, Disturbance};
use crate::{options, priority};
use telemesh_bench::child::{self, Process};

#[derive(Debug, Serialize, Deserialize)]
enum Question {
    Requests(u32),
    Transfer { mib: u64 },
    Disturb(Vec<Disturbance>),
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Times(Times),
    Seconds(f64),
    Disturbing,
}

/// What requests took, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The parent's handle on it.
#[derive(Debug)]
pub(crate) struct Client {
    process: Process,
}

impl Client {
    /// Starts it; with `first` it goes before other clients on their core.
    pub(crate) fn start(invite: &str, first: bool) -> Result<Self> {
        let mut arguments = vec!["client", "--invite", invite];
        arguments.extend(first.then_some("--first"));
        let (process, ()) = Process::start(&arguments, true)?;
        Ok(Self { process })
    }

    /// Begins to send requests; the answer is fetched with [`Client::times`].
    pub(crate) fn begin_requests(&mut self, count: u32) -> Result<()> {
        self.process.begin(&Question::Requests(count))
    }

    pub(crate) fn times(&mut self) -> Result<Times> {
        match self.process.read()? {
            Answer::Times(times) => Ok(times),
            other => anyhow::bail!("an answer to something else: {other:?}"),
        }
    }

    /// Seconds of one transfer.
    pub(crate) fn transfer(&mut self, mib: u64) -> Result<f64> {
        match self.process.ask(&Question::Transfer { mib })? {
            Answer::Seconds(seconds) => Ok(seconds),
            other => anyhow::bail!("an answer to something else: {other:?}"),
        }
    }

    /// Behaves badly in these ways, and in no other, from now on.
    pub(crate) fn disturb(&mut self, disturbances: &[Disturbance]) -> Result<()> {
        self.process.ask::<Answer>(&Question::Disturb(disturbances.to_vec())).map(drop)
    }
}

/// Runs it until its input ends.
pub(crate) fn run(task: &options::Client) -> Result<()> {
    let (tell, told) = mpsc::channel();
    let invite = task.invite.clone();
    let first = task.first;
    let running = cores::spawn("client", CLIENT_CORE, move || async move {
        if first {
            priority::first();
        }
        let mesh =
            telemesh::builder(telemesh::generate_keys()?).listen("127.0.0.1:0".parse()?).create().await?;
        let link = mesh.link(&invite).await?;
        if tell.send((link, Handle::current())).is_ok() {
            std::future::pending::<()>().await;
        }
        drop(mesh);
        Ok(())
    })?;
    let Ok((link, runtime)) = told.recv() else { return running.join() };
    let mut badly = Badly::start(link.clone())?;
    child::serve((), |question| {
        Ok(match question {
            Question::Requests(count) => {
                // On the thread of the mesh, as in a program of one thread.
                let asked = link.clone();
                let times = runtime.spawn(async move { channels::requests(&asked, count).await });
                Answer::Times(summary(&mut runtime.block_on(times)??)?)
            }
            Question::Transfer { mib } => {
                let (asked, started) = (link.clone(), Instant::now());
                let transfer = runtime.spawn(async move { channels::transfer(&asked, mib).await });
                runtime.block_on(transfer)??;
                Answer::Seconds(started.elapsed().as_secs_f64())
            }
            Question::Disturb(disturbances) => {
                badly.set(disturbances)?;
                Answer::Disturbing
            }
        })
    })
}

fn summary(nanoseconds: &mut [u64]) -> Result<Times> {
    let mut at = |percent| {
        percentile(nanoseconds, percent).map(|time| time as f64 / 1_000.0).context("no request was answered")
    };
    Ok(Times { p50: at(50)?, p99: at(99)? })
}

/// The thread that behaves badly.
struct Badly {
    orders: tokio::sync::mpsc::UnboundedSender<Vec<Disturbance>>,
}

impl Badly {
    fn start(link: Link) -> Result<Self> {
        let (orders, mut ordered) = tokio::sync::mpsc::unbounded_channel::<Vec<Disturbance>>();
        cores::spawn("badly", CLIENT_CORE, move || async move {
            let mut running = tokio::task::JoinSet::new();
            while let Some(disturbances) = ordered.recv().await {
                running.shutdown().await;
                priority::lower(!disturbances.contains(&Disturbance::Churner));
                for disturbance in disturbances {
                    running.spawn(disturbance.run(link.clone()));
                }
            }
            Ok(())
        })?;
        Ok(Self { orders })
    }

    fn set(&mut self, disturbances: Vec<Disturbance>) -> Result<()> {
        self.orders.send(disturbances).ok().context("the thread has ended")
    }
}

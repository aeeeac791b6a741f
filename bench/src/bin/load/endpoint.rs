//! The measured process: one ordinary endpoint with its store in a file, on a core of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use telemesh::{BridgeConfig, FileStore, Invite, Link, Mesh, Policy, Standing, Verdict};
use telemesh_bench::cores::{self, SERVER_CORE};
use telemesh_bench::machine;

use crate::channels;
use crate::options;
use telemesh_bench::child::{self, Process};

/// More than any measurement has clients.
const BEARERS: u32 = 1_000;

/// What it is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Question {
    Status,
    /// Makes contacts of the URIs in a file, one in a line.
    Contacts(PathBuf),
    Invite,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Status(Status),
    Contacts,
    Invite(String),
}

/// What the process says about itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) links: usize,
    pub(crate) links_up: usize,
    /// Initiations that showed a return tag.
    pub(crate) known_initiations: u64,
    pub(crate) resident_kib: u64,
    pub(crate) cpu_seconds: f64,
    /// Packets dropped, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
}

impl Status {
    /// Packets dropped since an earlier status, by reason.
    pub(crate) fn dropped_since(&self, before: &Self) -> BTreeMap<String, u64> {
        let since = self.dropped.iter().map(|(reason, count)| {
            (reason.clone(), count - before.dropped.get(reason).copied().unwrap_or(0))
        });
        since.filter(|(_, count)| *count > 0).collect()
    }
}

/// The parent's handle on it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    process: Process,
    /// Its URI, with keys and address.
    pub(crate) uri: String,
}

impl Endpoint {
    /// Starts it with what is in the folder.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(folder: &Path, listen: &str, chatty: bool) -> Result<Self> {
        Self::start_as(folder, listen, chatty, false)
    }

    /// The same, as a router or not.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start_as(folder: &Path, listen: &str, chatty: bool, router: bool) -> Result<Self> {
        let folder = folder.to_str().context("a folder whose name is no text")?;
        let mut arguments = vec!["endpoint", "--folder", folder, "--listen", listen];
        arguments.extend(router.then_some("--router"));
        let (process, uri) = Process::start(&arguments, chatty)?;
        Ok(Self { process, uri })
    }

    pub(crate) fn status(&mut self) -> Result<Status> {
        match self.process.ask(&Question::Status)? {
            Answer::Status(status) => Ok(status),
            other => anyhow::bail!("an answer to something else: {other:?}"),
        }
    }

    pub(crate) fn add_contacts(&mut self, file: &Path) -> Result<()> {
        self.process.ask::<Answer>(&Question::Contacts(file.to_owned())).map(drop)
    }

    pub(crate) fn invite(&mut self) -> Result<String> {
        match self.process.ask(&Question::Invite)? {
            Answer::Invite(uri) => Ok(uri),
            other => anyhow::bail!("an answer to something else: {other:?}"),
        }
    }

    pub(crate) fn kill(self) {
        self.process.kill();
    }
}

/// Runs it until its input ends.
pub(crate) fn run(task: &options::Endpoint) -> Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let (folder, listen, router) = (task.folder.clone(), task.listen, task.router);
    let running = cores::spawn("endpoint", SERVER_CORE, move || async move {
        let keys = telemesh::load_or_create_keys(folder.join("home/key"))?;
        let store = FileStore::open(folder.join("home/store.redb"))?;
        let mut builder = telemesh::builder(keys).listen(listen).store(Arc::new(store)).policy(only_known());
        if router {
            builder = builder.router(BridgeConfig::default());
        }
        let mesh = builder.create().await?;
        channels::serve(&mesh)?;
        if router {
            // As the program does when it comes up: whoever was led by it is led again in seconds.
            mesh.links().iter().for_each(Link::connect);
        }
        if tell.send((mesh, tokio::runtime::Handle::current())).is_ok() {
            std::future::pending::<()>().await;
        }
        Ok(())
    })?;
    let Ok((mesh, runtime)) = told.recv() else { return running.join() };
    child::serve(mesh.uri().to_string(), |question| answer(&mesh, &runtime, question))
}

/// What is the default: said here because floods are measured against it.
fn only_known() -> impl Policy {
    |claim: &telemesh::Claim<'_>| match claim.standing {
        Standing::Contact | Standing::Invited => Verdict::Accept,
        _ => Verdict::Ignore,
    }
}

fn answer(mesh: &Mesh, runtime: &tokio::runtime::Handle, question: Question) -> Result<Answer> {
    Ok(match question {
        Question::Status => {
            let metrics = mesh.metrics();
            Answer::Status(Status {
                links: metrics.links,
                links_up: metrics.links_up,
                known_initiations: metrics.known_initiations,
                resident_kib: machine::resident_kib()?,
                cpu_seconds: machine::process_cpu_seconds(),
                dropped: metrics.dropped,
            })
        }
        Question::Contacts(file) => {
            for line in fs::read_to_string(file)?.lines() {
                let peer = mesh.add_contact(line)?.hashname();
                if mesh.routing().is_none() {
                    continue;
                }
                let contact = mesh.contact(&peer).context("a contact")?;
                let mut grants = contact.grants().clone();
                grants.insert("router".parse()?)?;
                mesh.set_contact(contact.with_grants(grants))?;
            }
            runtime.block_on(mesh.saved())?;
            Answer::Contacts
        }
        Question::Invite => {
            let invite = mesh.invite(Invite::once().uses(BEARERS).grant("router".parse()?))?;
            Answer::Invite(invite.to_secret_string().to_string())
        }
    })
}

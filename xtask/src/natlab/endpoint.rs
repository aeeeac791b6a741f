//! The real program in a namespace: an endpoint with a home folder of its own, and the commands that ask it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::namespace::{Namespace, Running};

/// How long an endpoint may take to say that it is ready.
const START: Duration = Duration::from_secs(60);

/// Who somebody is, before it runs.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: &'static str,
    program: PathBuf,
    home: PathBuf,
    pub(super) hashname: String,
    /// Keys as link JSON; no paths, since it does not run yet.
    link: Value,
    /// Sections of its configuration that the lab does not write by itself.
    settings: String,
}

/// Whom an endpoint knows from its start.
#[derive(Debug)]
pub(super) struct Contact<'a> {
    pub(super) who: &'a Identity,
    /// Where it is, if that is known. Otherwise only who it is.
    pub(super) paths: Vec<String>,
    pub(super) grants: &'a [&'a str],
    /// It is a router of ours.
    pub(super) router: bool,
    /// Nothing but the hashname is known, not even the keys.
    pub(super) by_name: bool,
}

/// An endpoint that runs.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) identity: Identity,
    namespace: String,
    /// Killed without a word when dropped, as by a power cut.
    _running: Running,
}

/// A path as `explain` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Used {
    /// Nothing works.
    Nothing,
    /// From endpoint to endpoint.
    Direct(String),
    /// Through a router.
    Circuit,
}

impl<'a> Contact<'a> {
    /// Somebody of whom only the keys are known.
    pub(super) fn known(who: &'a Identity, grants: &'a [&'a str]) -> Self {
        Self { who, paths: Vec::new(), grants, router: false, by_name: false }
    }

    /// A router of ours, at these addresses.
    pub(super) fn way(who: &'a Identity, paths: &[String]) -> Self {
        Self { who, paths: paths.to_vec(), grants: &["link"], router: true, by_name: false }
    }
}

impl Identity {
    /// New keys in a folder below `folder`.
    pub(super) fn new(program: &Path, folder: &Path, name: &'static str) -> Result<Self> {
        let home = folder.join(name);
        let (program, home) = (program.to_owned(), home);
        let mut identity =
            Self { name, program, home, hashname: String::new(), link: Value::Null, settings: String::new() };
        let told = identity.tell(None, &["id"])?;
        let id = told.first().context("`id` says nothing")?;
        identity.hashname = id["hashname"].as_str().context("no hashname")?.to_owned();
        identity.link = id["link"].clone();
        Ok(identity)
    }

    /// The same with these sections in its configuration.
    pub(super) fn with_settings(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.settings);
        self
    }

    /// Starts the endpoint with these contacts, and waits until it is ready.
    pub(super) fn up(
        &self,
        namespace: &Namespace,
        listen: &str,
        router: bool,
        contacts: &[Contact<'_>],
    ) -> Result<Endpoint> {
        let mut text = format!("router = {router}\n");
        if !listen.is_empty() {
            text.push_str(&format!("listen = [{listen}]\n"));
        }
        for contact in contacts {
            let mut link = contact.who.link.clone();
            if contact.by_name {
                link = Value::from(contact.who.hashname.as_str());
            } else if !contact.paths.is_empty() {
                let paths: Result<Vec<Value>> = contact.paths.iter().map(|path| address(path)).collect();
                link["paths"] = Value::Array(paths?);
            }
            let grants: Vec<String> = contact.grants.iter().map(|grant| format!("{grant:?}")).collect();
            let link = link.as_str().map_or_else(|| link.to_string(), ToOwned::to_owned);
            text.push_str(&format!(
                "[contacts.{}]\nlink = '{link}'\ngrants = [{}]\nrouter = {}\n",
                contact.who.name,
                grants.join(", "),
                contact.router
            ));
        }
        text.push_str(&self.settings);
        fs::write(self.home.join("telemesh.toml"), text)?;
        self.start(namespace)
    }

    /// Starts it with what it had before.
    pub(super) fn start(&self, namespace: &Namespace) -> Result<Endpoint> {
        let log = fs::File::create(self.home.join("log"))?;
        let mut command = namespace.command(&self.program);
        command.arg("--home").arg(&self.home).args(["--json", "--log", LOG, "up"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut running = Running(command.spawn()?);
        let output = running.0.stdout.take().context("no standard output")?;
        let ready = lines(output);
        let line = ready.recv_timeout(START).ok().filter(|line| line.contains("\"ready\""));
        let complaint = || fs::read_to_string(self.home.join("log")).unwrap_or_default();
        ensure!(line.is_some(), "{} does not come up: {}", self.name, complaint());
        Ok(Endpoint { identity: self.clone(), namespace: namespace.name().to_owned(), _running: running })
    }

    /// Runs a command, and returns what it tells.
    fn tell(&self, namespace: Option<&str>, arguments: &[&str]) -> Result<Vec<Value>> {
        let output = self.command(namespace, arguments).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let told: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if !output.status.success() && told.iter().all(|value| value["error"].is_string()) {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{}: `telemesh {}` failed: {complaint}", self.name, arguments.join(" "));
        }
        Ok(told)
    }

    fn command(&self, namespace: Option<&str>, arguments: &[&str]) -> std::process::Command {
        let mut command = match namespace {
            Some(name) => {
                let mut command = std::process::Command::new("ip");
                command.args(["netns", "exec", name]).arg(&self.program);
                command
            }
            None => std::process::Command::new(&self.program),
        };
        command.arg("--home").arg(&self.home).args(["--json"]).args(arguments);
        command
    }
}

impl Endpoint {
    /// Makes the link to a contact come up, and waits for an answer over it.
    pub(super) fn ping(&self, peer: &Identity, limit: Duration) -> Result<()> {
        let limit = limit.as_secs().max(1).to_string();
        let told = self.tell(&["ping", peer.name, "-n", "1", "--timeout", &limit])?;
        ensure!(!told.is_empty(), "no answer from {}", peer.name);
        Ok(())
    }

    /// Which path the link to a contact uses now.
    pub(super) fn used(&self, peer: &Identity) -> Result<Used> {
        let told = self.tell(&["explain", peer.name])?;
        let paths = told.first().and_then(|explain| explain["paths"].as_array()).cloned().unwrap_or_default();
        let used = paths.iter().find(|path| path["in_use"] == true).and_then(|path| path["path"].as_str());
        Ok(match used {
            None => Used::Nothing,
            Some(path) if path.starts_with("peer:") => Used::Circuit,
            Some(path) => Used::Direct(path.to_owned()),
        })
    }

    /// What one of doctor's checks says.
    pub(super) fn doctor(&self, check: &str) -> Result<Value> {
        // Some other check may fail here, which is none of the lab's business.
        let output =
            self.identity.command(Some(&self.namespace), &["doctor"]).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut checks = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        checks
            .find(|one| one["check"] == check)
            .with_context(|| format!("doctor says nothing about {check}: {text}"))
    }

    /// Ends it in order.
    pub(super) fn stop(&self) -> Result<()> {
        self.tell(&["stop"]).map(drop)
    }

    /// What `explain` says of the many ports that were tried.
    pub(super) fn birthday(&self, peer: &Identity) -> Result<Option<String>> {
        let told = self.tell(&["explain", peer.name])?;
        Ok(told.first().and_then(|explain| explain["birthday"].as_str()).map(ToOwned::to_owned))
    }

    /// All that `explain` says, for a report about what went wrong.
    pub(super) fn explanation(&self, peer: &Identity) -> String {
        let told = self.tell(&["explain", peer.name]);
        told.map_or_else(|error| error.to_string(), |told| Value::from(told).to_string())
    }

    /// A pipe to somebody who waits with [`Endpoint::wait_for_pipe`]: what is written into it arrives there.
    pub(super) fn pipe(&self, peer: &Identity) -> Result<(Running, ChildStdin)> {
        let mut command = self.identity.command(Some(&self.namespace), &["pipe", peer.name]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn()?);
        let input = running.0.stdin.take().context("no standard input")?;
        Ok((running, input))
    }

    /// Forwards a port of its own to one of somebody's; where it listens.
    pub(super) fn forward(&self, peer: &Identity, port: &str) -> Result<(Running, String)> {
        let mut command = self.identity.command(Some(&self.namespace), &["forward", peer.name, "0", port]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running(command.spawn()?);
        let told = lines(running.0.stdout.take().context("no standard output")?);
        loop {
            let line = told.recv_timeout(START).context("`forward` does not listen")?;
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if let (Some("forwarding"), Some(listen)) = (said["event"].as_str(), said["listen"].as_str()) {
                return Ok((running, listen.to_owned()));
            }
        }
    }

    /// Waits for a pipe of somebody's.
    pub(super) fn wait_for_pipe(&self) -> Result<(Running, ChildStdout)> {
        let mut command = self.identity.command(Some(&self.namespace), &["pipe"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(command.spawn()?);
        let output = running.0.stdout.take().context("no standard output")?;
        let errors = lines(running.0.stderr.take().context("no standard error")?);
        let ready = errors.recv_timeout(START).context("`pipe` does not wait")?;
        ensure!(ready.contains("\"ready\""), "`pipe` does not wait: {ready}");
        Ok((running, output))
    }

    fn tell(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        self.identity.tell(Some(&self.namespace), arguments)
    }
}

/// What endpoints log, for whoever looks into a folder that was kept.
const LOG: &str = "info";

/// Lines as they come, read to the end so that the writer never blocks.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody may listen any more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// `192.0.2.1:42424`, or `quic:192.0.2.1:443`, as link JSON has it.
fn address(text: &str) -> Result<Value> {
    let (quic, text) = text.strip_prefix("quic:").map_or((false, text), |rest| (true, rest));
    let address: std::net::SocketAddr = text.parse()?;
    let kind = match (quic, address.is_ipv4()) {
        (true, _) => "quic",
        (false, true) => "udp4",
        (false, false) => "udp6",
    };
    Ok(serde_json::json!({ "type": kind, "ip": address.ip().to_string(), "port": address.port() }))
}

//! Two endpoints that are up and know each other, and the commands between them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Alice has the servers, Bob the clients. Everything ends when this is dropped.
pub(super) struct Endpoints {
    program: PathBuf,
    pub(super) folder: PathBuf,
    bob: String,
    grants: Vec<String>,
    running: Vec<Running>,
}

/// A process that is killed when it is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a program whose output nobody needs.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("{command:?}"))?))
    }
}

/// Runs a program to its end, and gives what it has said.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} has failed: {said}{errors}");
    Ok(said.into_owned())
}

impl Endpoints {
    pub(super) fn start(root: &Path) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = std::env::temp_dir().join(format!("telemesh-services-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let program = target.join("release/telemesh");
        let mut endpoints =
            Self { program, folder, bob: String::new(), grants: Vec::new(), running: Vec::new() };
        for who in ["alice", "bob"] {
            endpoints.begin(who, &["up", "--listen", "127.0.0.1:0"], "ready")?;
        }
        let invited = endpoints.ask("alice", &["invite", "--name", "bob"])?;
        let invite = invited["invite"].as_str().context("no invite")?.to_owned();
        endpoints.ask("bob", &["accept", &invite, "--as", "alice"])?;
        let bob = endpoints.ask("bob", &["id"])?;
        bob["hashname"].as_str().context("no hashname")?.clone_into(&mut endpoints.bob);
        Ok(endpoints)
    }

    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--json", "--home"]).arg(self.folder.join(who)).args(arguments);
        command
    }

    /// Runs a command to its end, and gives the first object that it has said.
    pub(super) fn ask(&self, who: &str, arguments: &[&str]) -> Result<Value> {
        let said = output(&mut self.command(who, arguments))?;
        Ok(serde_json::from_str(said.lines().next().unwrap_or("null"))?)
    }

    /// Starts a command that goes on, and gives this event of it.
    fn begin(&mut self, who: &str, arguments: &[&str], event: &str) -> Result<Value> {
        let mut command = self.command(who, arguments);
        let mut child = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(child.0.stdout.take().context("no output")?);
        let mut line = String::new();
        loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("{command:?} has ended");
            }
            let said: Value = serde_json::from_str(&line)?;
            if said["event"] == event {
                // Read on, or the program would wait when the pipe is full.
                std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
                self.running.push(child);
                return Ok(said);
            }
        }
    }

    /// Grants Bob something more.
    pub(super) fn grant(&mut self, grant: String) -> Result<()> {
        self.grants.push(grant);
        let mut arguments = vec!["contacts", "add", "bob", &self.bob];
        for grant in &self.grants {
            arguments.extend(["--grant", grant]);
        }
        self.ask("alice", &arguments).map(drop)
    }

    /// Bob's `forward` to Alice, and the port at which it listens.
    pub(super) fn forward(&mut self, remote: &str, options: &[&str]) -> Result<u16> {
        let arguments = [&["forward", "alice", "0", remote], options].concat();
        port(&self.begin("bob", &arguments, "forwarding")?)
    }

    /// Bob's `forward -R`: Alice listens.
    pub(super) fn reverse(&mut self, local: &str, remote: &str) -> Result<()> {
        self.begin("bob", &["forward", "alice", local, remote, "-R"], "forwarding").map(drop)
    }

    /// Bob's `socks`, and the port at which it listens.
    pub(super) fn socks(&mut self) -> Result<u16> {
        port(&self.begin("bob", &["socks", "alice", "--listen", "127.0.0.1:0"], "socks")?)
    }
}

fn port(said: &Value) -> Result<u16> {
    let listen = said["listen"].as_str().context("no address")?;
    Ok(listen.parse::<std::net::SocketAddr>()?.port())
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.running.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

//! Two endpoints that are up and know each other, and the commands between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::process::{Running, output};

/// Alice has the servers, Bob the clients. Everything ends when this is dropped.
pub(super) struct Endpoints {
    program: PathBuf,
    pub(super) folder: PathBuf,
    bob: String,
    grants: Vec<String>,
    running: Vec<Running>,
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
        let (running, said) = Running::until(&mut self.command(who, arguments), event)?;
        self.running.push(running);
        Ok(said)
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

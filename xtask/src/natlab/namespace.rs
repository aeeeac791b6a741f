//! One network namespace: made, told, run programs in, removed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A network of its own, with its interfaces, routes, addresses and NAT. Removed when dropped.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, with nothing in it but a loopback device.
    pub(super) fn new(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let made = Self { name };
        made.ip("link set lo up")?;
        // Nobody has an address twice here, and finding that out would leave new interfaces without IPv6 for seconds.
        made.set(&[
            ("net/ipv6/conf/all/accept_dad", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            // Or the first address of a network would take the others along when it goes.
            ("net/ipv4/conf/all/promote_secondaries", "1"),
        ])?;
        Ok(made)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines as `ip` takes them, one after the other.
    pub(super) fn ip(&self, lines: &str) -> Result<()> {
        run(Command::new("ip").args(["-netns", &self.name, "-batch", "-"]), lines)
    }

    /// Loads a set of rules as `nft` takes it.
    pub(super) fn nft(&self, rules: &str) -> Result<()> {
        let mut command = self.command(Path::new("nft"));
        run(command.args(["-f", "-"]), rules)
    }

    /// Writes kernel settings: `net/ipv4/ip_forward` and a value.
    pub(super) fn set(&self, settings: &[(&str, &str)]) -> Result<()> {
        let mut script = String::new();
        for (name, value) in settings {
            writeln!(script, "echo {value} > /proc/sys/{name}")?;
        }
        run(self.command(Path::new("sh")).arg("-e"), &script)
    }

    /// Forgets every connection that NAT and firewall know.
    pub(super) fn forget_connections(&self) -> Result<()> {
        let mut command = self.command(Path::new("conntrack"));
        let output = command.arg("-F").output().context("starting `conntrack`")?;
        ensure!(
            output.status.success(),
            "`conntrack -F` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// A command that runs in here.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// A program that is killed when it is not needed any more.
#[derive(Debug)]
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command with this on its standard input.
fn run(command: &mut Command, input: &str) -> Result<()> {
    let told = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {told}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told} failed: {complaint}\n{input}");
    Ok(())
}

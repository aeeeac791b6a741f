//! One network namespace: made, told, run programs in, removed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
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

    /// The first IPv4 address of an interface.
    pub(super) fn address_of(&self, interface: &str) -> Result<Ipv4Addr> {
        let arguments = ["-netns", &self.name, "-o", "-4", "address", "show", "dev", interface];
        let told = told(Command::new("ip").args(arguments))?;
        let address = told.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        let address = address.and_then(|address| address.split('/').next());
        address.with_context(|| format!("{interface} has no address"))?.parse().context("no address")
    }

    /// Packets that an interface has sent so far.
    pub(super) fn packets_sent(&self, interface: &str) -> Result<u64> {
        let file = format!("/sys/class/net/{interface}/statistics/tx_packets");
        let told = told(self.command(Path::new("cat")).arg(file))?;
        told.trim().parse().context("no number of packets")
    }

    /// What `nft` says of a counter.
    pub(super) fn counter(&self, table: &str, name: &str) -> Result<String> {
        told(self.command(Path::new("nft")).args(["list", "counter", "inet", table, name]))
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

/// What a command prints.
fn told(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
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

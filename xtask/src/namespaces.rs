//! The real program between two network namespaces: over IPv4 and IPv6, on a path of 1,280 bytes, and with a stranger who
//! tries everything; and endpoints that find each other by multicast. The kernel's own counters say what was sent, so nothing has to be captured.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

mod discovery;

/// Bytes that go through the pipe in each check: enough for path-MTU discovery and many batches.
const SIZE: usize = 24 << 20;

/// How long the stranger listens for an answer, longer than any timer with which an endpoint might answer late.
const SILENCE: Duration = Duration::from_secs(2);

/// How long one transfer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Why this cannot run here.
pub(crate) fn idle() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("network namespaces are Linux's".to_owned());
    }
    let name = format!("telemesh-try-{}", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
    match made {
        Ok(status) if status.success() => {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
            None
        }
        Ok(_) => Some("network namespaces cannot be made here: that takes root".to_owned()),
        Err(_) => Some("there is no `ip` here (package iproute2)".to_owned()),
    }
}

/// Runs all checks.
///
/// # Errors
/// When one fails, or the namespaces cannot be made.
pub(crate) fn run(program: Option<&str>) -> Result<()> {
    if let Some(reason) = idle() {
        bail!("{reason}");
    }
    let program = match program {
        Some(program) => fs::canonicalize(program).with_context(|| format!("there is no {program}"))?,
        None => build()?,
    };
    let lab = Lab::new()?;
    for (what, listen, mtu) in [
        ("IPv4", "10.99.0.1:0", 1_500),
        ("IPv6", "[fd99::1]:0", 1_500),
        ("IPv4 on a path of 1,280 bytes", "10.99.0.1:0", 1_280),
        ("IPv6 on a path of 1,280 bytes", "[fd99::1]:0", 1_280),
    ] {
        lab.set_mtu(mtu)?;
        let took = lab.pipe(&program, listen).with_context(|| format!("over {what}"))?;
        println!("pipe over {what}: {} MiB, equal, {:.1} s", SIZE >> 20, took.as_secs_f64());
    }
    lab.set_mtu(1_500)?;
    lab.silence(&program)?;
    lab.discovery(&program)
}

/// Builds the program, and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let root = workspace::root()?;
    workspace::run(&root, "cargo build --release --package telemesh-cli")?;
    let program = root.join("target/release/telemesh");
    Ok(if program.exists() { program } else { target_folder().join("release/telemesh") })
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// Two namespaces joined by a pair of virtual Ethernet devices. Removed when dropped.
struct Lab {
    names: [String; 2],
    folder: PathBuf,
}

impl Lab {
    fn new() -> Result<Self> {
        let id = std::process::id();
        let names = ["a", "b"].map(|side| format!("telemesh-{side}-{id}"));
        let folder = std::env::temp_dir().join(format!("telemesh-namespaces-{id}"));
        fs::create_dir_all(&folder)?;
        let lab = Self { names, folder };
        let [a, b] = &lab.names;
        for name in &lab.names {
            ip(&format!("netns add {name}"))?;
        }
        ip(&format!("link add veth0 netns {a} type veth peer name veth0 netns {b}"))?;
        for (number, name) in [(1, a), (2, b)] {
            ip(&format!("-n {name} address add 10.99.0.{number}/24 dev veth0"))?;
            ip(&format!("-n {name} address add fd99::{number}/64 dev veth0 nodad"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set veth0 up"))?;
        }
        Ok(lab)
    }

    fn set_mtu(&self, mtu: u32) -> Result<()> {
        self.names.iter().try_for_each(|name| ip(&format!("-n {name} link set veth0 mtu {mtu}")))
    }

    /// A command that runs in one of the namespaces.
    fn command(&self, side: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[side]]).arg(program);
        command
    }

    /// A waiting `telemesh pipe` in the first namespace, with its invite.
    fn waiting(&self, program: &Path, listen: &str, input: Stdio) -> Result<(Running, String)> {
        let mut command = self.command(0, program);
        command.args(["--json", "pipe", "--listen", listen]);
        let mut child = Running(command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        let errors = child.0.stderr.take().context("the program has no standard error")?;
        let mut lines = BufReader::new(errors);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 && !line.contains("\"ready\"") {
            line.clear();
        }
        let event: serde_json::Value = serde_json::from_str(&line).context("the program is not ready")?;
        let invite = event["invite"].as_str().context("no invite in the ready event")?.to_owned();
        // Read on, or the program would block when the pipe is full.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Ok((child, invite))
    }

    /// Sends a file from the first namespace to the second.
    fn pipe(&self, program: &Path, listen: &str) -> Result<Duration> {
        let (source, copy) = (self.folder.join("source"), self.folder.join("copy"));
        let bytes: Vec<u8> =
            (0..SIZE as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        fs::write(&source, &bytes)?;
        let (mut sender, invite) = self.waiting(program, listen, fs::File::open(&source)?.into())?;
        let started = Instant::now();
        let mut command = self.command(1, program);
        command.args(["--quiet", "pipe", &invite]).stdin(Stdio::null()).stdout(fs::File::create(&copy)?);
        let mut receiver = Running(command.spawn()?);
        receiver.wait("the receiver")?;
        sender.wait("the sender")?;
        ensure!(fs::read(&copy)? == bytes, "the copy differs");
        Ok(started.elapsed())
    }

    /// A stranger in the second namespace tries everything on an endpoint in the first, which sends nothing; then the bearer
    /// of an invite sends what looks the same from outside, and is answered.
    fn silence(&self, program: &Path) -> Result<()> {
        let (mut endpoint, invite) = self.waiting(program, "10.99.0.1:0", Stdio::null())?;
        let uri = invite.split('#').next().unwrap_or_default();
        let before = self.udp_counters()?;

        let own = std::env::current_exe()?;
        let mut stranger = self.command(1, &own);
        let stranger = stranger.args(["stranger", &address_in(uri)?]).status()?;
        ensure!(stranger.success(), "the stranger got an answer");
        // Somebody who has the keys and no trust: the same URI without its secret.
        let mut untrusted = self.command(1, program);
        untrusted
            .args(["--quiet", "ping", "--timeout", "3", uri])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ensure!(!untrusted.stdin(Stdio::null()).status()?.success(), "an endpoint without trust was let in");

        let after = self.udp_counters()?;
        ensure!(after.received > before.received + 100, "the endpoint did not even get the packets");
        ensure!(after.sent == before.sent, "{} packets were sent to strangers", after.sent - before.sent);
        println!("silence: {} packets from strangers, none sent back", after.received - before.received);

        let mut bearer = self.command(1, program);
        bearer.args(["--quiet", "pipe", &invite]).stdin(Stdio::null()).stdout(Stdio::null());
        Running(bearer.spawn()?).wait("the bearer of the invite")?;
        endpoint.wait("the endpoint")?;
        ensure!(self.udp_counters()?.sent > after.sent, "the bearer of the invite was not answered");
        println!("silence: the bearer of an invite was answered");
        Ok(())
    }

    /// What UDP has counted in the first namespace, over IPv4.
    fn udp_counters(&self) -> Result<Counters> {
        let output = self.command(0, Path::new("cat")).arg("/proc/net/snmp").output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = lines.next().zip(lines.next()).context("no UDP counters")?;
        let value = |name| {
            let found =
                names.split_whitespace().zip(values.split_whitespace()).find(|(known, _)| *known == name);
            found
                .and_then(|(_, value)| value.parse::<u64>().ok())
                .with_context(|| format!("no counter {name}"))
        };
        Ok(Counters { received: value("InDatagrams")?, sent: value("OutDatagrams")? })
    }
}

struct Counters {
    received: u64,
    sent: u64,
}

/// The endpoint's first UDP address in a link URI, as `host:port`.
fn address_in(uri: &str) -> Result<String> {
    let after = uri.split("udp:").nth(1).with_context(|| format!("no address in `{uri}`"))?;
    let address = after.split([',', '&']).next().unwrap_or_default();
    ensure!(address.parse::<SocketAddr>().is_ok(), "no address in `{uri}`");
    Ok(address.to_owned())
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns delete {name}"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that is killed when it is not waited for.
struct Running(Child);

impl Running {
    fn wait(&mut self, who: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "{who} failed: {status}");
                return Ok(());
            }
            ensure!(started.elapsed() < LIMIT, "{who} did not end within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split_whitespace()).status()?;
    ensure!(status.success(), "`ip {arguments}` failed");
    Ok(())
}

/// What the stranger does, in a process of its own inside a namespace: packets of every type and of many sizes.
///
/// # Errors
/// When anything comes back. With `asks` it only asks the network who is there.
pub(crate) fn stranger(target: &str) -> Result<()> {
    if target == "asks" {
        return discovery::ask();
    }
    let target: SocketAddr = target.parse()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for kind in 0..=255u8 {
        for size in [0, 1, 4, 16, 31, 32, 33, 148, 1_199, 1_200, 1_201, 1_452] {
            let mut packet: Vec<u8> = (0..size)
                .map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    noise.to_le_bytes()[0]
                })
                .collect();
            packet.iter_mut().zip([kind, 0, 0, 0]).for_each(|(byte, value)| *byte = value);
            socket.send_to(&packet, target)?;
        }
        // Slow enough for the receive buffer, so that every packet is seen.
        std::thread::sleep(Duration::from_millis(2));
    }
    socket.send_to(&[4; 65_507], target)?;
    socket.set_read_timeout(Some(SILENCE))?;
    match socket.recv_from(&mut [0; 2_048]) {
        Ok((size, from)) => bail!("{size} bytes came back from {from}"),
        Err(_) => Ok(()),
    }
}

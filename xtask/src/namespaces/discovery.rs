//! Finding each other by real multicast, with nothing but the two machines on the network: no router, no internet.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{LIMIT, Lab, Running};

/// The groups and the port of multicast DNS.
const GROUP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);

/// The second namespace, from which is asked.
const ASKER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// Longer than the longest pause between two announcements (16 s).
const PAUSE: Duration = Duration::from_secs(20);

/// How long the discover mode is that must end by itself.
const MODE: Duration = Duration::from_secs(4);

/// An endpoint that is up.
struct Up {
    _program: Running,
    events: Receiver<Value>,
}

impl Up {
    /// Waits for an event.
    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).with_context(|| format!("{what} does not come"))?;
            if is_it(&event) {
                return Ok(event);
            }
        }
    }

    fn wait_discovered(&self, who: &str, via: &str) -> Result<Value> {
        self.wait_for(&format!("{who}, noticed by {via}"), |event| {
            event["event"] == "discovered" && event["hashname"] == who && event["via"] == via
        })
    }

    fn wait_linked(&self, who: &str) -> Result<Value> {
        self.wait_for(&format!("the link with {who}"), |event| {
            event["event"] == "link" && event["state"] == "up" && event["hashname"] == who
        })
    }
}

impl Lab {
    /// All about discovery.
    pub(super) fn discovery(&self, program: &Path) -> Result<()> {
        let id = |side, name| self.hashname(program, side, name);
        let (alice, bob, carol) = (id(0, "alice")?, id(1, "bob")?, id(1, "carol")?);
        // They know of each other who they are, and nothing else.
        self.telemesh(program, 0, "alice", &format!("contacts add bob {bob}"))?;
        self.telemesh(program, 1, "bob", &format!("contacts add alice {alice}"))?;

        let before = self.all_sent()?;
        let alice_up = self.up(program, 0, "alice", "")?;
        let carol_up = self.up(program, 1, "carol", "--discover=forever")?;
        alice_up.wait_discovered(&carol, "network")?;
        let own = std::env::current_exe()?;
        let asked = self.command(1, &own).args(["stranger", "asks"]).status()?;
        ensure!(asked.success(), "nobody could be asked");
        let sent = self.all_sent()? - before;
        ensure!(sent == 0, "{sent} packets were sent by an endpoint that only listens");
        println!("discovery: a stranger was heard and many questions were not answered, nothing was sent");

        let bob_up = self.up(program, 1, "bob", "--discover=1m")?;
        let path = alice_up.wait_linked(&bob)?["path"].clone();
        bob_up.wait_linked(&alice)?;
        println!("discovery: two contacts have linked who knew only each other's hashname, over {path}");

        let added = self.telemesh(program, 0, "alice", &format!("contacts add carol {carol}"))?;
        ensure!(added["state"] != "unresolved", "nothing is known of who was heard: {added}");
        carol_up.wait_discovered(&alice, "request")?;
        self.telemesh(program, 1, "carol", &format!("contacts add alice {alice}"))?;
        alice_up.wait_linked(&carol)?;
        println!("discovery: a stranger became a contact by its hashname alone, and has linked");
        drop((alice_up, bob_up, carol_up));
        self.ends_by_itself(program)
    }

    /// Discover mode sends while it lasts and then no more.
    fn ends_by_itself(&self, program: &Path) -> Result<()> {
        let before = self.all_sent()?;
        let up = self.up(program, 0, "dave", &format!("--discover={}s", MODE.as_secs()))?;
        std::thread::sleep(MODE + Duration::from_secs(2));
        let during = self.all_sent()?;
        ensure!(during > before, "nothing was announced in discover mode");
        let asked = self.command(1, &std::env::current_exe()?).args(["stranger", "asks"]).status()?;
        ensure!(asked.success(), "nobody could be asked");
        std::thread::sleep(PAUSE);
        let after = self.all_sent()?;
        ensure!(after == during, "{} packets were sent after discover mode", after - during);
        drop(up);
        println!(
            "discovery: {} packets in discover mode, which ended by itself; none after it",
            during - before
        );
        Ok(())
    }

    /// UDP packets that were sent in the first namespace, over IPv4 and IPv6, to whomever.
    fn all_sent(&self) -> Result<u64> {
        let output = self.command(0, Path::new("cat")).arg("/proc/net/snmp6").output()?;
        let text = String::from_utf8(output.stdout)?;
        let v6 =
            text.lines().find_map(|line| line.strip_prefix("Udp6OutDatagrams")?.trim().parse::<u64>().ok());
        Ok(self.udp_counters()?.sent + v6.context("no IPv6 counters")?)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn up(&self, program: &Path, side: usize, name: &str, options: &str) -> Result<Up> {
        let mut command = self.command(side, program);
        command.arg("--home").arg(self.home(name)).args(["--json", "up"]).args(options.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = Running(command.spawn()?);
        let output = program.0.stdout.take().context("the program has no standard output")?;
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Whoever waited may have gone.
                let _ = serde_json::from_str(&line).map(|event| sender.send(event));
            }
        });
        let up = Up { _program: program, events };
        up.wait_for(&format!("{name}, ready"), |event| event["event"] == "ready")?;
        Ok(up)
    }

    /// Runs a command to its end, and gives the first thing it says.
    fn telemesh(&self, program: &Path, side: usize, name: &str, command: &str) -> Result<Value> {
        let mut run = self.command(side, program);
        run.arg("--home").arg(self.home(name)).arg("--json").args(command.split_whitespace());
        let output = run.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("`telemesh {command}` failed: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(said.lines().next().map(serde_json::from_str).transpose()?.unwrap_or_default())
    }

    fn hashname(&self, program: &Path, side: usize, name: &str) -> Result<String> {
        let id = self.telemesh(program, side, name, "id")?;
        Ok(id["hashname"].as_str().context("no hashname")?.to_owned())
    }
}

/// Asks the network who is there, in a process of its own inside a namespace: in order and in every other way, again and again.
///
/// # Errors
/// When there is no network.
pub(super) fn ask() -> Result<()> {
    // With its address the network is named as well: there is no route to a group otherwise.
    let socket = UdpSocket::bind((ASKER, 0))?;
    let name = b"\x09_telemesh\x04_udp\x05local\0";
    for round in 0..100_u8 {
        for (questions, flags) in [(1, 0), (1, 0x80), (2, 0), (0xff, 0)] {
            let mut packet = vec![0, round, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0];
            packet.extend_from_slice(name);
            // A pointer, any type, and by turns the wish for an answer to ourselves alone.
            packet.extend_from_slice(&[0, 0xff, if round % 2 == 0 { 0x80 } else { 0 }, 1]);
            socket.send_to(&packet, GROUP)?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

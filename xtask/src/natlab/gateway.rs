//! A box that lets itself be asked for a way in: NAT-PMP (RFC 6886) towards the home, and rules for the kernel's NAT. What speaks is a
//! process of this very program in the box.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result, ensure};

use super::namespace::Running;
use super::world::Home;
use crate::workspace;

/// Where RFC 6886 has gateways listen.
const PORT: u16 = 5_351;

/// The box's own address in its home.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// One of a home's box.
#[derive(Debug)]
pub(super) struct Gateway {
    _running: Running,
    said: Receiver<String>,
}

impl Gateway {
    /// The box can be asked from now on.
    pub(super) fn new(home: &Home) -> Result<Self> {
        let namespace = &home.outside.namespace;
        namespace.nft(
            "add map ip nat given { type inet_service : ipv4_addr . inet_service; }
             add rule ip nat translate_in iifname \"wan\" dnat to udp dport map @given
             add rule inet guard input iifname \"lan\" udp dport 5351 accept",
        )?;
        let own = workspace::PROGRAM.as_deref().context("finding this program's own file")?;
        let mut command = namespace.command(own);
        command.args(["natlab-gateway", &home.outside.ipv4.to_string()]).stdout(Stdio::piped());
        let mut running = Running(command.spawn()?);
        let output = BufReader::new(running.0.stdout.take().context("no standard output")?);
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody may listen any more.
                let _ = tell.send(line);
            }
        });
        ensure!(said.recv().is_ok_and(|line| line == "listens"), "the gateway does not listen");
        Ok(Self { _running: running, said })
    }

    /// What it was asked since it was looked last: `map PORT` and `unmap PORT`, with the port outside.
    pub(super) fn asked(&self) -> Vec<String> {
        self.said.try_iter().collect()
    }
}

/// The process in the box.
///
/// # Errors
/// When the address cannot be had, or the rules cannot be changed.
pub(crate) fn serve(external: &str) -> Result<()> {
    let external: Ipv4Addr = external.parse()?;
    let socket = UdpSocket::bind((INSIDE, PORT))?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "listens")?;
    output.flush()?;
    let mut given = BTreeMap::new();
    let mut packet = [0; 1_100];
    loop {
        let (length, from) = socket.recv_from(&mut packet)?;
        let asked = packet.get(..length).unwrap_or_default();
        let epoch = [0, 0, 0, 1];
        let answer = match asked {
            [0, 0] => [&[0, 128, 0, 0], epoch.as_slice(), &external.octets()].concat(),
            [0, 1, 0, 0, high, low, _, _, lifetime @ ..] if lifetime.len() == 4 => {
                let inside = u16::from_be_bytes([*high, *low]);
                let ends = lifetime == [0; 4];
                // Not the port that was asked for, so that it shows whether that is minded.
                let outside = 20_000 + inside % 10_000;
                change(&mut given, outside, (!ends).then_some((from, inside)))?;
                writeln!(output, "{} {outside}", if ends { "unmap" } else { "map" })?;
                output.flush()?;
                let told = if ends { 0 } else { outside };
                [&[0, 129, 0, 0], epoch.as_slice(), &[*high, *low], &told.to_be_bytes(), lifetime].concat()
            }
            // Another version: PCP is one.
            _ => [&[0, 128, 0, 1], epoch.as_slice()].concat(),
        };
        socket.send_to(&answer, from)?;
    }
}

/// Leads packets for a port of the box to somebody inside, or to nobody any more.
fn change(
    given: &mut BTreeMap<u16, (SocketAddr, u16)>,
    outside: u16,
    to: Option<(SocketAddr, u16)>,
) -> Result<()> {
    let mut rules = String::new();
    if given.remove(&outside).is_some() {
        rules += &format!("delete element ip nat given {{ {outside} }}\n");
    }
    if let Some((client, inside)) = to {
        rules += &format!("add element ip nat given {{ {outside} : {} . {inside} }}\n", client.ip());
        given.insert(outside, (client, inside));
    }
    let mut child = Command::new(Path::new("nft")).args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(rules.as_bytes())?;
    ensure!(child.wait()?.success(), "nft refuses {rules}");
    Ok(())
}

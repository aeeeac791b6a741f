//! A socket in another namespace: a process of this very program there, which sends and receives as it is told on its
//! standard input, and answers on its standard output.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::namespace::{Namespace, Running};
use crate::workspace;

/// How long nothing may come before nothing more is expected. Between namespaces a datagram arrives before the call that
/// sends it returns, unless the machine is very busy.
const QUIET: Duration = Duration::from_millis(150);

/// The end of what has arrived.
const END: &str = "end";

/// One socket somewhere.
#[derive(Debug)]
pub(super) struct Agent {
    _running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Agent {
    /// A socket in this namespace.
    pub(super) fn new(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let own = workspace::PROGRAM.as_deref().context("finding this program's own file")?;
        let mut command = namespace.command(own);
        command.args(["natlab-agent", &address.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running(command.spawn()?);
        let input = running.0.stdin.take().context("no standard input")?;
        let output = running.0.stdout.take().context("no standard output")?;
        let mut agent = Self { _running: running, input, output: BufReader::new(output) };
        agent.line().with_context(|| format!("no socket at {address}"))?;
        Ok(agent)
    }

    /// Sends a datagram.
    pub(super) fn send(&mut self, to: SocketAddr, word: u32) -> Result<()> {
        writeln!(self.input, "{to} {word}")?;
        self.line().map(drop)
    }

    /// Everything that has arrived.
    pub(super) fn arrived(&mut self) -> Result<Vec<(SocketAddr, u32)>> {
        writeln!(self.input, "take")?;
        let mut arrived = Vec::new();
        loop {
            let line = self.line()?;
            if line == END {
                return Ok(arrived);
            }
            arrived.push(pair(&line)?);
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the agent has ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

fn pair(line: &str) -> Result<(SocketAddr, u32)> {
    let (address, word) =
        line.split_once(' ').with_context(|| format!("not an address and a word: {line}"))?;
    Ok((address.parse()?, word.parse()?))
}

/// The process in the other namespace.
///
/// # Errors
/// When the address cannot be had, or nobody listens any more.
pub(crate) fn serve(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(QUIET))?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "bound")?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "take" {
            let mut buffer = [0; 64];
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => {
                        let word = buffer.get(..length).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
                        writeln!(output, "{from} {}", word.map_or(0, u32::from_be_bytes))?;
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        break;
                    }
                    // What an earlier datagram met is no news.
                    Err(_) => {}
                }
            }
            writeln!(output, "{END}")?;
        } else {
            let (to, word) = pair(&line)?;
            // Refused on the way, perhaps: whether it arrives is what is asked.
            let _ = socket.send_to(&word.to_be_bytes(), to);
            writeln!(output, "sent")?;
        }
        output.flush()?;
    }
    Ok(())
}

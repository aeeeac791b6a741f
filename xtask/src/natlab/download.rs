//! A file that comes through `telemesh forward` while something happens to the network: plain TCP programs at both ends, and the
//! SHA-256 of what was sent and of what has come.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::meeting::Meeting;
use super::namespace::{Namespace, Running};
use crate::workspace;

/// Bytes of the file.
pub(super) const SIZE: u64 = 256 << 20;

/// Where its server listens, and what lets somebody else there.
pub(super) const GRANT: &str = "sock:127.0.0.1:8200";
const SERVER: &str = "127.0.0.1:8200";
const PORT: &str = "8200";

/// Bytes written and read at a time.
const PIECE: usize = 1 << 16;

/// How often it is looked how much has come.
const POLL: Duration = Duration::from_millis(2);

/// One that goes on, from b to a.
#[derive(Debug)]
pub(super) struct Download {
    arrived: Arc<AtomicU64>,
    /// Gives the SHA-256 and the longest silence.
    reader: JoinHandle<Result<(String, Duration)>>,
    _programs: [Running; 3],
}

impl Download {
    pub(super) fn start(meeting: &Meeting) -> Result<Self> {
        let [client, server] = meeting.sides.each_ref().map(|side| side.namespace());
        let (serving, mut output) = program(server, &["natlab-download", "serve"])?;
        // It says so when it listens.
        output.read_exact(&mut [0])?;
        let (forward, listen) = meeting.a.forward(&meeting.b.identity, PORT)?;
        let (fetching, output) = program(client, &["natlab-download", "fetch", &listen])?;
        let arrived = Arc::new(AtomicU64::new(0));
        let count = arrived.clone();
        let reader = std::thread::spawn(move || {
            let mut silence = Duration::ZERO;
            let hash = hash(|sink| take(output, &count, &mut silence, sink))?;
            Ok((hash, silence))
        });
        Ok(Self { arrived, reader, _programs: [serving, forward, fetching] })
    }

    /// Waits until so much has come, which must not be all.
    pub(super) fn reaches(&self, bytes: u64, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while self.arrived.load(Ordering::Relaxed) < bytes {
            ensure!(begin.elapsed() < limit && !self.reader.is_finished(), "{self:?} does not go on");
            std::thread::sleep(POLL);
        }
        ensure!(self.arrived.load(Ordering::Relaxed) < SIZE, "all has come already");
        Ok(())
    }

    /// Waits for the end: it must be all, unchanged. The longest silence.
    pub(super) fn finish(self, limit: Duration) -> Result<Duration> {
        let begin = Instant::now();
        while !self.reader.is_finished() {
            ensure!(begin.elapsed() < limit, "{self:?} does not end");
            std::thread::sleep(POLL);
        }
        let arrived = self.arrived.load(Ordering::Relaxed);
        let (found, silence) = self.reader.join().map_err(|_| anyhow!("a thread panicked"))??;
        let sent = hash(content)?;
        ensure!(arrived == SIZE && found == sent, "{arrived} of {SIZE} bytes, SHA-256 {found}, not {sent}");
        Ok(silence)
    }
}

/// Takes what comes, counts it, and measures the longest silence.
fn take(
    mut output: ChildStdout,
    count: &AtomicU64,
    silence: &mut Duration,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let (mut buffer, mut last) = (vec![0; PIECE], Instant::now());
    loop {
        let length = output.read(&mut buffer)?;
        *silence = (*silence).max(last.elapsed());
        last = Instant::now();
        if length == 0 {
            return Ok(());
        }
        sink(buffer.get(..length).unwrap_or_default())?;
        count.fetch_add(u64::try_from(length)?, Ordering::Relaxed);
    }
}

/// The process in another namespace: what sends the file, or what fetches it and writes it to its standard output.
///
/// # Errors
/// When the connection is not there, or is cut.
pub(crate) fn play(role: &[&str]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match role {
        ["serve"] => {
            let listener = TcpListener::bind(SERVER)?;
            output.write_all(b"!")?;
            output.flush()?;
            let (mut stream, _) = listener.accept()?;
            content(&mut |piece: &[u8]| Ok(stream.write_all(piece)?))
        }
        ["fetch", from] => {
            std::io::copy(&mut TcpStream::connect(from)?, &mut output)?;
            Ok(())
        }
        _ => Err(anyhow!("nothing to play")),
    }
}

/// The file, in pieces.
fn content(sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (mut at, mut piece) = (0u64, vec![0; PIECE]);
    while at < SIZE {
        for (byte, place) in piece.iter_mut().zip(at..) {
            let [.., top] = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            *byte = top;
        }
        sink(&piece)?;
        at += u64::try_from(PIECE)?;
    }
    Ok(())
}

/// The SHA-256 of what is given piece by piece, as `sha256sum` has it.
fn hash(give: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>) -> Result<String> {
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = sum.stdin.take().context("no standard input")?;
    let given = give(&mut |piece| Ok(input.write_all(piece)?));
    drop(input);
    let said = sum.wait_with_output()?;
    given?;
    let said = String::from_utf8(said.stdout)?;
    said.split_whitespace().next().map(ToOwned::to_owned).context("`sha256sum` says nothing")
}

/// This very program in a namespace.
fn program(namespace: &Namespace, arguments: &[&str]) -> Result<(Running, ChildStdout)> {
    let own = workspace::PROGRAM.as_deref().context("finding this program's own file")?;
    let mut command = namespace.command(own);
    let mut running = Running(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let output = running.0.stdout.take().context("no standard output")?;
    Ok((running, output))
}

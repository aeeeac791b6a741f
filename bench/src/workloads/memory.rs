//! Resident memory of a server process per inbound connection: idle, and with one stream that echoed once.
//!
//! The server is a process of its own; the clients are endpoints of their own, each with its own identity, because that
//! is what a server meets.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    cores::{self, CLIENT_CORE},
    machine,
    options::{PeerName, name_of},
    peer::Peer,
    sample::Findings,
    service::Echo,
};

/// What the server process answers to each line on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) connections: usize,
    pub(crate) resident_kib: u64,
}

/// Holds `links` connections to a server process of `peer`, and asks it for its memory.
pub(crate) fn measure<P: Peer>(peer: PeerName, links: u32) -> Result<Findings> {
    machine::raise_file_limit();
    let server = ServerProcess::start(peer)?;
    cores::spawn("client", CLIENT_CORE, move || client::<P>(server, links))?.join()
}

async fn client<P: Peer>(mut server: ServerProcess, links: u32) -> Result<Findings> {
    let address = server.address()?;
    let wanted = links as usize;
    // The first connection pages in code and makes what is made once; it stays open and is not counted.
    let mut held = vec![Held::<P>::connect(&address).await?];
    held[0].echo().await?;
    let baseline = server.settled(1).await?;
    for _ in 0..wanted {
        held.push(Held::connect(&address).await?);
    }
    let idle = server.settled(wanted + 1).await?;
    for link in held.iter_mut().skip(1) {
        link.echo().await?;
    }
    let with_stream = server.settled(wanted + 1).await?;

    let mut findings = Findings { settings: P::settings(&held[0].connection), ..Findings::default() };
    let per_link =
        |status: &Status| status.resident_kib.saturating_sub(baseline.resident_kib) as f64 / f64::from(links);
    findings.figure("idle_kib", per_link(&idle));
    findings.figure("with_stream_kib", per_link(&with_stream));
    Ok(findings)
}

/// A client endpoint with its connection, and its stream once it has one.
struct Held<P: Peer> {
    connection: P::Connection,
    echo: Option<Echo<P::Stream>>,
    // Some libraries close a connection when the endpoint that made it is gone.
    _dialer: P::Dialer,
}

impl<P: Peer> Held<P> {
    async fn connect(address: &str) -> Result<Self> {
        let mut dialer = P::dialer(address).await?;
        let connection = P::connect(&mut dialer).await?;
        Ok(Self { connection, echo: None, _dialer: dialer })
    }

    async fn echo(&mut self) -> Result<()> {
        self.echo = Some(Echo::start(P::open(&mut self.connection).await?).await?);
        Ok(())
    }
}

/// The server in a process of its own; killed when dropped.
#[derive(Debug)]
struct ServerProcess {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ServerProcess {
    fn start(peer: PeerName) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--peer", &name_of(peer)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server process")?;
        let questions = child.stdin.take().context("the server process has no input")?;
        let answers = BufReader::new(child.stdout.take().context("the server process has no output")?);
        Ok(Self { child, questions, answers })
    }

    /// The first line that the server prints.
    fn address(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the server process ended before it listened");
        Ok(line.trim_end().to_owned())
    }

    fn status(&mut self) -> Result<Status> {
        writeln!(self.questions)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the server process gave no status")
    }

    /// The status once all connections are there and the memory has stopped changing.
    async fn settled(&mut self, connections: usize) -> Result<Status> {
        const PATIENCE: Duration = Duration::from_secs(20);
        const PAUSE: Duration = Duration::from_millis(500);
        /// Changes below this many KiB per pause are noise.
        const STILL: u64 = 64;
        let started = Instant::now();
        let mut last = self.status()?;
        loop {
            // The client's endpoints go on running meanwhile, so keep-alives are answered.
            tokio::time::sleep(PAUSE).await;
            let now = self.status()?;
            if now.connections == connections && now.resident_kib.abs_diff(last.resident_kib) < STILL {
                return Ok(now);
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "after {PATIENCE:?} the server has {} of {connections} connections and {} KiB, which still change",
                now.connections,
                now.resident_kib
            );
            last = now;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

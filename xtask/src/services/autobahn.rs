//! The Autobahn WebSocket test suite (<https://github.com/crossbario/autobahn-testsuite>), in both roles: its fuzzing client through a
//! gateway, and its fuzzing server behind a reverse proxy, with two endpoints in memory between.
//!
//! It is the package `autobahntestsuite` of PyPI and runs with Python 2.7 only. Where its `wstest` is not in `PATH`, `TELEMESH_WSTEST`
//! is the command for it. Compression (12 and 13) is not offered, and so not tested.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::process::output;

/// Cases without their numbers here are all run.
const EXCLUDED: [&str; 2] = ["12.*", "13.*"];

/// What a case may come out as: `NON-STRICT` is allowed by RFC 6455 and could be noticed earlier.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

/// How long the fuzzing server may take to listen.
const START: Duration = Duration::from_secs(20);

/// Runs all cases in both roles, if the suite is here.
pub(super) fn run(root: &Path) -> Result<()> {
    let Some(suite) = suite() else {
        println!(
            "autobahn: skipped, there is no `wstest` here (package autobahntestsuite of PyPI, for Python 2.7; \
             TELEMESH_WSTEST is the command for it)"
        );
        return Ok(());
    };
    crate::workspace::run(root, "cargo build --release --package telemesh-ws --example autobahn")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("release/examples/autobahn");
    let folder = target.join("autobahn");
    fs::create_dir_all(&folder)?;
    println!("autobahn: reports in {}", folder.display());
    as_server(&suite, &program, &folder).context("we are the server")?;
    as_client(&suite, &program, &folder).context("we are the client")
}

/// The command of the suite.
fn suite() -> Option<String> {
    let command = std::env::var("TELEMESH_WSTEST").unwrap_or_else(|_| "wstest".to_owned());
    let there = Command::new("sh").args(["-c", &format!("{command} --help")]).output();
    there.is_ok_and(|said| said.status.success()).then_some(command)
}

/// The suite's fuzzing client, through a gateway.
fn as_server(suite: &str, program: &Path, folder: &Path) -> Result<()> {
    let mut serving = Ended(Command::new(program).arg("serve").stdout(Stdio::piped()).spawn()?);
    let mut port = String::new();
    BufReader::new(serving.0.stdout.take().context("no output")?).read_line(&mut port)?;
    let outcome = folder.join("server");
    let specification = json!({
        "outdir": outcome.display().to_string(),
        "servers": [{ "agent": "telemesh", "url": format!("ws://127.0.0.1:{}", port.trim()) }],
        "cases": ["*"],
        "exclude-cases": EXCLUDED,
    });
    output(&mut command(suite, "fuzzingclient", &folder.join("server.json"), &specification)?)?;
    tell("server, through the gateway", &outcome)
}

/// The suite's fuzzing server, behind the other endpoint.
fn as_client(suite: &str, program: &Path, folder: &Path) -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let outcome = folder.join("client");
    let specification = json!({
        "outdir": outcome.display().to_string(),
        "url": format!("ws://127.0.0.1:{port}"),
        "cases": ["*"],
        "exclude-cases": EXCLUDED,
    });
    let mut command = command(suite, "fuzzingserver", &folder.join("client.json"), &specification)?;
    let _server = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(began.elapsed() < START, "the fuzzing server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    output(Command::new(program).args(["client", &port.to_string()]))?;
    tell("client, through the reverse proxy", &outcome)
}

/// The suite in one mode; it has no web pages to show.
fn command(suite: &str, mode: &str, file: &Path, specification: &Value) -> Result<Command> {
    fs::write(file, specification.to_string())?;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {suite} -m {mode} -u 0 -s {}", file.display())]);
    Ok(command)
}

/// A process that is killed when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads the suite's report: every case and every closing must be good.
fn tell(role: &str, folder: &Path) -> Result<()> {
    let index: Value = serde_json::from_str(&fs::read_to_string(folder.join("index.json"))?)?;
    let cases = index["telemesh"].as_object().context("no report")?;
    let (mut counts, mut bad) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for (number, case) in cases {
        let (behaviour, closing) = (word(case, "behavior"), word(case, "behaviorClose"));
        *counts.entry(behaviour).or_default() += 1;
        if !GOOD.contains(&behaviour) || !GOOD.contains(&closing) {
            bad.push(format!("{number} {behaviour}, closing {closing}"));
        }
    }
    ensure!(
        !cases.is_empty() && bad.is_empty(),
        "{} of {} cases: {}",
        bad.len(),
        cases.len(),
        bad.join("; ")
    );
    println!("autobahn, {role}: {} cases: {counts:?}", cases.len());
    Ok(())
}

fn word<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or("missing")
}

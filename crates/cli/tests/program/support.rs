//! Running the program, without ever waiting for it for ever.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A folder for homes and files that is gone after the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The program with these arguments, separated by spaces, and a home that is not there yet.
pub(crate) fn telemesh(folder: &TempDir, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_telemesh"));
    command.args(arguments.split_whitespace()).env("TELEMESH_HOME", folder.path().join("home"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program that runs. It is killed when the test is over.
pub(crate) struct Running {
    child: Child,
    /// What it has written to standard output since it was started, for who does not wait for its end.
    so_far: Arc<Mutex<Vec<u8>>>,
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Option<Receiver<Vec<u8>>>,
}

/// What a program has left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().map(collect);
        let so_far = Arc::<Mutex<Vec<u8>>>::default();
        let stdout = child.stdout.take().map(|output| collect_into(output, so_far.clone()));
        Self { child, so_far, stdout, stderr }
    }

    /// Starts an endpoint that waits, and gives it with its ready event. `pipe` says it on standard error.
    pub(crate) fn waiting(command: &mut Command) -> (Self, Value) {
        let mut child = command.args(["--json", "--listen", "127.0.0.1:0"]).spawn().unwrap();
        let is_pipe = command.get_args().any(|argument| argument == "pipe");
        let (line, rest) = if is_pipe {
            first_line(child.stderr.take().unwrap())
        } else {
            first_line(child.stdout.take().unwrap())
        };
        let line = line.recv_timeout(LIMIT).expect("no ready event");
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&ready["v"], &ready["event"]), (&1.into(), &"ready".into()), "{line}");
        let stdout = child.stdout.take().map(collect);
        let mut running = Self { stdout, stderr: None, so_far: Arc::default(), child };
        if is_pipe {
            running.stderr = Some(rest);
        } else {
            running.stdout = Some(rest);
            running.stderr = running.child.stderr.take().map(collect);
        }
        (running, ready)
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it is gone.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Reads its objects until there are enough of them, and ends it.
    pub(crate) fn until(mut self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = std::time::Instant::now();
        loop {
            let text = self.so_far.lock().unwrap().clone();
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let objects = objects(&String::from_utf8_lossy(&text[..whole]));
            if enough(&objects) {
                self.kill();
                return objects;
            }
            assert!(began.elapsed() < LIMIT, "{objects:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it without a word, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let stdout = self.stdout.take().map(|output| output.recv_timeout(LIMIT).expect("it does not end"));
        let stderr = self.stderr.take().map(|output| output.recv_timeout(LIMIT).expect("it does not end"));
        Ended {
            status: self.child.wait().unwrap(),
            stdout: stdout.unwrap_or_default(),
            stderr: String::from_utf8(stderr.unwrap_or_default()).unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The same, if it has ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.text(), self.stderr);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its objects, each with the version.
    pub(crate) fn objects(&self) -> Vec<Value> {
        objects(&self.text())
    }
}

/// One object per line, each with the version.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    lines.inspect(|object| assert_eq!(object["v"], 1, "{object}")).collect()
}

/// Runs the program to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    Running::start(command).end()
}

/// Two endpoints that are up and know each other by these names.
pub(crate) fn alice_and_bob() -> [(TempDir, Running); 2] {
    let (alice, bob) = (folder(), folder());
    let (alice_up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    let (bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let invited = run(&mut telemesh(&alice, "invite --name bob --json")).with_code(0).objects().remove(0);
    run(telemesh(&bob, "accept --as alice").arg(invited["invite"].as_str().unwrap())).with_code(0);
    [(alice, alice_up), (bob, bob_up)]
}

/// Reads objects until one is this event.
pub(crate) fn wait_for_line(output: &mut impl Read, event: &str) -> Value {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        assert_eq!(output.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&line));
        if byte != *b"\n" {
            line.push(byte[0]);
            continue;
        }
        let said = objects(std::str::from_utf8(&line).unwrap()).remove(0);
        if said["event"] == event {
            return said;
        }
        line.clear();
    }
}

/// The invite in a ready event.
pub(crate) fn invite(ready: &Value) -> &str {
    ready["invite"].as_str().unwrap()
}

/// Feeds a program from a thread, since it may read as slowly as it likes.
pub(crate) fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) {
    // A program that ends early is noticed by its code.
    thread::spawn(move || stdin.write_all(&bytes));
}

/// Writes a file and gives its path.
pub(crate) fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Bytes without a pattern.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn collect(output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    collect_into(output, Arc::default())
}

/// The same, and what has come so far can be looked at.
fn collect_into(mut output: impl Read + Send + 'static, all: Arc<Mutex<Vec<u8>>>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut chunk) {
            all.lock().unwrap().extend_from_slice(&chunk[..length]);
        }
        let _ = sender.send(std::mem::take(&mut *all.lock().unwrap()));
    });
    receiver
}

/// The first line, and what comes after it once that is complete.
fn first_line(output: impl Read + Send + 'static) -> (Receiver<String>, Receiver<Vec<u8>>) {
    let (line_sender, line) = mpsc::channel();
    let (rest_sender, rest) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut first = String::new();
        let _ = output.read_line(&mut first);
        let _ = line_sender.send(first);
        let mut all = Vec::new();
        let _ = output.read_to_end(&mut all);
        let _ = rest_sender.send(all);
    });
    (line, rest)
}

//! The control socket as any program can use it: what it answers, and what it puts up with.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Running, alice_and_bob, feed, folder, noise, run, telemesh, wait_for_line};

const MIB: usize = 1 << 20;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to the endpoint that is up on a home.
struct Control(BufReader<UnixStream>);

impl Control {
    fn new(folder: &TempDir) -> Self {
        let stream = UnixStream::connect(folder.path().join("home/control.sock")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(folder: &TempDir, request: &Value) -> Self {
        let mut control = Self::new(folder);
        control.say(format!("{request}\n").as_bytes());
        control
    }

    /// It may be closed before it has taken everything.
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        let count = self.0.read_line(&mut line).unwrap();
        (count > 0).then(|| serde_json::from_str(&line).expect(&line))
    }

    /// The error, which must be the last line.
    fn error(mut self) -> Value {
        let error = self.answer().unwrap();
        // Closed with something unread, the connection may be reset.
        assert_eq!(self.0.read(&mut [0; 10]).unwrap_or(0), 0);
        assert!(error["error"].is_string() && error["kind"].is_string() && error["code"].is_u64(), "{error}");
        assert_eq!(error["v"], 1);
        error
    }
}

/// Asks until it is as it should be.
fn until(reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < LIMIT);
    }
}

fn commands(folder: &TempDir) -> u64 {
    Control::ask(folder, &json!({"v": 1, "command": "status"})).answer().unwrap()["commands"]
        .as_u64()
        .unwrap()
}

#[test]
fn what_makes_no_sense_is_answered_with_an_error_and_harms_nobody() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    for bad in [
        &b"\n"[..],
        b"status\n",
        b"{}\n",
        b"\0\xff\xfe\n",
        b"{\"v\":1}\n",
        b"{\"v\":1,\"command\":\"status\"\n",
        b"{\"v\":7,\"command\":\"status\"}\n",
        b"{\"v\":1,\"command\":\"dance\"}\n",
        b"{\"v\":1,\"command\":\"status\",\"loud\":true}\n",
        b"{\"v\":1,\"command\":\"ping\"}\n",
        b"{\"v\":1,\"command\":\"ping\",\"to\":\"nobody\"}\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut control = Control::new(&folder);
        control.say(bad);
        assert_eq!(control.error()["kind"], "usage", "{}", String::from_utf8_lossy(bad));
    }
    // The end comes before the end of the line.
    let mut control = Control::new(&folder);
    control.say(b"{\"v\":1,");
    control.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(control.error()["kind"], "usage");
    // Nobody asks for anything.
    drop(Control::new(&folder));
    assert_eq!(commands(&folder), 1);
}

#[test]
fn a_request_has_a_limit_and_one_connection() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let longest = |length: usize| {
        let mut line = b"{\"v\":1,\"command\":\"id\"}".to_vec();
        line.resize(length, b' ');
        line.push(b'\n');
        line
    };
    let mut control = Control::new(&folder);
    control.say(&longest(64 * 1024));
    assert!(control.answer().unwrap()["uri"].is_string());
    for garbage in [longest(64 * 1024 + 1), vec![b'x'; 4 * MIB]] {
        let mut control = Control::new(&folder);
        control.say(&garbage);
        assert_eq!(control.error()["kind"], "usage");
    }
    let mut control = Control::ask(&folder, &json!({"v": 1, "command": "perf"}));
    assert_eq!(control.answer().unwrap()["event"], "ready");
    control.say(b"{\"v\":1,\"command\":\"id\"}\n");
    assert_eq!(control.error()["kind"], "usage");
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for_for_ever() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let mut control = Control::new(&folder);
    control.say(b"{\"v\":1,");
    let started = Instant::now();
    let error = control.error();
    assert!(error["error"].as_str().unwrap().contains("10 seconds"), "{error}");
    assert!(started.elapsed() >= Duration::from_secs(9));
}

#[test]
fn somebody_who_has_said_all_still_hears_the_answer() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let mut control = Control::ask(&folder, &json!({"v": 1, "command": "status"}));
    control.0.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(control.answer().unwrap()["links"].is_array());
    assert_eq!(control.answer().unwrap(), json!({"v": 1, "event": "done"}));
    assert!(control.answer().is_none());
}

#[test]
fn there_is_room_for_sixty_four_and_the_next_is_told() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let perf = json!({"v": 1, "command": "perf"});
    let mut clients: Vec<_> = (0..64).map(|_| Control::ask(&folder, &perf)).collect();
    for client in &mut clients {
        assert_eq!(client.answer().unwrap()["event"], "ready");
    }
    assert_eq!(Control::new(&folder).error()["kind"], "refused");
    let refused = run(&mut telemesh(&folder, "status")).with_code(4);
    assert!(refused.stderr.contains("64"), "{}", refused.stderr);
    // Their commands end with them.
    drop(clients);
    let status = json!({"v": 1, "command": "status"});
    until(|| Control::ask(&folder, &status).answer().is_some_and(|answer| answer["commands"] == 1));
}

#[test]
fn clients_that_do_not_read_are_in_nobodys_way() {
    let [(alice, _alice_up), (_bob, _bob_up)] = alice_and_bob();
    let ping = json!({"v": 1, "command": "ping", "to": "bob", "count": 1000});
    let silent: Vec<_> = (0..30).map(|_| Control::ask(&alice, &ping)).collect();
    run(&mut telemesh(&alice, "ping bob -n 1")).with_code(0);
    drop(silent);
    until(|| commands(&alice) == 1);
}

#[test]
fn many_commands_at_the_same_time_do_not_mix() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let pings: Vec<_> = (0..8)
        .map(|round| {
            let (home, to) = if round % 2 == 0 { (&alice, "bob") } else { (&bob, "alice") };
            Running::start(&mut telemesh(home, &format!("ping {to} -n 3 --json")))
        })
        .collect();
    for ping in pings {
        let sequence: Vec<_> =
            ping.end().with_code(0).objects().iter().map(|ping| ping["seq"].as_u64().unwrap()).collect();
        assert_eq!(sequence, [1, 2, 3]);
    }
}

#[test]
fn a_pipe_between_two_endpoints_that_are_up_carries_every_byte() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let (there, back) = (noise(8 * MIB, 11), noise(8 * MIB, 12));
    let mut waiting = telemesh(&alice, "pipe --json").stdin(Stdio::piped()).spawn().unwrap();
    wait_for_line(waiting.stderr.as_mut().unwrap(), "ready");
    let mut opening = Running::start(telemesh(&bob, "pipe alice").stdin(Stdio::piped()));
    feed(opening.stdin(), there.clone());
    feed(waiting.stdin.take().unwrap(), back.clone());
    let mut received = Vec::new();
    waiting.stdout.take().unwrap().read_to_end(&mut received).unwrap();
    assert!(received == there, "{} bytes", received.len());
    assert!(opening.end().with_code(0).stdout == back);
    assert!(waiting.wait().unwrap().success());
    // Nobody waits any more.
    run(&mut telemesh(&bob, "pipe alice")).with_code(4);
}

#[test]
fn a_connection_carries_a_stream_and_its_end_is_told_on_another() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let mut control = Control::ask(&alice, &json!({"v": 1, "command": "pipe"}));
    assert_eq!(control.answer().unwrap()["event"], "ready");
    let mut opening = Running::start(telemesh(&bob, "pipe alice").stdin(Stdio::piped()));
    feed(opening.stdin(), b"from bob".to_vec());
    let opened = control.answer().unwrap();
    assert_eq!(opened["event"], "open");
    control.say(b"from alice");
    control.0.get_ref().shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    control.0.read_to_string(&mut received).unwrap();
    let result = json!({"v": 1, "command": "result", "pipe": opened["pipe"]});
    assert_eq!(Control::ask(&alice, &result).answer().unwrap(), json!({"v": 1, "event": "done"}));
    assert_eq!(received, "from bob");
    assert_eq!(opening.end().with_code(0).text(), "from alice");
    assert_eq!(Control::ask(&alice, &result).error()["kind"], "usage");
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_stream_has_not_sent_all() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let pipe = json!({"v": 1, "command": "pipe"});
    let mut control = Control::ask(&alice, &pipe);
    assert_eq!(control.answer().unwrap()["event"], "ready");
    let opening = Running::start(telemesh(&bob, "pipe alice").stdin(Stdio::piped()));
    let opened = control.answer().unwrap();
    control.say(b"half of it");
    drop(control);
    opening.end().with_code(1);
    let result = json!({"v": 1, "command": "result", "pipe": opened["pipe"]});
    assert_eq!(Control::ask(&alice, &result).error()["code"], 1);

    // Also when all that was to be received has been: then only the connection that waits for the result shows it.
    let mut control = Control::ask(&alice, &pipe);
    assert_eq!(control.answer().unwrap()["event"], "ready");
    let opening = Running::start(&mut telemesh(&bob, "pipe alice"));
    let opened = control.answer().unwrap();
    assert_eq!(control.0.read(&mut [0; 10]).unwrap(), 0);
    let waiting = Control::ask(&alice, &json!({"v": 1, "command": "result", "pipe": opened["pipe"]}));
    until(|| commands(&alice) == 3);
    control.say(b"half of it");
    drop((control, waiting));
    opening.end().with_code(1);
    until(|| commands(&alice) == 1);
}

#[test]
fn commands_hear_that_the_endpoint_is_stopped() {
    let folder = folder();
    let (up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let mut waiting = Control::ask(&folder, &json!({"v": 1, "command": "perf"}));
    assert_eq!(waiting.answer().unwrap()["event"], "ready");
    let mut stop = Control::ask(&folder, &json!({"v": 1, "command": "stop"}));
    assert_eq!(waiting.error()["kind"], "failed");
    assert_eq!(stop.answer().unwrap(), json!({"v": 1, "event": "closed", "delivered": true}));
    assert_eq!(stop.answer().unwrap(), json!({"v": 1, "event": "done"}));
    up.end().with_code(0);
}

/// Whether two objects have the same keys, and values of the same types behind them. Null may stand for anything.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| alike(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => alike(one, other),
            _ => true,
        },
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

#[test]
fn the_documentation_shows_what_is_said() {
    let text = include_str!("../../../../docs/CONTROL.md");
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let carol = folder();
    let (_carol_up, ready) = Running::waiting(&mut telemesh(&carol, "up --invite"));
    // Somebody whom Alice does not know has asked her for a link.
    let (stranger, mut examples) = (folder(), 0);
    let uri = run(&mut telemesh(&alice, "id --json")).with_code(0).objects()[0]["uri"].clone();
    let mut noticing = Control::ask(&alice, &json!({"v": 1, "command": "discover", "announce": true}));
    let asking = Running::start(telemesh(&stranger, "ping --timeout 600").arg(uri.as_str().unwrap()));
    assert_eq!(noticing.answer().unwrap()["event"], "discovered");
    drop((noticing, asking));
    for block in text.split("```control\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let mut lines = block.lines();
        let request = lines.next().unwrap().strip_prefix("> ").unwrap();
        let mut request: Value = serde_json::from_str(request).unwrap();
        if request["command"] == "accept" {
            request["uri"] = ready["invite"].clone();
        }
        if request["command"] == "revoke" {
            let open = run(&mut telemesh(&alice, "invite list --json")).with_code(0).objects();
            request["id"] = open[0]["id"].clone();
        }
        let counterpart = match request["command"].as_str().unwrap() {
            "perf" => Some(json!({"v": 1, "command": "perf"})),
            "send" => {
                request["files"] = json!([crate::support::file(&alice, "hostname", "a machine")]);
                Some(json!({"v": 1, "command": "receive", "folder": bob.path().join("in")}))
            }
            _ => None,
        };
        let waiting = counterpart.map(|counterpart| {
            let mut answering = Control::ask(&bob, &counterpart);
            assert_eq!(answering.answer().unwrap()["event"], "ready");
            answering
        });
        let mut control = Control::ask(&alice, &request);
        let is_progress = |said: &Value| said["event"] == "progress";
        let mut next = control.answer();
        for line in lines {
            let shown: Value = serde_json::from_str(line.strip_prefix("< ").unwrap()).unwrap();
            // How often it is said depends on the machine.
            while !is_progress(&shown) && next.as_ref().is_some_and(is_progress) {
                next = control.answer();
            }
            let said = next.unwrap();
            if is_progress(&shown) && !is_progress(&said) {
                next = Some(said);
                continue;
            }
            assert!(alike(&shown, &said), "{request}\n{shown}\n{said}");
            assert_eq!((&shown["event"], &shown["kind"]), (&said["event"], &said["kind"]), "{request}");
            let goes_on = ["ready", "forwarding", "socks"].iter().any(|event| said["event"] == *event);
            let is_last = said["event"] == "done" || goes_on || said["error"].is_string();
            next = if is_last { None } else { control.answer() };
        }
        assert!(next.is_none(), "{request}: more is said than is shown: {next:?}");
        drop(waiting);
        examples += 1;
    }
    assert!(examples > 10, "{examples}");
}

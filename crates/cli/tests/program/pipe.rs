//! `telemesh pipe` between two processes.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::support::{Running, feed, file, folder, invite, noise, objects, run, telemesh};

const MIB: usize = 1 << 20;

#[test]
fn eight_mib_each_way_at_once_arrive_unchanged() {
    let folder = folder();
    let (there, back) = (noise(8 * MIB, 1), noise(8 * MIB, 2));
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "pipe").stdin(Stdio::piped()));
    let mut opening = Running::start(telemesh(&folder, "pipe").arg(invite(&ready)).stdin(Stdio::piped()));
    feed(opening.stdin(), there.clone());
    feed(waiting.stdin(), back.clone());
    let opening = opening.end().with_code(0);
    let waiting = waiting.end().with_code(0);
    assert!(waiting.stdout == there, "{} bytes", waiting.stdout.len());
    assert!(opening.stdout == back, "{} bytes", opening.stdout.len());
    assert!(!folder.path().join("home").exists(), "a throw-away identity needs no home");
}

#[test]
fn a_single_byte_comes_through_while_both_ends_stay_open() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "pipe").stdin(Stdio::piped()));
    let mut opening = telemesh(&folder, "pipe").arg(invite(&ready)).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = waiting.stdin();
    input.write_all(b"x").unwrap();
    let mut byte = [0];
    opening.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    drop((input, opening.stdin.take()));
    assert!(opening.wait().unwrap().success());
    waiting.end().with_code(0);
}

#[test]
fn an_end_that_has_sent_everything_still_receives() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "pipe").stdin(Stdio::piped()));
    let opening = Running::start(telemesh(&folder, "pipe").arg(invite(&ready)));
    let answer = noise(3 * MIB, 3);
    feed(waiting.stdin(), answer.clone());
    assert!(opening.end().with_code(0).stdout == answer);
    assert!(waiting.end().with_code(0).stdout.is_empty());
}

#[test]
fn a_slow_reader_gets_everything_although_the_sender_is_done() {
    let folder = folder();
    let (mut waiting, ready) = {
        let mut command = telemesh(&folder, "pipe");
        Running::waiting(command.stdin(Stdio::piped()))
    };
    let mut opening = telemesh(&folder, "pipe").arg(invite(&ready)).stdin(Stdio::null()).spawn().unwrap();
    // Fits into the windows, so that the sender is done before the first byte is read here.
    let sent = noise(400_000, 4);
    feed(waiting.stdin(), sent.clone());
    waiting.end().with_code(0);
    let mut received = Vec::new();
    opening.stdout.take().unwrap().read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} bytes", received.len());
    assert!(opening.wait().unwrap().success());
}

#[test]
fn the_other_end_is_read_from_standard_input_and_what_follows_is_data() {
    let folder = folder();
    let (waiting, ready) = Running::waiting(&mut telemesh(&folder, "pipe"));
    let mut opening = Running::start(telemesh(&folder, "pipe -").stdin(Stdio::piped()));
    let data = noise(100_000, 5);
    feed(opening.stdin(), [invite(&ready).as_bytes(), b"\n", &data].concat());
    opening.end().with_code(0);
    assert!(waiting.end().with_code(0).stdout == data);
}

#[test]
fn the_other_end_is_read_from_a_file() {
    let folder = folder();
    let (waiting, ready) = Running::waiting(&mut telemesh(&folder, "pipe"));
    let path = file(&folder, "invite", format!("{}\n", invite(&ready)));
    run(telemesh(&folder, "pipe").arg(format!("@{path}"))).with_code(0);
    waiting.end().with_code(0);
}

#[test]
fn an_invite_serves_a_ping_before_the_stream() {
    let folder = folder();
    let (waiting, ready) = Running::waiting(&mut telemesh(&folder, "pipe"));
    run(telemesh(&folder, "ping -n 1").arg(invite(&ready))).with_code(0);
    run(telemesh(&folder, "pipe").arg(invite(&ready))).with_code(0);
    let waiting = waiting.end().with_code(0);
    let states: Vec<_> = objects(&waiting.stderr).iter().map(|event| event["state"].clone()).collect();
    assert!(states.starts_with(&["up".into(), "down".into(), "up".into()]), "{states:?}");
}

#[test]
fn people_get_a_command_to_type_at_the_other_end() {
    let folder = folder();
    let mut waiting = telemesh(&folder, "pipe --listen 127.0.0.1:0").spawn().unwrap();
    let mut said = String::new();
    let mut stderr = waiting.stderr.take().unwrap();
    while !said.contains("'\n") {
        let mut part = [0; 1_000];
        let count = stderr.read(&mut part).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(std::str::from_utf8(&part[..count]).unwrap());
    }
    let (_, command) = said.split_once("telemesh pipe '").unwrap();
    let (uri, _) = command.split_once('\'').unwrap();
    run(telemesh(&folder, "pipe").arg(uri)).with_code(0);
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_ends_both_ends() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "pipe").stdin(Stdio::piped()));
    let mut opening = telemesh(&folder, "pipe").arg(invite(&ready)).stdin(Stdio::null()).spawn().unwrap();
    feed(waiting.stdin(), noise(8 * MIB, 6));
    let mut stdout = opening.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    assert_eq!(opening.wait().unwrap().code(), Some(1));
    let waiting = waiting.end().with_code(1);
    assert_eq!(objects(&waiting.stderr).last().unwrap()["kind"], "failed");
}

#[cfg(unix)]
#[test]
fn an_interrupted_end_is_noticed_by_the_other() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "pipe").stdin(Stdio::piped()));
    let mut opening = telemesh(&folder, "pipe").arg(invite(&ready)).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = waiting.stdin();
    input.write_all(b"x").unwrap();
    opening.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // Both now wait for input that does not come.
    waiting.interrupt();
    let interrupted = waiting.end().with_code(130);
    assert_eq!(objects(&interrupted.stderr).last().unwrap()["kind"], "interrupted");
    assert_eq!(opening.wait().unwrap().code(), Some(1));
}

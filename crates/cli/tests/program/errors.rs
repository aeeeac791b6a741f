//! What goes wrong: exit codes, and one clear line.

use std::net::UdpSocket;

use crate::support::{Running, file, folder, invite, run, telemesh};

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let folder = folder();
    for arguments in [
        "",
        "dance",
        "ping",
        "ping nonsense",
        "ping link://[",
        "pipe @/no/such/file",
        "perf --only all",
        "ping -n 0 x",
    ] {
        let ended = run(&mut telemesh(&folder, arguments)).with_code(2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{arguments}");
    }
    for arguments in ["--json ping nonsense", "--json dance", "ping --json"] {
        let objects = run(&mut telemesh(&folder, arguments)).with_code(2).objects();
        assert_eq!(objects[0]["kind"], "usage", "{arguments}");
        assert!(!objects[0]["error"].as_str().unwrap().is_empty());
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = folder();
    for arguments in ["--help", "--version", "help pipe", "perf --help"] {
        let ended = run(&mut telemesh(&folder, arguments)).with_code(0);
        assert!(!ended.stdout.is_empty() && ended.stderr.is_empty(), "{arguments}");
    }
}

#[test]
fn nobody_there_is_unreachable() {
    let (folder, other) = (folder(), folder());
    let id = run(&mut telemesh(&other, "id --json")).with_code(0).objects().remove(0);
    // A socket that never answers; an unused port could be somebody's in the meantime.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut link = id["link"].clone();
    link["paths"] = serde_json::json!([{
        "type": "udp4", "ip": "127.0.0.1", "port": silent.local_addr().unwrap().port(),
    }]);
    let path = file(&folder, "link", serde_json::to_string_pretty(&link).unwrap());
    let ended = run(telemesh(&folder, "ping --timeout 0.3").arg(format!("@{path}"))).with_code(3);
    assert!(ended.stderr.contains("no answer") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    let ended = run(telemesh(&folder, "ping --json --timeout 0.3").arg(format!("@{path}"))).with_code(3);
    assert_eq!(ended.objects()[0]["kind"], "unreachable");
    // Only a hashname: nobody knows where that is.
    let ended = run(telemesh(&folder, "ping").arg(id["hashname"].as_str().unwrap())).with_code(3);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn ourselves_is_a_usage_error() {
    let folder = folder();
    let id = run(&mut telemesh(&folder, "id --json")).with_code(0).objects().remove(0);
    let ended = run(telemesh(&folder, "ping").arg(id["uri"].as_str().unwrap())).with_code(2);
    assert!(ended.stderr.contains("itself"), "{}", ended.stderr);
}

#[test]
fn an_endpoint_without_such_a_channel_refuses() {
    let folder = folder();
    let (_waiting, ready) = Running::waiting(&mut telemesh(&folder, "perf"));
    let ended = run(telemesh(&folder, "pipe --json").arg(invite(&ready))).with_code(4);
    assert!(ended.stdout.is_empty());
    let last = crate::support::objects(&ended.stderr).pop().unwrap();
    assert_eq!(last["kind"], "refused");
    let ended = run(telemesh(&folder, "pipe").arg(invite(&ready))).with_code(4);
    assert!(ended.stderr.contains("nobody waits for a stream"), "{}", ended.stderr);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = folder();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = UdpSocket::bind(taken).unwrap();
    let ended = run(telemesh(&folder, "pipe --listen").arg(taken.to_string())).with_code(1);
    assert!(ended.stderr.contains(&taken.to_string()), "{}", ended.stderr);
    drop(held);
}

#[cfg(unix)]
#[test]
fn an_interrupted_command_ends_with_its_own_code() {
    let folder = folder();
    let (waiting, _) = Running::waiting(&mut telemesh(&folder, "perf"));
    waiting.interrupt();
    assert_eq!(waiting.end().with_code(130).objects()[0]["kind"], "interrupted");
}

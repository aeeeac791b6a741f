//! `doctor`: it finds what is wrong here, changes nothing, and fails only if something will not work.

use std::net::UdpSocket;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{file, folder, run, telemesh};

/// All checks of a run with this exit code. A failure is told after them.
#[track_caller]
fn checks(folder: &TempDir, arguments: &str, code: i32) -> Vec<Value> {
    let ended = run(&mut telemesh(folder, &format!("doctor --json {arguments}"))).with_code(code);
    let mut objects = ended.objects();
    if code != 0 {
        assert_eq!(objects.pop().unwrap()["kind"], "failed");
    }
    objects
}

#[track_caller]
fn status<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    let check = checks.iter().find(|check| check["check"] == name);
    &check.unwrap_or_else(|| panic!("no check {name}"))["status"]
}

#[test]
fn a_machine_in_order_passes_and_nothing_is_made() {
    let folder = folder();
    let checks = checks(&folder, "", 0);
    for name in ["home", "configuration", "ipv4", "clock", "randomness", "listen"] {
        assert_eq!(status(&checks, name), "ok", "{checks:#?}");
    }
    for name in [
        "ipv6",
        "receive-buffer",
        "send-buffer",
        "offload",
        "dont-fragment",
        "ecn",
        "addresses",
        "packet-size",
        "firewall",
        "clock-sync",
        "open-files",
    ] {
        assert_ne!(status(&checks, name), "failed", "{checks:#?}");
    }
    for check in &checks {
        let advised = check["advice"].is_string();
        assert!(advised || check["status"] == "ok" || check["status"] == "skipped", "what to do? {check}");
        assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
    }
    assert!(!folder.path().join("home").exists());
    run(&mut telemesh(&folder, "id")).with_code(0);
    let text = run(&mut telemesh(&folder, "doctor")).with_code(0);
    assert!(
        text.text().contains("we are ") && text.stderr.contains(" ok, "),
        "{}{}",
        text.text(),
        text.stderr
    );
}

#[test]
fn a_wrong_configuration_and_a_taken_port_are_found() {
    let folder = folder();
    let path = file(&folder, "bad.toml", "listn = 1");
    let found = checks(&folder, &format!("--config {path}"), 1);
    assert_eq!(status(&found, "configuration"), "failed");
    checks(&folder, "--config /no/such/file", 1);
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = file(&folder, "taken.toml", format!("listen = \"{}\"", held.local_addr().unwrap()));
    let found = checks(&folder, &format!("--config {path}"), 1);
    assert_eq!((status(&found, "configuration"), status(&found, "listen")), (&"ok".into(), &"failed".into()));
}

#[cfg(unix)]
#[test]
fn a_home_and_a_key_that_are_open_to_others_are_found() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    run(&mut telemesh(&folder, "id")).with_code(0);
    let home = folder.path().join("home");
    set_permissions(home.join("key"), Permissions::from_mode(0o640)).unwrap();
    let found = checks(&folder, "", 1);
    assert_eq!((status(&found, "home"), status(&found, "key")), (&"ok".into(), &"failed".into()));
    let text = run(&mut telemesh(&folder, "doctor")).with_code(1);
    assert!(
        text.text().contains("chmod 600") && text.stderr.contains("not in order: key"),
        "{}",
        text.stderr
    );
    set_permissions(home.join("key"), Permissions::from_mode(0o600)).unwrap();
    set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(status(&checks(&folder, "", 1), "home"), "failed");
}

#[cfg(unix)]
#[test]
fn an_endpoint_that_is_up_is_found_and_not_disturbed() {
    let folder = folder();
    let (up, _) = crate::support::Running::waiting(&mut telemesh(&folder, "up"));
    let path = file(&folder, "mine.toml", "listen = \"127.0.0.1:4242\"");
    let found = checks(&folder, &format!("--config {path}"), 0);
    let running = found.iter().find(|check| check["check"] == "running").unwrap();
    assert!(running["found"].as_str().unwrap().contains("commands can use it"), "{running}");
    // Its port may be the one in the file, and then it is no wonder that it cannot be had.
    assert_eq!(status(&found, "listen"), "skipped");
    run(&mut telemesh(&folder, "status")).with_code(0);
    up.interrupt();
    up.end();
}

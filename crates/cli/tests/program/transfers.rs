//! Files through endpoints that are up: by the program, and by a program of somebody else's in thirty lines.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Running, alice_and_bob, file, noise, run, telemesh, wait_for_line};

const MIB: usize = 1 << 20;

/// Somebody who receives into a folder of its home.
fn receiving(home: &TempDir, options: &str) -> std::process::Child {
    let mut command = telemesh(home, &format!("receive --json {options}"));
    let mut receiving = command.arg(home.path().join("in")).spawn().unwrap();
    wait_for_line(receiving.stdout.as_mut().unwrap(), "ready");
    receiving
}

#[test]
fn a_file_and_a_folder_go_through_two_endpoints_that_are_up() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let mut receiving = receiving(&bob, "--once");
    let content = noise(3 * MIB, 21);
    let path = file(&alice, "photo.jpg", &content);
    fs::create_dir(alice.path().join("folder")).unwrap();
    file(&alice, "folder/note.txt", "hello");
    // Paths are those of whoever types them, wherever the endpoint was started.
    let sent = run(telemesh(&alice, "send bob --json").arg(path).arg("folder").current_dir(alice.path()));
    let sent = sent.with_code(0).objects();
    let last = sent.last().unwrap();
    assert_eq!((&last["event"], &last["name"]), (&"transferred".into(), &"bob".into()));
    assert_eq!((&last["files"], &last["missing"]), (&2.into(), &0.into()));
    assert!(receiving.wait().unwrap().success());
    assert!(fs::read(bob.path().join("in/photo.jpg")).unwrap() == content);
    assert_eq!(fs::read_to_string(bob.path().join("in/folder/note.txt")).unwrap(), "hello");
}

#[test]
fn files_are_refused_where_nobody_receives_them() {
    let [(alice, _alice_up), (_bob, _bob_up)] = alice_and_bob();
    let path = file(&alice, "note.txt", "hello");
    let refused = run(telemesh(&alice, "send bob").arg(path)).with_code(4);
    assert!(refused.stderr.contains("nobody receives files"), "{}", refused.stderr);
    run(telemesh(&alice, "send bob /no/such/file").stdin(Stdio::null())).with_code(2);
}

#[test]
fn removing_a_contact_ends_a_transfer_at_once_and_leaves_nothing_that_looks_whole() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let mut receiving = receiving(&bob, "");
    // So much that it is not through before somebody can say no.
    let path = file(&alice, "big", noise(192 * MIB, 22));
    let mut sending = telemesh(&alice, "send bob --json").arg(path).spawn().unwrap();
    wait_for_line(receiving.stdout.as_mut().unwrap(), "progress");
    run(&mut telemesh(&bob, "contacts remove alice")).with_code(0);
    let interrupted = wait_for_line(receiving.stdout.as_mut().unwrap(), "interrupted");
    assert_eq!(interrupted["transfer"], "big");
    assert!(!bob.path().join("in/big").exists());
    sending.kill().unwrap();
    receiving.kill().unwrap();
    sending.wait().unwrap();
    receiving.wait().unwrap();
    let status = run(&mut telemesh(&bob, "status --json")).with_code(0).objects().remove(0);
    assert_eq!(status["links"].as_array().unwrap().len(), 0, "{status}");
}

#[test]
fn a_transfer_goes_on_when_the_receiving_endpoint_was_killed() {
    let [(alice, _alice_up), (bob, mut bob_up)] = alice_and_bob();
    let content = noise(64 * MIB, 23);
    let path = file(&alice, "big", &content);
    let mut first = receiving(&bob, "");
    let sending = Running::start(telemesh(&alice, "send bob --json").arg(path));
    wait_for_line(first.stdout.as_mut().unwrap(), "progress");
    bob_up.kill();
    assert_eq!(first.wait().unwrap().code(), Some(1));
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let mut second = receiving(&bob, "--once");
    sending.end().with_code(0);
    assert!(second.wait().unwrap().success());
    assert!(fs::read(bob.path().join("in/big")).unwrap() == content);
}

#[test]
fn thirty_lines_of_python_send_a_file() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/send_file.py");
    let python = |home: &TempDir, arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).env("TELEMESH_HOME", home.path().join("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3 here");
        return;
    }
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let path = file(&alice, "note.txt", "hello from python");
    let refused = run(&mut python(&alice, &["bob", &path])).with_code(4);
    assert!(refused.stderr.contains("nobody receives files"), "{}", refused.stderr);
    let mut receiving = receiving(&bob, "--once");
    let sent = run(&mut python(&alice, &["bob", &path])).with_code(0);
    assert!(sent.text().contains("1 files are there, 0 entries are not"), "{}", sent.text());
    assert!(receiving.wait().unwrap().success());
    assert_eq!(fs::read_to_string(bob.path().join("in/note.txt")).unwrap(), "hello from python");
}

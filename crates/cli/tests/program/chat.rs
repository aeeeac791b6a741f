//! `telemesh chat` as scripts use it: lines in and out, objects, through the control socket, with hostile input.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Running, alice_and_bob, feed, folder, invite, run, telemesh};

/// The texts of others, in the order in which they were said.
fn heard(objects: &[Value]) -> Vec<&str> {
    let others = objects.iter().filter(|said| said["event"] == "chat-message" && said["own"] == false);
    others.map(|said| said["text"].as_str().unwrap()).collect()
}

#[test]
fn lines_said_here_come_out_there_and_are_confirmed() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "chat").stdin(Stdio::piped()));
    let mut saying =
        Running::start(telemesh(&folder, "chat --json --name bob").arg(invite(&ready)).stdin(Stdio::piped()));
    feed(saying.stdin(), b"hello\n\n//etc\nlast, without an end".to_vec());
    let said = saying.end().with_code(0).objects();
    let delivered = said.iter().filter(|said| said["event"] == "delivery" && said["received"] == said["of"]);
    assert!(delivered.count() >= 3, "{said:?}");
    drop(waiting.stdin());
    let objects = waiting.end().with_code(0).objects();
    assert_eq!(heard(&objects), ["hello", "/etc", "last, without an end"]);
    assert!(objects.iter().any(|said| said["event"] == "member" && said["name"] == "bob"));
    assert!(!folder.path().join("home").exists(), "a throw-away identity needs no home");
}

#[test]
fn what_others_write_does_nothing_to_a_terminal_and_long_or_broken_lines_harm_nobody() {
    let folder = folder();
    let (mut waiting, ready) = Running::waiting(telemesh(&folder, "chat").stdin(Stdio::piped()));
    let mut saying = Running::start(telemesh(&folder, "chat").arg(invite(&ready)).stdin(Stdio::piped()));
    let mut lines = b"\x1b[2Jcleared\xff\n".to_vec();
    lines.extend(vec![b'x'; 3 << 20]);
    lines.extend("\nafter \u{202e}that\n".as_bytes());
    feed(saying.stdin(), lines);
    let saying = saying.end().with_code(0);
    assert!(saying.stderr.contains("was not sent"), "{}", saying.stderr);
    drop(waiting.stdin());
    let objects = waiting.end().with_code(0).objects();
    assert_eq!(heard(&objects), ["\u{1b}[2Jcleared\u{fffd}", "after \u{202e}that"]);

    // The same shown to people.
    let (waiting, ready) = Running::waiting(telemesh(&folder, "chat").stdin(Stdio::piped()));
    let mut showing = Running::start(telemesh(&folder, "chat").arg(invite(&ready)).stdin(Stdio::piped()));
    let mut waiting = waiting;
    feed(waiting.stdin(), b"\x1b[2J\xe2\x80\xae\n".to_vec());
    waiting.end().with_code(0);
    drop(showing.stdin());
    let shown = showing.end().text();
    assert!(shown.contains("\\u{1b}[2J\\u{202e}") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_bad_name_or_room_is_said_in_words() {
    let folder = folder();
    run(&mut telemesh(&folder, "chat --as-me --room nowhere")).with_code(2);
    let [(alice, _alice_up), _bob] = alice_and_bob();
    let ended = run(telemesh(&alice, "chat bob --room").arg("a/b")).with_code(2);
    assert!(ended.stderr.contains("separator of paths"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn endpoints_that_are_up_keep_the_chat_for_whoever_is_away() {
    let [(alice, _alice_up), (bob, bob_up)] = alice_and_bob();
    let chat = |home, options: &str, lines: &[u8]| {
        let mut running = Running::start(telemesh(home, options).stdin(Stdio::piped()));
        feed(running.stdin(), lines.to_vec());
        running.end().with_code(0)
    };
    // Bob's endpoint has the invitation, whether somebody looks or not.
    let mut waiting = Running::start(telemesh(&bob, "chat --json").stdin(Stdio::piped()));
    chat(&alice, "chat bob --room lunch --lines", b"are you there?\n");
    drop(waiting.stdin());
    let objects = waiting.end().with_code(0).objects();
    assert_eq!(heard(&objects), ["are you there?"]);
    let list = run(&mut telemesh(&bob, "chat --list --json")).with_code(0).objects();
    assert_eq!((&list[0]["room"], &list[0]["unread"]), (&"lunch".into(), &0.into()));

    // He leaves, something is said, he comes back.
    drop(bob_up);
    chat(&alice, "chat --room lunch --lines --quiet", b"gone?\n");
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let mut back = Running::start(telemesh(&bob, "chat --json --stay").stdin(Stdio::piped()));
    // What he says is confirmed, so alice is linked, and what he has missed comes before it.
    let stdin = back.stdin();
    chat(&alice, "chat --room lunch --lines", b"welcome back\n");
    drop(stdin);
    back.interrupt();
    let objects = back.end().with_code(130).objects();
    assert!(heard(&objects).ends_with(&["gone?", "welcome back"]), "{objects:?}");
}

#[cfg(unix)]
#[test]
fn what_is_said_to_somebody_away_waits_in_a_routers_box_when_who_has_said_it_is_gone() {
    use super::boxes::{introduce, port, up};
    let [alice, router, bob] = [folder(), folder(), folder()];
    let cache = format!("--router --box {}", router.path().join("cache.redb").display());
    let [of_alice, of_router, of_bob] = [port(), port(), port()];
    let _router_up = up(&router, of_router, &cache);
    let (mut alice_up, mut bob_up) = (up(&alice, of_alice, ""), up(&bob, of_bob, ""));
    introduce((&router, "router"), (&alice, "alice"), "--grant box --grant router");
    introduce((&router, "router"), (&bob, "bob"), "--grant box --grant router");
    introduce((&alice, "alice"), (&bob, "bob"), "");
    // A router that leads to us keeps our messages as well, without a word about boxes.
    for (home, running, port) in [(&alice, &mut alice_up, of_alice), (&bob, &mut bob_up, of_bob)] {
        let shown = run(&mut telemesh(home, "contacts show router --json")).with_code(0).objects().remove(0);
        let router = shown["hashname"].as_str().unwrap().to_owned();
        run(telemesh(home, "contacts add router --router").arg(router)).with_code(0);
        running.interrupt();
        running.wait();
        *running = up(home, port, "");
    }
    let say = |home, options: &str, lines: &[u8]| {
        let mut running = Running::start(telemesh(home, options).stdin(Stdio::piped()));
        feed(running.stdin(), lines.to_vec());
        running.end().with_code(0)
    };
    let mut waiting = Running::start(telemesh(&bob, "chat --json").stdin(Stdio::piped()));
    say(&alice, "chat bob --room lunch --lines", b"are you there?\n");
    drop(waiting.stdin());
    assert_eq!(heard(&waiting.end().with_code(0).objects()), ["are you there?"]);
    bob_up.kill();

    say(&alice, "chat --room lunch --lines --quiet", b"one\ntwo\nthree\n");
    run(&mut telemesh(&alice, "stop")).with_code(0);
    alice_up.wait();

    let _bob_up = up(&bob, of_bob, "");
    let mut back = Running::start(telemesh(&bob, "chat --room lunch --json --stay").stdin(Stdio::piped()));
    let _stdin = back.stdin();
    let objects = back.until(|objects| heard(objects).len() >= 4);
    assert_eq!(heard(&objects), ["are you there?", "one", "two", "three"], "all of it once, and in order");
}

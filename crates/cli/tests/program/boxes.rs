//! Messages for those who are away, through endpoints that are killed.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, file, folder, objects, run, telemesh};

/// Makes `who` a contact of `whom` and the other way round, under these names.
fn introduce(whom: (&TempDir, &str), who: (&TempDir, &str), grant: &str) {
    let invite = format!("invite --name {} {grant} --json", who.1);
    let invited = run(&mut telemesh(whom.0, &invite)).with_code(0).objects().remove(0);
    let accept = format!("accept --as {}", whom.1);
    run(telemesh(who.0, &accept).arg(invited["invite"].as_str().unwrap())).with_code(0);
}

fn up(home: &TempDir, port: u16, options: &str) -> Running {
    Running::waiting(&mut telemesh(home, &format!("up --listen 127.0.0.1:{port} {options}"))).0
}

/// A port at which an endpoint is found again after it was killed.
fn port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What `box read` prints.
fn read(home: &TempDir, wait: u32) -> Vec<String> {
    let ended = run(&mut telemesh(home, &format!("box read --json --wait {wait}"))).with_code(0);
    let messages = ended.objects().into_iter().filter(|object| object["event"] == "message");
    messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

fn list(home: &TempDir, event: &str) -> Vec<Value> {
    let listed = run(&mut telemesh(home, "box list --json")).with_code(0);
    objects(&listed.text()).into_iter().filter(|object| object["event"] == event).collect()
}

#[test]
fn a_message_waits_with_a_cache_for_somebody_who_comes_when_its_sender_is_gone() {
    let [alice, router, bob] = [folder(), folder(), folder()];
    let cache = format!("--box {}", router.path().join("cache.redb").display());
    let [of_alice, of_router, of_bob] = [port(), port(), port()];
    let mut router_up = up(&router, of_router, &cache);
    let (mut alice_up, mut bob_up) = (up(&alice, of_alice, ""), up(&bob, of_bob, ""));
    introduce((&router, "router"), (&alice, "alice"), "--grant box");
    introduce((&router, "router"), (&bob, "bob"), "--grant box");
    introduce((&alice, "alice"), (&bob, "bob"), "");
    bob_up.kill();

    let mut sent = BTreeSet::new();
    for number in 0..6 {
        let note = file(&alice, "note", format!("number {number}"));
        let said = run(telemesh(&alice, "box send bob --via router --wait 20 --json").arg(note));
        let said = said.with_code(0).objects().remove(0);
        assert_eq!((&said["event"], &said["name"]), (&"boxed".into(), &"bob".into()));
        if number == 0 {
            assert_eq!(said["stage"], "cached", "{said}");
        }
        sent.insert(said["id"].as_str().unwrap().to_owned());
        // Whoever has said that it was sent or stored may die at any moment after that.
        match number {
            1 => {
                alice_up.kill();
                alice_up = up(&alice, of_alice, "");
            }
            3 => {
                router_up.kill();
                router_up = up(&router, of_router, &cache);
            }
            _ => {}
        }
    }
    let waiting = list(&alice, "boxed");
    assert_eq!(
        waiting.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(),
        sent
    );

    let mut bob_up = up(&bob, of_bob, "");
    let mut texts = read(&bob, 40);
    bob_up.kill();
    let _bob_up = up(&bob, of_bob, "");
    texts.extend(read(&bob, 3));
    let expected: Vec<_> = (0..6).map(|number| format!("number {number}")).collect();
    assert_eq!(texts, expected, "each once and in order, also after a restart");
    assert!(list(&bob, "unread").is_empty());
}

#[test]
fn a_box_is_for_contacts_and_a_message_has_one_source() {
    let alice = folder();
    let stranger = run(telemesh(&alice, "box send nobody").arg(file(&alice, "note", "hello"))).with_code(2);
    assert!(stranger.stderr.contains("no contact"), "{}", stranger.stderr);
}

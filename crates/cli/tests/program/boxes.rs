//! Messages for those who are away, through endpoints that are killed.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, file, folder, noise, objects, run, telemesh};

/// Makes `who` a contact of `whom` and the other way round, under these names.
pub(crate) fn introduce(whom: (&TempDir, &str), who: (&TempDir, &str), grant: &str) {
    let invite = format!("invite --name {} {grant} --json", who.1);
    let invited = run(&mut telemesh(whom.0, &invite)).with_code(0).objects().remove(0);
    let accept = format!("accept --as {}", whom.1);
    run(telemesh(who.0, &accept).arg(invited["invite"].as_str().unwrap())).with_code(0);
}

pub(crate) fn up(home: &TempDir, port: u16, options: &str) -> Running {
    Running::waiting(&mut telemesh(home, &format!("up --listen 127.0.0.1:{port} {options}"))).0
}

/// A port at which an endpoint is found again after it was killed.
pub(crate) fn port() -> u16 {
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

#[test]
fn files_for_somebody_away_wait_in_their_box_and_are_too_large_for_it_or_arrive_whole() {
    let [alice, router, bob] = [folder(), folder(), folder()];
    let cache = format!("--box {}", router.path().join("cache.redb").display());
    let [of_alice, of_router, of_bob] = [port(), port(), port()];
    let _router_up = up(&router, of_router, &cache);
    let (mut alice_up, mut bob_up) = (up(&alice, of_alice, ""), up(&bob, of_bob, ""));
    introduce((&router, "router"), (&alice, "alice"), "--grant box");
    introduce((&router, "router"), (&bob, "bob"), "--grant box");
    introduce((&alice, "alice"), (&bob, "bob"), "");
    bob_up.kill();
    alice_up.kill();
    file(&alice, "home/telemesh.toml", "box_via = [\"router\"]\n");
    let mut alice_up = up(&alice, of_alice, "");

    // Two parts, and a folder.
    let content = noise(5 << 20, 31);
    let photo = file(&alice, "photo.jpg", &content);
    std::fs::create_dir(alice.path().join("folder")).unwrap();
    file(&alice, "folder/note.txt", "hello");
    let sent =
        run(telemesh(&alice, "send bob --wait 1 --json").arg(photo).arg("folder").current_dir(alice.path()));
    let sent = sent.with_code(0).objects().pop().unwrap();
    assert_eq!(
        (&sent["event"], &sent["name"], &sent["files"]),
        (&"left-files".into(), &"bob".into(), &2.into())
    );
    assert_eq!(sent["stage"], "cached", "{sent}");
    let big = file(&alice, "big", noise(41 << 20, 32));
    let refused = run(telemesh(&alice, "send bob --wait 1").arg(&big)).with_code(3);
    assert!(refused.stderr.contains("40 MiB") && refused.stderr.contains("in parts"), "{}", refused.stderr);
    let refused = run(telemesh(&alice, "send bob --direct --wait 1").arg(&big).env("TELEMESH_LOG", "error"));
    refused.with_code(3);
    alice_up.kill();

    let mut bob_up = up(&bob, of_bob, "");
    let into = bob.path().join("in");
    let took = run(telemesh(&bob, "receive --once --json").arg(&into)).with_code(0).objects().pop().unwrap();
    assert_eq!(
        (&took["event"], &took["name"], &took["missing"]),
        (&"transferred".into(), &"alice".into(), &0.into())
    );
    assert!(std::fs::read(into.join("photo.jpg")).unwrap() == content);
    assert_eq!(std::fs::read_to_string(into.join("folder/note.txt")).unwrap(), "hello");
    // What has arrived does not come again.
    bob_up.kill();
    let _bob_up = up(&bob, of_bob, "");
    assert!(list(&bob, "unread").is_empty());
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_the_repair() {
    use std::os::unix::fs::PermissionsExt as _;
    let router = folder();
    up(&router, port(), "--box memory").kill();
    let secret = router.path().join("home/box.secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&mut telemesh(&router, "up --box memory")).with_code(1);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    up(&router, port(), "--box memory --box-total 1MiB --box-keep 1h").kill();
    run(&mut telemesh(&router, "up --box memory --box-total 1KiB")).with_code(2);
}

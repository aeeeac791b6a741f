//! Invites and contacts, between endpoints that are up and at homes where nothing is.

use serde_json::Value;

use crate::support::{Running, folder, run, telemesh};

#[test]
fn an_invite_makes_two_contacts_and_both_outlive_a_restart() {
    let (alice, bob) = (folder(), folder());
    let (alice_up, alice_ready) = Running::waiting(&mut telemesh(&alice, "up"));
    let (bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let invited = run(&mut telemesh(&alice, "invite --name bob --grant serve --for 1h --json"));
    let invited = invited.with_code(0).objects().remove(0);
    assert_eq!((&invited["uses"], &invited["name"]), (&1.into(), &"bob".into()));
    let open = run(&mut telemesh(&alice, "invite list --json")).with_code(0).objects();
    assert_eq!((open.len(), &open[0]["id"]), (1, &invited["id"]));
    assert!(open[0].get("invite").is_none(), "the secret is shown once");

    let uri = invited["invite"].as_str().unwrap();
    let accepted = run(telemesh(&bob, "accept --as alice --json").arg(uri)).with_code(0);
    let secret = uri.split_once('#').unwrap().1;
    assert!(!accepted.text().contains(secret) && !accepted.stderr.contains(secret));
    let accepted = &accepted.objects()[0];
    assert_eq!((&accepted["contact"], &accepted["hashname"]), (&"alice".into(), &alice_ready["hashname"]));
    assert!(run(&mut telemesh(&alice, "invite list --json")).with_code(0).objects().is_empty());

    // By name, either way.
    run(&mut telemesh(&bob, "ping alice -n 1")).with_code(0);
    run(&mut telemesh(&alice, "ping bob -n 1")).with_code(0);
    let contacts = run(&mut telemesh(&alice, "contacts --json")).with_code(0).objects();
    assert_eq!((&contacts[0]["contact"], &contacts[0]["state"]), (&"bob".into(), &"up".into()));
    assert_eq!(contacts[0]["grants"], serde_json::json!(["link", "serve"]));
    let status = run(&mut telemesh(&bob, "status --json")).with_code(0).objects().remove(0);
    assert_eq!(status["links"][0]["name"], "alice");
    assert_eq!(status["links"][0]["path"], alice_ready["addresses"][0]);
    assert!(status["links"][0]["sent_bytes"].as_u64().unwrap() > 0);
    let explained = run(&mut telemesh(&bob, "explain alice --json")).with_code(0).objects().remove(0);
    assert_eq!((&explained["state"], &explained["path"]), (&"up".into(), &alice_ready["addresses"][0]));
    assert!(explained["paths"].as_array().unwrap().iter().any(|path| path["in_use"] == true));

    run(&mut telemesh(&bob, "stop")).with_code(0);
    bob_up.end().with_code(0);
    // In a process of its own, since nothing is up there any more.
    run(&mut telemesh(&bob, "ping alice -n 1")).with_code(0);
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    run(&mut telemesh(&bob, "ping alice -n 1")).with_code(0);
    drop(alice_up);
}

#[test]
fn an_invite_that_is_used_up_or_revoked_lets_nobody_in() {
    let (alice, bob, carol) = (folder(), folder(), folder());
    let (_up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    let invite = || run(&mut telemesh(&alice, "invite --json")).with_code(0).objects().remove(0);
    let (used, revoked) = (invite(), invite());
    let accept = |home, invite: &Value| {
        run(telemesh(home, "accept --timeout 1 --json").arg(invite["invite"].as_str().unwrap()))
    };
    accept(&bob, &used).with_code(0);
    accept(&carol, &used).with_code(3);
    run(telemesh(&alice, "invite revoke").arg(revoked["id"].as_str().unwrap())).with_code(0);
    run(telemesh(&alice, "invite revoke").arg(revoked["id"].as_str().unwrap())).with_code(2);
    accept(&carol, &revoked).with_code(3);
    assert!(run(&mut telemesh(&carol, "contacts --json")).with_code(0).objects().is_empty());
    assert_eq!(run(&mut telemesh(&alice, "contacts --json")).with_code(0).objects().len(), 1);
}

#[test]
fn without_an_endpoint_nobody_would_answer_an_invite() {
    let ended = run(&mut telemesh(&folder(), "invite")).with_code(1);
    assert!(ended.stderr.contains("telemesh up"), "{}", ended.stderr);
}

#[test]
fn contacts_are_kept_at_a_home_where_nothing_is_up() {
    let (alice, bob) = (folder(), folder());
    let bob_id = run(&mut telemesh(&bob, "id --json")).with_code(0).objects().remove(0);
    let add = |name: &str| {
        run(telemesh(&alice, &format!("contacts add {name}")).arg(bob_id["uri"].as_str().unwrap()))
    };
    add("bob").with_code(0);
    let shown = run(&mut telemesh(&alice, "contacts show bob --json")).with_code(0).objects().remove(0);
    assert_eq!((&shown["hashname"], &shown["link"]), (&bob_id["hashname"], &bob_id["link"]));
    let unknown = run(&mut telemesh(&alice, "ping bbo")).with_code(2);
    assert!(unknown.stderr.contains("`bob`"), "{}", unknown.stderr);
    for bad in ["-rf", "@x", "a:b", "x y"] {
        let mut command = telemesh(&alice, "contacts add --");
        run(command.arg(bad).arg(bob_id["uri"].as_str().unwrap())).with_code(2);
    }
    run(telemesh(&alice, "contacts add")
        .args([&bob_id["hashname"], &bob_id["hashname"]].map(|v| v.as_str().unwrap())))
    .with_code(2);
    run(&mut telemesh(&alice, "contacts remove bob")).with_code(0);
    run(&mut telemesh(&alice, "contacts show bob")).with_code(2);
    assert!(run(&mut telemesh(&alice, "contacts --json")).with_code(0).objects().is_empty());
}

#[test]
fn somebody_who_is_only_pinged_is_no_contact() {
    let (alice, bob) = (folder(), folder());
    let (_alice_up, alice_ready) = Running::waiting(&mut telemesh(&alice, "up --invite"));
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    run(telemesh(&bob, "ping -n 1").arg(crate::support::invite(&alice_ready))).with_code(0);
    assert!(run(&mut telemesh(&bob, "contacts --json")).with_code(0).objects().is_empty());
}

#[test]
fn removing_a_contact_ends_what_goes_on_at_once() {
    use std::process::Stdio;
    let (alice, bob) = (folder(), folder());
    let (_alice_up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let invited = run(&mut telemesh(&alice, "invite --name bob --json")).with_code(0).objects().remove(0);
    run(telemesh(&bob, "accept --as alice").arg(invited["invite"].as_str().unwrap())).with_code(0);

    let mut waiting = telemesh(&alice, "pipe --json").stdin(Stdio::piped()).spawn().unwrap();
    crate::support::wait_for_line(waiting.stderr.as_mut().unwrap(), "ready");
    let mut sending = telemesh(&bob, "pipe alice --json").stdin(Stdio::piped()).spawn().unwrap();
    crate::support::wait_for_line(sending.stderr.as_mut().unwrap(), "open");
    // Both would go on for ever.
    run(&mut telemesh(&alice, "contacts remove bob")).with_code(0);
    assert_eq!(waiting.wait().unwrap().code(), Some(1));
    assert_eq!(sending.wait().unwrap().code(), Some(1));
    // From now on silence.
    run(&mut telemesh(&bob, "ping alice --timeout 0.5")).with_code(3);
}

#[test]
fn contacts_of_the_configuration_come_and_go_with_it() {
    let (alice, bob, carol) = (folder(), folder(), folder());
    let id = |home| run(&mut telemesh(home, "id --json")).with_code(0).objects().remove(0);
    let (bob_id, carol_id) = (id(&bob), id(&carol));
    let line =
        |name: &str, id: &Value| format!("[contacts.{name}]\nlink = \"{}\"\n", id["uri"].as_str().unwrap());
    id(&alice);
    let path = alice.path().join("home/telemesh.toml");
    std::fs::write(&path, line("bob", &bob_id)).unwrap();
    let names = || -> Vec<Value> {
        let contacts = run(&mut telemesh(&alice, "contacts --json")).with_code(0).objects();
        contacts.into_iter().map(|contact| contact["contact"].clone()).collect()
    };
    let (up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    assert_eq!(names(), ["bob"]);
    let refused = run(&mut telemesh(&alice, "contacts remove bob")).with_code(1);
    assert!(refused.stderr.contains("configuration"), "{}", refused.stderr);

    std::fs::write(&path, line("carol", &carol_id)).unwrap();
    let reloaded = run(&mut telemesh(&alice, "reload --json")).with_code(0).objects().remove(0);
    assert_eq!(reloaded["event"], "reloaded");
    assert_eq!(reloaded["changes"].as_array().unwrap().len(), 2, "{reloaded}");
    assert_eq!(names(), ["carol"]);
    std::fs::write(&path, "contacts = 1\n").unwrap();
    run(&mut telemesh(&alice, "reload")).with_code(1);
    assert_eq!(names(), ["carol"], "a mistake changes nothing");

    // Also when nothing was up while the file was changed.
    run(&mut telemesh(&alice, "stop")).with_code(0);
    up.end().with_code(0);
    std::fs::write(&path, "").unwrap();
    let (_up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    assert!(names().is_empty());
}

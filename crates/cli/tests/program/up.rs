//! `telemesh up`: one endpoint per home, which other commands use.

use crate::support::{Running, folder, invite, objects, run, telemesh};

#[test]
fn commands_use_the_endpoint_that_is_up_and_stop_ends_it() {
    let (one, other) = (folder(), folder());
    let (up, ready) = Running::waiting(&mut telemesh(&one, "up --invite"));
    let id = run(&mut telemesh(&one, "id --json")).with_code(0).objects().remove(0);
    assert_eq!(id["hashname"], ready["hashname"]);
    assert_eq!(id["uri"], ready["uri"], "with the addresses of the endpoint that is up");

    let pings = run(telemesh(&other, "ping -n 2 --as-me --json").arg(invite(&ready))).with_code(0).objects();
    assert!(pings.len() == 2 && pings.iter().all(|ping| ping["rtt_us"].is_u64()), "{pings:?}");

    let status = run(&mut telemesh(&one, "status --json")).with_code(0).objects().remove(0);
    assert_eq!((&status["hashname"], &status["addresses"]), (&ready["hashname"], &ready["addresses"]));
    let bearer = run(&mut telemesh(&other, "id --json")).with_code(0).objects().remove(0);
    assert_eq!(status["links"][0]["hashname"], bearer["hashname"]);
    let text = run(&mut telemesh(&one, "status")).with_code(0).text();
    assert!(text.contains(ready["hashname"].as_str().unwrap()), "{text}");

    let stopped = run(&mut telemesh(&one, "stop --json")).with_code(0).objects();
    assert_eq!(stopped, [serde_json::json!({"v": 1, "event": "closed", "delivered": true})]);
    let up = up.end().with_code(0);
    let events = objects(&up.text());
    let states: Vec<_> = events.iter().filter_map(|event| event["state"].as_str()).collect();
    assert_eq!(states, ["up", "down"]);
    assert_eq!(events.last(), stopped.last());
    assert!(!one.path().join("home/control.sock").exists());
}

#[test]
fn without_an_endpoint_there_is_no_status_and_nothing_to_stop() {
    let folder = folder();
    for command in ["status", "stop"] {
        let ended = run(&mut telemesh(&folder, command)).with_code(1);
        assert!(ended.stderr.contains("telemesh up"), "{}", ended.stderr);
    }
    assert!(!folder.path().join("home").exists());
}

#[test]
fn a_home_has_one_endpoint_and_the_second_hears_which_process_it_is() {
    let folder = folder();
    let (up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    let second = run(&mut telemesh(&folder, "up --listen 127.0.0.1:0")).with_code(1);
    assert!(second.stderr.contains(&format!("process {}", up.id())), "{}", second.stderr);
    // The first one is none the worse for it.
    run(&mut telemesh(&folder, "status")).with_code(0);
    #[cfg(unix)]
    {
        let home = folder.path().join("home");
        assert_eq!(crate::support::mode(&home.join("control.sock")), 0o600);
        assert_eq!(crate::support::mode(&home.join("lock")), 0o600);
    }
}

#[cfg(unix)]
#[test]
fn what_a_killed_endpoint_leaves_behind_is_in_nobodys_way() {
    let folder = folder();
    let (mut up, before) = Running::waiting(&mut telemesh(&folder, "up"));
    up.kill();
    assert!(folder.path().join("home/control.sock").exists());
    run(&mut telemesh(&folder, "status")).with_code(1);
    let (up, after) = Running::waiting(&mut telemesh(&folder, "up"));
    assert_eq!(before["hashname"], after["hashname"]);
    run(&mut telemesh(&folder, "status")).with_code(0);
    up.interrupt();
    let last = up.end().with_code(0).objects().pop().unwrap();
    assert_eq!((&last["event"], &last["delivered"]), (&"closed".into(), &true.into()));
    assert!(!folder.path().join("home/control.sock").exists());
}

#[test]
fn an_address_of_its_own_makes_no_sense_for_a_command_at_an_endpoint_that_is_up() {
    let folder = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&folder, "up"));
    run(&mut telemesh(&folder, "perf --listen 127.0.0.1:0")).with_code(2);
}

#[test]
fn an_endpoint_that_is_public_by_choice_is_reached_through_quic_alone() {
    let (one, other) = (folder(), folder());
    let (up, ready) = Running::waiting(&mut telemesh(&one, "up --invite --public --listen quic:127.0.0.1:0"));
    let addresses: Vec<_> =
        ready["addresses"].as_array().unwrap().iter().map(|address| address.as_str().unwrap()).collect();
    let port_of = |kind: &str| {
        let address = addresses.iter().find_map(|address| address.strip_prefix(kind)).expect(kind);
        address.rsplit_once(':').unwrap().1.to_owned()
    };
    let (udp, quic) = (port_of("udp:"), port_of("quic:"));
    // Where its UDP is said to be, there is nobody.
    let invite = invite(&ready).replace(&format!("127.0.0.1:{udp}"), "127.0.0.1:1");
    let pings = run(telemesh(&other, "ping -n 2 --as-me --json").arg(invite)).with_code(0).objects();
    assert_eq!(pings.len(), 2);
    assert_eq!(pings[0]["path"], format!("quic:127.0.0.1:{quic}"));
    run(&mut telemesh(&one, "stop")).with_code(0);
    up.end().with_code(0);
}

#[test]
fn listening_for_quic_asks_for_being_public() {
    let folder = folder();
    let ended = run(&mut telemesh(&folder, "up --listen quic:127.0.0.1:0")).with_code(2);
    assert!(ended.stderr.contains("telemesh up --public"), "{}", ended.stderr);
    let ended = run(&mut telemesh(&folder, "up --listen tcp:127.0.0.1:0")).with_code(2);
    assert!(ended.stderr.contains("quic:0.0.0.0:443"), "{}", ended.stderr);
}

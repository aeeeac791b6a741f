//! `discover` and discover mode, on this machine alone: who asks is noticed, shown, and trusted by its hashname. What is heard on a
//! network is tried by `cargo xtask namespaces`.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, file, folder, run, telemesh, wait_for_line};

/// Who the endpoint of a home is.
fn hashname(home: &TempDir) -> String {
    run(&mut telemesh(home, "id --json")).with_code(0).objects()[0]["hashname"].as_str().unwrap().to_owned()
}

/// Somebody whom nobody trusts asks for a link until it is told enough.
fn asks(home: &TempDir, ready: &Value) -> Running {
    let mut command = telemesh(home, "ping --timeout 600");
    Running::start(command.arg(ready["uri"].as_str().unwrap()))
}

#[test]
fn whoever_asks_in_discover_mode_is_shown_and_trusted_by_its_hashname_alone() {
    let (alice, bob) = (folder(), folder());
    let (alice_up, ready) = Running::waiting(&mut telemesh(&alice, "up --discover=forever"));
    let bob_is = hashname(&bob);
    let asking = asks(&bob, &ready);

    // Who was noticed before is shown to whoever looks later, too.
    for _ in 0..2 {
        let mut looking = telemesh(&alice, "discover --announce --for 1h --json").spawn().unwrap();
        let noticed = wait_for_line(looking.stdout.as_mut().unwrap(), "discovered");
        looking.kill().unwrap();
        looking.wait().unwrap();
        assert_eq!((&noticed["hashname"], &noticed["via"]), (&bob_is.as_str().into(), &"request".into()));
        assert!(noticed["paths"][0].as_str().unwrap().starts_with("udp:127.0.0.1:"), "{noticed}");
        assert_eq!(noticed["link"]["hashname"], bob_is.as_str());
        assert!(noticed.get("name").is_none(), "nobody knows its name: {noticed}");
    }

    let added =
        run(&mut telemesh(&alice, &format!("contacts add bob {bob_is} --json"))).with_code(0).objects();
    assert_eq!(added[0]["contact"], "bob");
    assert_ne!(added[0]["state"], "unresolved", "keys and paths are known: {}", added[0]);
    // Now it is answered.
    asking.end().with_code(0);

    run(&mut telemesh(&alice, "stop")).with_code(0);
    let said = alice_up.end().with_code(0).objects();
    let discovered: Vec<_> = said.iter().filter(|event| event["event"] == "discovered").collect();
    assert!(discovered.len() == 1 && discovered[0]["hashname"] == bob_is.as_str(), "{discovered:?}");
}

#[test]
fn people_are_told_what_to_type() {
    let (alice, bob) = (folder(), folder());
    let (_alice_up, ready) = Running::waiting(&mut telemesh(&alice, "up --discover"));
    let bob_is = hashname(&bob);
    let _asking = asks(&bob, &ready);
    let mut looking = telemesh(&alice, "discover --announce --for 1h --json").spawn().unwrap();
    wait_for_line(looking.stdout.as_mut().unwrap(), "discovered");
    looking.kill().unwrap();
    looking.wait().unwrap();
    let shown = run(&mut telemesh(&alice, "discover --announce --for 1s")).with_code(0);
    assert!(
        shown.text().starts_with(&format!("{bob_is} asks for a link, from udp:127.0.0.1:")),
        "{}",
        shown.text()
    );
    // What is told holds also when nobody remembers who was heard.
    let told =
        shown.stderr.split("telemesh contacts add NAME '").nth(1).and_then(|text| text.split('\'').next());
    let elsewhere = folder();
    let added =
        run(telemesh(&elsewhere, "contacts add bob --json").arg(told.unwrap())).with_code(0).objects();
    assert_eq!(added[0]["hashname"], bob_is.as_str());
    assert_eq!(added[0]["link"]["paths"][0]["ip"], "127.0.0.1", "{added:?}");
}

#[test]
fn discover_mode_of_a_command_ends_with_it_and_that_of_the_endpoint_does_not() {
    for (up, still_on) in [("up", false), ("up --discover=forever", true)] {
        let (alice, bob, carol) = (folder(), folder(), folder());
        let (alice_up, ready) = Running::waiting(&mut telemesh(&alice, up));
        let asking = asks(&bob, &ready);
        let mut looking = telemesh(&alice, "discover --announce --for 1h --json").spawn().unwrap();
        wait_for_line(looking.stdout.as_mut().unwrap(), "discovered");
        looking.kill().unwrap();
        looking.wait().unwrap();
        drop(asking);
        // The end of a client is noticed by a command of its own; the next request is served after that.
        let commands = || {
            let status = run(&mut telemesh(&alice, "status --json")).with_code(0).objects();
            status[0]["commands"].as_u64().unwrap()
        };
        while commands() > 1 {}

        let mut command = telemesh(&carol, "ping --timeout 3");
        run(command.arg(ready["uri"].as_str().unwrap())).with_code(3);
        run(&mut telemesh(&alice, "stop")).with_code(0);
        let said = alice_up.end().with_code(0).objects();
        let carol_is = hashname(&carol);
        let noticed = said.iter().any(|event| event["hashname"] == carol_is.as_str());
        assert_eq!(noticed, still_on, "{up}: {said:?}");
    }
}

#[test]
fn an_endpoint_on_loopback_alone_hears_nobody_and_says_so() {
    let alice = folder();
    let (_alice_up, _) = Running::waiting(&mut telemesh(&alice, "up"));
    let failed = run(&mut telemesh(&alice, "discover --json")).with_code(1);
    let error = &failed.objects()[0];
    assert!(error["error"].as_str().unwrap().contains("doctor"), "{error}");
}

#[test]
fn how_long_is_checked_where_it_is_typed() {
    let alice = folder();
    for wrong in ["up --discover=0s", "up --discover=soon", "discover --for 0s", "discover --for forever"] {
        run(telemesh(&alice, wrong).stdin(Stdio::null())).with_code(2);
    }
    let config = file(&alice, "telemesh.toml", "discover = \"soon\"\nmdns = 1\n");
    let checked = run(telemesh(&alice, "config check").arg(&config)).with_code(1);
    let said = checked.text();
    assert!(said.contains("forever") && said.contains("true or false"), "{said}");
}

#[test]
fn the_configuration_switches_discover_mode_on_and_a_reload_off() {
    let (alice, bob) = (folder(), folder());
    let config = file(&alice, "telemesh.toml", "discover = \"forever\"\nmdns = false\n");
    let (alice_up, ready) = Running::waiting(&mut telemesh(&alice, &format!("up --config {config}")));
    std::fs::write(&config, "mdns = false\n").unwrap();
    let reloaded = run(&mut telemesh(&alice, "reload --json")).with_code(0).objects();
    assert_eq!(reloaded[0]["changes"], serde_json::json!(["discover"]));
    run(telemesh(&bob, "ping --timeout 2").arg(ready["uri"].as_str().unwrap())).with_code(3);
    run(&mut telemesh(&alice, "stop")).with_code(0);
    let said = alice_up.end().with_code(0).objects();
    assert!(said.iter().all(|event| event["event"] != "discovered"), "{said:?}");
}

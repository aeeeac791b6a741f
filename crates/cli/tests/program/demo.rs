//! `telemesh demo`, with small transfers.

use crate::support::{folder, run, telemesh};

#[test]
fn every_step_of_the_demonstration_works() {
    let folder = folder();
    let steps = run(&mut telemesh(&folder, "demo --size 4 --json")).with_code(0).objects();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "link",
            "stream",
            "requests",
            "sock",
            "thtp",
            "ws",
            "chat",
            "address-change",
            "restart",
            "router",
            "box",
            "silence"
        ]
    );
    for step in &steps {
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["ms"].as_f64().unwrap() >= 0.0, "{step}");
    }
    assert!(!folder.path().join("home").exists(), "the demonstration leaves nothing behind");
}

#[test]
fn people_see_a_line_per_step() {
    let folder = folder();
    let ended = run(&mut telemesh(&folder, "demo --size 1")).with_code(0);
    assert_eq!(ended.text().lines().filter(|line| line.starts_with("ok ")).count(), 12, "{}", ended.text());
}

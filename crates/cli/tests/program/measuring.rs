//! `telemesh ping` and `telemesh perf`.

use serde_json::Value;

use crate::support::{Running, folder, invite, run, telemesh};

#[test]
fn each_ping_says_its_round_trip_and_path() {
    let folder = folder();
    let (_waiting, ready) = Running::waiting(&mut telemesh(&folder, "perf"));
    let pings = run(telemesh(&folder, "ping -n 3 --json").arg(invite(&ready))).with_code(0).objects();
    assert_eq!(pings.len(), 3);
    for (ping, seq) in pings.iter().zip(1..) {
        assert_eq!(ping["seq"], seq);
        assert!(ping["rtt_us"].as_u64().unwrap() < 1_000_000, "{ping}");
        assert_eq!(ping["path"], ready["addresses"][0]);
    }
    let text = run(telemesh(&folder, "ping -n 1").arg(invite(&ready))).with_code(0).text();
    assert!(text.contains(" ms") && text.contains("udp:127.0.0.1:"), "{text}");
}

#[test]
fn perf_says_all_figures_and_one_alone_on_request() {
    let folder = folder();
    let (_waiting, ready) = Running::waiting(&mut telemesh(&folder, "perf"));
    let all = run(telemesh(&folder, "perf --size 4 --json").arg(invite(&ready))).with_code(0).objects();
    let [all] = &all[..] else { panic!("one object: {all:?}") };
    let mut keys: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    // The order is none of a reader's business: it depends on who else in a build wants objects in order.
    keys.sort_unstable();
    let figures = [
        "down_mib_s",
        "opens_per_s",
        "path",
        "rtt_p50_us",
        "rtt_p99_us",
        "throughput_mib_s",
        "up_mib_s",
        "v",
    ];
    assert_eq!(keys, figures);
    for figure in figures.iter().filter(|key| !["path", "v"].contains(key)) {
        assert!(all[figure].as_f64().unwrap() > 0.0, "{all}");
    }
    assert!(all["rtt_p99_us"].as_f64() >= all["rtt_p50_us"].as_f64());
    assert_eq!(all["path"], ready["addresses"][0]);

    let one = run(telemesh(&folder, "perf --only rtt --json").arg(invite(&ready))).with_code(0).objects();
    assert!(one[0]["rtt_p50_us"].is_f64());
    assert_eq!((&one[0]["throughput_mib_s"], &one[0]["opens_per_s"]), (&Value::Null, &Value::Null));
}

#[test]
fn more_channels_than_a_peer_may_have_open_pass_one_after_the_other() {
    let folder = folder();
    let (_waiting, ready) = Running::waiting(&mut telemesh(&folder, "perf"));
    for _ in 0..2 {
        let one =
            run(telemesh(&folder, "perf --only opens --json").arg(invite(&ready))).with_code(0).objects();
        assert!(one[0]["opens_per_s"].as_f64().unwrap() > 0.0);
    }
}

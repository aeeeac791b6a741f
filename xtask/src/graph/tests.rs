//! Made-up graphs: every kind of wrong arrow must be named, and the arrows of the plan must pass.

use std::collections::BTreeSet;

use super::compiled::LIMITS;
use super::layers::LAYERS;
use super::{Arrow, Graph, Kind, layer_of};

fn graph(arrows: &[(&str, &str, Kind)]) -> Graph {
    let mut graph = Graph::default();
    for (from, to, kind) in arrows {
        graph.crates.extend([(*from).to_owned(), (*to).to_owned()]);
        graph.arrows.insert(Arrow { from: (*from).to_owned(), to: (*to).to_owned(), kind: *kind });
    }
    graph
}

#[track_caller]
fn assert_wrong(from: &str, to: &str, kind: Kind, wanted: &str) {
    let problems = graph(&[(from, to, kind)]).problems();
    assert!(problems.len() == 1 && problems.iter().all(|text| text.contains(wanted)), "{problems:#?}");
}

#[track_caller]
fn assert_right(from: &str, to: &str, kind: Kind) {
    assert_eq!(graph(&[(from, to, kind)]).problems(), [""; 0]);
}

#[test]
fn arrows_that_point_downward_are_right() {
    assert_right("telemesh-wire", "telemesh-hashname", Kind::Built);
    assert_right("telemesh-link", "telemesh-keys", Kind::Built);
    assert_right("telemesh-mesh", "telemesh-engine", Kind::Built);
    assert_right("telemesh-stream", "telemesh-channel", Kind::Built);
    assert_right("telemesh", "telemesh-udp", Kind::Built);
    assert_right("telemesh-cli", "telemesh", Kind::Built);
    assert_right("telemesh-testkit", "telemesh-mesh", Kind::Built);
}

#[test]
fn an_upward_arrow_is_wrong() {
    assert_wrong("telemesh-hashname", "telemesh-keys", Kind::Built, "upward, from layer base to formats");
    assert_wrong("telemesh-mesh", "telemesh-udp", Kind::Built, "upward");
    assert_wrong("telemesh-channel", "telemesh-mesh", Kind::Built, "upward");
    assert_wrong("telemesh-udp", "telemesh-stream", Kind::Built, "upward");
    assert_wrong("telemesh", "telemesh-cli", Kind::Built, "upward");
}

#[test]
fn a_sideways_arrow_is_wrong_unless_declared() {
    assert_wrong("telemesh-link", "telemesh-engine", Kind::Built, "sideways in layer protocol");
    assert_wrong("telemesh-wire", "telemesh-keys", Kind::Built, "sideways");
    assert_wrong("telemesh-chat", "telemesh-box", Kind::Built, "sideways");
    assert_right("telemesh-ws", "telemesh-thtp", Kind::Built);
    assert_wrong("telemesh-thtp", "telemesh-ws", Kind::Built, "sideways");
}

#[test]
fn a_channel_knows_neither_the_runtime_nor_a_transport() {
    for to in ["telemesh-mesh", "telemesh-link", "telemesh-engine", "telemesh-transport", "telemesh-udp"] {
        assert_wrong("telemesh-stream", to, Kind::Built, &format!("layer channels must not know {to}"));
    }
    assert_wrong("telemesh-udp", "telemesh-mesh", Kind::Built, "must not know");
    assert_wrong("telemesh-channel", "telemesh-link", Kind::Built, "must not know");
}

#[test]
fn test_crates_are_for_tests() {
    assert_wrong("telemesh-mesh", "telemesh-simnet", Kind::Built, "only a dev-dependency");
    assert_wrong("telemesh-cli", "telemesh-testkit", Kind::Built, "only a dev-dependency");
    assert_right("telemesh-link", "telemesh-simnet", Kind::Dev);
    assert_right("telemesh-link", "telemesh-testkit", Kind::Dev);
    assert_right("telemesh-testkit", "telemesh-simnet", Kind::Built);
    assert_wrong("telemesh-simnet", "telemesh-hashname", Kind::Built, "sideways in layer base");
}

#[test]
fn tests_may_join_parts_below_and_beside_but_not_above() {
    assert_right("telemesh-stream", "telemesh-mesh", Kind::Dev);
    assert_right("telemesh-link", "telemesh-engine", Kind::Dev);
    assert_wrong("telemesh-link", "telemesh-mesh", Kind::Dev, "upward");
}

#[test]
fn the_chores_link_nothing_of_ours_but_the_bad_network() {
    assert_wrong("xtask", "telemesh-wire", Kind::Built, "upward");
    assert_wrong("xtask", "telemesh-hashname", Kind::Built, "layer tools must not know");
    assert_right("xtask", "telemesh-wan", Kind::Built);
    assert_wrong("telemesh-udp", "telemesh-wan", Kind::Built, "only a dev-dependency");
}

#[test]
fn a_crate_without_a_layer_is_named_once() {
    let problems = graph(&[
        ("telemesh-new", "telemesh-wire", Kind::Built),
        ("telemesh-cli", "telemesh-new", Kind::Built),
    ])
    .problems();
    assert_eq!(problems, ["telemesh-new stands in no layer: give it one"]);
}

#[test]
fn no_crate_stands_in_two_layers() {
    let mut seen = BTreeSet::new();
    for layer in LAYERS {
        for name in layer.crates {
            assert!(seen.insert(name), "{name} stands in two layers");
        }
        for name in layer.never {
            assert!(layer_of(name).is_some(), "{name} stands in no layer");
        }
    }
}

#[test]
fn the_drawing_names_each_crate_and_sets_test_arrows_apart() {
    let drawing = graph(&[
        ("telemesh-link", "telemesh-wire", Kind::Built),
        ("telemesh-link", "telemesh-simnet", Kind::Dev),
    ])
    .drawing();
    let lines: Vec<Vec<&str>> = drawing.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["protocol", "telemesh-link", "[simnet]", "wire"],
            vec!["formats", "telemesh-wire", "-"],
            vec!["base", "telemesh-simnet", "-"],
        ]
    );
}

#[test]
fn what_a_small_crate_must_not_compile_is_named() {
    let problems = |package: &str, compiled: &[&'static str]| {
        let limit = LIMITS.iter().find(|limit| limit.package == package).unwrap();
        limit.problems(&compiled.iter().copied().collect())
    };
    assert_eq!(problems("telemesh-hashname", &["telemesh-hashname", "sha2", "digest"]), [""; 0]);
    assert_eq!(
        problems("telemesh-hashname", &["telemesh-hashname", "serde"]),
        ["telemesh-hashname compiles serde, which it must not"]
    );
    assert_eq!(problems("telemesh-link", &["telemesh-link", "telemesh-wire", "snow"]), [""; 0]);
    assert_eq!(problems("telemesh-link", &["tokio", "tokio-util", "quinn-proto", "tokyo"]).len(), 3);
    assert_eq!(problems("telemesh-engine", &["telemesh-engine", "quinn-proto"]), [""; 0]);
    assert_eq!(problems("telemesh-simnet", &["telemesh-simnet", "telemesh-hashname"]).len(), 1);
}

//! What an endpoint tells about itself: traffic, figures for a recorder, traces of its reliable channels.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use telemesh_channel::Acceptor as _;
use telemesh_testkit::{TRANSFER, Tally, World, serve, transfer};

const SIZE: u64 = 1 << 20;

#[test]
fn traffic_is_counted_at_both_ends() {
    World::run(1, |world| async move {
        let (alice, bob) = (world.node("alice"), world.node("bob"));
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = world.link(&alice, &bob).await;
        transfer(&link, 1, SIZE).await.unwrap();
        let (ours, theirs) = (link.traffic(), bob.mesh().find(&alice.hashname()).unwrap().traffic());
        assert!(ours.bytes_sent > SIZE && ours.bytes_sent < SIZE + SIZE / 4, "{ours:?}");
        // The handshake is not the session's, and the last acknowledgements may be on their way.
        assert!(theirs.bytes_received <= ours.bytes_sent && theirs.bytes_received > SIZE, "{theirs:?}");
        assert!(theirs.packets_received <= ours.packets_sent && ours.packets_sent > SIZE / 1_500);
        assert_eq!(alice.mesh().metrics().traffic, ours);
    });
}

/// Keeps the last value of every figure, by its name and labels.
#[derive(Default)]
struct Figures(Arc<Mutex<BTreeMap<String, f64>>>);

struct Figure(String, Arc<Mutex<BTreeMap<String, f64>>>);

impl Figure {
    fn set(&self, value: f64) {
        self.1.lock().unwrap().insert(self.0.clone(), value);
    }
}

impl CounterFn for Figure {
    fn increment(&self, _: u64) {}

    fn absolute(&self, value: u64) {
        self.set(value as f64);
    }
}

impl GaugeFn for Figure {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.set(value);
    }
}

impl Figures {
    fn figure(&self, key: &Key) -> Arc<Figure> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Figure(format!("{}{{{}}}", key.name(), labels.join(",")), self.0.clone()))
    }
}

impl metrics::Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.figure(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.figure(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_gets_the_figures_with_the_endpoint_as_a_label() {
    World::run(2, |world| async move {
        let (alice, bob, carol) = (world.node("alice"), world.node("bob"), world.node("carol"));
        world.link(&alice, &bob).await;
        assert!(carol.mesh().link(bob.info()).await.is_err());
        let (recorder, hashname) = (Figures::default(), bob.hashname());
        metrics::with_local_recorder(&recorder, || bob.mesh().metrics().record(&hashname));
        let figures = recorder.0.lock().unwrap().clone();
        let of = |name: &str| figures[&format!("{name}{{endpoint={}}}", hashname.short())];
        assert_eq!((of("telemesh_links") as u64, of("telemesh_links_up") as u64), (1, 1));
        assert!(of("telemesh_link_bytes_received") > 0.0);
        let dropped =
            format!("telemesh_packets_dropped_total{{endpoint={},reason=not trusted}}", hashname.short());
        assert!(figures[&dropped] > 0.0, "{figures:?}");
    });
}

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_traced_link_writes_qlog_and_works_with_one_that_is_not() {
    World::run(3, |world| async move {
        let written = Written::default();
        let writer = written.clone();
        let alice = world.node_with("alice", move |builder| {
            let writer = writer.clone();
            builder.qlog(move |_peer| Some(Box::new(writer.clone())))
        });
        let bob = world.node("bob");
        let tally = Arc::<Tally>::default();
        bob.mesh().handle(TRANSFER, Arc::new(serve(&tally))).unwrap();
        let link = world.link(&alice, &bob).await;
        transfer(&link, 1, SIZE).await.unwrap();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        // JSON text sequences: each record between a record separator and a line feed (RFC 7464).
        let records: Vec<serde_json::Value> = text
            .split('\u{1e}')
            .filter(|record| !record.is_empty())
            .map(|record| serde_json::from_str(record).unwrap())
            .collect();
        assert!(records[0]["qlog_version"].is_string(), "{}", records[0]);
        let times: Vec<f64> = records.iter().filter_map(|record| record["time"].as_f64()).collect();
        assert!(times.len() > 10 && times.is_sorted(), "{} events", times.len());
    });
}

//! Callbacks for events, instead of loops over streams.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

mod run;

use run::run;
use telemesh_channel::{ForEachSpawned as _, Hashname, LinkEvent, LinkEventSource};
use tokio::sync::mpsc;

fn up(number: u8) -> LinkEvent {
    LinkEvent::Up { peer: Hashname::from_bytes([number; 32]) }
}

#[test]
fn each_event_is_told_once_and_in_order_until_the_stream_ends() {
    run(async {
        let source = LinkEventSource::new();
        let (told, mut heard) = mpsc::channel(1);
        let task = source.subscribe().for_each_spawned(move |event| {
            let told = told.clone();
            // There is room for one: the next event waits until this one was taken.
            async move { told.send(event).await.unwrap() }
        });
        for number in 1..=9 {
            source.emit(&up(number));
        }
        for number in 1..=9 {
            assert_eq!(heard.recv().await, Some(up(number)));
        }
        drop(source);
        task.await.unwrap();
        assert_eq!(heard.recv().await, None);
    });
}

#[test]
fn a_callback_that_panics_ends_its_own_task_only() {
    run(async {
        let source = LinkEventSource::new();
        let (told, mut heard) = mpsc::unbounded_channel();
        let bad = source.subscribe().for_each_spawned(|_| async { panic!("on purpose") });
        let good = source.subscribe().for_each_spawned(move |event| {
            let _ = told.send(event);
            std::future::ready(())
        });
        source.emit(&up(1));
        assert!(bad.await.unwrap_err().is_panic());
        source.emit(&up(2));
        assert_eq!([heard.recv().await, heard.recv().await], [Some(up(1)), Some(up(2))]);
        drop(source);
        good.await.unwrap();
    });
}

//! Limits and tasks of the dispatcher, with a carrier that only writes down what it was told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use telemesh_wire::Open;

use super::*;
use crate::handler::limited;
use crate::raw::{Pending, RawDatagrams, RawStream};

/// How often each answer was given.
#[derive(Debug, Default)]
struct Answers {
    refused: AtomicUsize,
    ignored: AtomicUsize,
    codes: Mutex<Vec<RefusalCode>>,
}

struct Undecided(Arc<Answers>);

impl Pending<Box<dyn RawStream>> for Undecided {
    fn accept(self: Box<Self>) -> Box<dyn RawStream> {
        unreachable!("no test here accepts a stream")
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.codes).push(refusal.code());
    }

    fn ignore(self: Box<Self>) {
        self.0.ignored.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pending<Arc<dyn RawDatagrams>> for Undecided {
    fn accept(self: Box<Self>) -> Arc<dyn RawDatagrams> {
        Arc::new(Silent)
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        Pending::<Box<dyn RawStream>>::refuse(self, refusal);
    }

    fn ignore(self: Box<Self>) {
        Pending::<Box<dyn RawStream>>::ignore(self);
    }
}

struct Silent;

impl RawDatagrams for Silent {
    fn max_size(&self) -> usize {
        0
    }

    fn try_send(&self, _message: bytes::Bytes) -> Result<(), crate::DatagramError> {
        Ok(())
    }

    fn poll_recv(&self, _cx: &mut Context<'_>) -> Poll<Result<Option<bytes::Bytes>, crate::ChannelError>> {
        Poll::Pending
    }

    fn close(&self) {}
}

struct Setup {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
    answers: Arc<Answers>,
    start: Instant,
}

impl Setup {
    fn new() -> Self {
        let registry = Arc::new(Registry::new());
        Self {
            dispatcher: Dispatcher::new(Arc::clone(&registry)),
            registry,
            answers: Arc::default(),
            start: Instant::now(),
        }
    }

    fn handle(&self, channel_type: &str, handler: impl Handler) {
        self.registry.insert(channel_type, Arc::new(handler)).unwrap();
    }

    fn open(&self, channel_type: &str, after: Duration) -> Dispatch {
        let peer = Hashname::from_bytes([7; 32]);
        let pending = Box::new(Undecided(Arc::clone(&self.answers)));
        let incoming = Incoming::unreliable(peer, Open::unreliable(channel_type), pending);
        self.dispatcher.dispatch(incoming, self.start + after)
    }

    fn counts(&self) -> (usize, usize) {
        (self.answers.refused.load(Ordering::Relaxed), self.answers.ignored.load(Ordering::Relaxed))
    }
}

fn run_once(task: &mut HandlerTask) -> Poll<()> {
    Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_hundred_and_first_refusal_of_a_second_is_not_sent() {
    let setup = Setup::new();
    for _ in 0..REFUSALS_PER_SECOND {
        assert!(matches!(
            setup.open("org.example.unknown", Duration::ZERO),
            Dispatch::Refused(RefusalCode::UnknownType)
        ));
    }
    assert_eq!(setup.counts(), (100, 0));
    assert!(matches!(setup.open("org.example.unknown", Duration::ZERO), Dispatch::Ignored));
    assert_eq!(setup.counts(), (100, 1));
}

#[test]
fn refusals_come_back_with_time_and_never_more_than_a_second_s_worth() {
    let setup = Setup::new();
    let open = |after: Duration, times: u32| {
        for _ in 0..times {
            let _ = setup.open("org.example.unknown", after);
        }
        setup.counts().0
    };
    assert_eq!(open(Duration::ZERO, 200), 100);
    assert_eq!(open(Duration::from_millis(9), 1), 100, "one interval is ten milliseconds");
    assert_eq!(open(Duration::from_millis(10), 2), 101);
    assert_eq!(open(Duration::from_millis(19), 1), 101, "the rest of an interval is kept, not given twice");
    assert_eq!(open(Duration::from_millis(20), 2), 102);
    assert_eq!(open(Duration::from_secs(3600), 200), 202);
}

#[test]
fn time_that_goes_back_neither_panics_nor_gives_refusals() {
    let setup = Setup::new();
    for _ in 0..REFUSALS_PER_SECOND {
        let _ = setup.open("org.example.unknown", Duration::from_secs(10));
    }
    assert!(matches!(setup.open("org.example.unknown", Duration::ZERO), Dispatch::Ignored));
}

#[test]
fn what_a_handler_refuses_counts_too() {
    let setup = Setup::new();
    setup.handle("org.example.picky", |incoming: Incoming| async move {
        incoming.refuse(Refusal::new(RefusalCode::Application, "no"));
    });
    for _ in 0..REFUSALS_PER_SECOND + 5 {
        let Dispatch::Run(mut task) = setup.open("org.example.picky", Duration::ZERO) else {
            panic!("the handler must run")
        };
        assert_eq!(run_once(&mut task), Poll::Ready(()));
    }
    assert_eq!(setup.counts(), (100, 5));
}

#[test]
fn accepted_opens_cost_no_refusals() {
    let setup = Setup::new();
    setup.handle("org.example.open", |incoming: Incoming| async move {
        drop(incoming.accept_datagrams());
    });
    for _ in 0..REFUSALS_PER_SECOND * 2 {
        let Dispatch::Run(mut task) = setup.open("org.example.open", Duration::ZERO) else {
            panic!("the handler must run")
        };
        assert_eq!(run_once(&mut task), Poll::Ready(()));
    }
    assert!(matches!(setup.open("org.example.unknown", Duration::ZERO), Dispatch::Refused(_)));
}

#[test]
fn a_link_may_have_as_many_channels_of_a_type_as_the_handler_says_and_no_more() {
    let setup = Setup::new();
    setup.handle("org.example.few", limited(2, |_: Incoming| async {}));
    setup.handle("org.example.other", |_: Incoming| async {});
    let first = setup.open("org.example.few", Duration::ZERO);
    let second = setup.open("org.example.few", Duration::ZERO);
    assert!(matches!((&first, &second), (Dispatch::Run(_), Dispatch::Run(_))));
    assert_eq!(setup.dispatcher.open_channels("org.example.few"), 2);
    assert!(matches!(setup.open("org.example.few", Duration::ZERO), Dispatch::Refused(RefusalCode::Busy)));
    assert!(
        matches!(setup.open("org.example.other", Duration::ZERO), Dispatch::Run(_)),
        "another type has its own"
    );
    drop(first);
    assert!(matches!(setup.open("org.example.few", Duration::ZERO), Dispatch::Run(_)));
}

#[test]
fn a_type_has_room_for_1024_channels_unless_its_handler_says_otherwise() {
    let setup = Setup::new();
    setup.handle("org.example.usual", |_: Incoming| async {});
    let open: Vec<_> =
        (0..MAX_OPEN_PER_TYPE).map(|_| setup.open("org.example.usual", Duration::ZERO)).collect();
    assert!(open.iter().all(|dispatch| matches!(dispatch, Dispatch::Run(_))));
    assert!(matches!(setup.open("org.example.usual", Duration::ZERO), Dispatch::Refused(RefusalCode::Busy)));
}

#[test]
fn the_place_is_held_as_long_as_the_accepted_channel_lives() {
    let setup = Setup::new();
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    setup.handle("org.example.held", move |incoming: Incoming| {
        *lock(&keep) = incoming.accept_datagrams().ok();
        async {}
    });
    let Dispatch::Run(mut task) = setup.open("org.example.held", Duration::ZERO) else {
        panic!("the handler must run")
    };
    assert_eq!(run_once(&mut task), Poll::Ready(()));
    drop(task);
    assert_eq!(setup.dispatcher.open_channels("org.example.held"), 1);
    lock(&kept).take();
    assert_eq!(setup.dispatcher.open_channels("org.example.held"), 0);
}

#[test]
fn a_peer_cannot_make_the_table_of_types_grow() {
    let setup = Setup::new();
    for number in 0..1000 {
        let _ = setup.open(&format!("org.example.t{number}"), Duration::ZERO);
    }
    assert!(lock(&setup.dispatcher.open).is_empty());
}

#[test]
fn dispatching_calls_no_handler_and_a_dropped_task_refuses() {
    let setup = Setup::new();
    setup.handle("org.example.loud", |_: Incoming| -> std::future::Ready<()> { panic!("called too early") });
    let task = setup.open("org.example.loud", Duration::ZERO);
    assert!(matches!(task, Dispatch::Run(_)));
    drop(task);
    assert_eq!(*lock(&setup.answers.codes), [RefusalCode::Internal]);
}

#[test]
fn a_handler_that_panics_at_once_or_later_ends_its_task_and_refuses() {
    let setup = Setup::new();
    setup.handle("org.example.at-once", |_: Incoming| -> std::future::Ready<()> {
        panic!("expected by the test")
    });
    setup.handle("org.example.later", |incoming: Incoming| async move {
        let _held = incoming;
        tokio::task::yield_now().await;
        panic!("expected by the test")
    });
    let Dispatch::Run(mut task) = setup.open("org.example.at-once", Duration::ZERO) else {
        panic!("the handler must run")
    };
    assert_eq!(run_once(&mut task), Poll::Ready(()));
    assert_eq!(run_once(&mut task), Poll::Ready(()), "a finished task stays finished");

    let Dispatch::Run(mut task) = setup.open("org.example.later", Duration::ZERO) else {
        panic!("the handler must run")
    };
    assert_eq!(run_once(&mut task), Poll::Pending);
    assert_eq!(run_once(&mut task), Poll::Ready(()));
    assert_eq!(*lock(&setup.answers.codes), [RefusalCode::Internal, RefusalCode::Internal]);
    assert_eq!(setup.dispatcher.open_channels("org.example.later"), 0);
}

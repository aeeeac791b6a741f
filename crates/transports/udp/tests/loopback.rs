//! Real sockets on loopback: what goes in on one side comes out on the other, datagram for datagram.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::poll_fn,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use telemesh_transport::{
    Ecn, MAX_DATAGRAM, PathAddress, ReceiveBatch, Received, SendError, Transmit, Transport,
};
use telemesh_udp::UdpTransport;

/// Long enough for any loopback delivery; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

fn loopback_v4() -> UdpTransport {
    UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

fn address(transport: &UdpTransport) -> SocketAddr {
    transport.bound_addresses()[0]
}

fn path(transport: &UdpTransport) -> PathAddress {
    PathAddress::Udp(address(transport))
}

/// Sends all of it, waiting where the kernel asks to.
async fn send(from: &UdpTransport, mut transmit: Transmit<'_>) {
    loop {
        match from.try_send(&transmit) {
            Ok(()) => return,
            Err(SendError::Blocked { sent }) => {
                transmit.contents = &transmit.contents[sent..];
                poll_fn(|cx| from.poll_writable(cx)).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The next runs that arrive.
async fn receive(at: &UdpTransport, batch: &mut ReceiveBatch) -> Vec<Received> {
    let arrival = poll_fn(|cx| at.poll_receive(cx, batch));
    tokio::time::timeout(PATIENCE, arrival).await.expect("something arrives").unwrap();
    batch.drain().collect()
}

/// The next `count` datagrams with their sources.
async fn receive_datagrams(at: &UdpTransport, count: usize) -> Vec<(PathAddress, Vec<u8>)> {
    let mut batch = ReceiveBatch::new(8);
    let mut datagrams = Vec::new();
    while datagrams.len() < count {
        for received in receive(at, &mut batch).await {
            let source = received.source;
            datagrams.extend(received.into_datagrams().map(|datagram| (source, datagram.to_vec())));
        }
    }
    assert_eq!(datagrams.len(), count, "no datagram more than was sent");
    datagrams
}

/// Bytes that differ from place to place, so that a swapped or shifted segment shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / 251 % 256) as u8).collect()
}

/// Counts how often it was woken.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_batch_arrives_as_the_datagrams_it_was_made_of() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let contents = pattern(1_452 * 44 + 100);
    send(&a, Transmit::segmented(path(&b), &contents, 1_452)).await;
    let datagrams = receive_datagrams(&b, 45).await;
    for (expected, (source, datagram)) in contents.chunks(1_452).zip(&datagrams) {
        assert_eq!(*source, path(&a));
        assert_eq!(datagram, expected);
    }
}

#[tokio::test]
async fn a_batch_beyond_what_one_call_takes_arrives_whole() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let contents = pattern(1_200 * 100 + 1);
    send(&a, Transmit::segmented(path(&b), &contents, 1_200)).await;
    let datagrams = receive_datagrams(&b, 101).await;
    let joined: Vec<u8> = datagrams.into_iter().flat_map(|(_, datagram)| datagram).collect();
    assert_eq!(joined, contents);
}

#[tokio::test]
async fn the_first_send_needs_no_turn_of_the_runtime() {
    let (a, b) = (loopback_v4(), loopback_v4());
    a.try_send(&Transmit::single(path(&b), b"at once")).unwrap();
    assert_eq!(receive_datagrams(&b, 1).await, [(path(&a), b"at once".to_vec())]);
}

#[tokio::test]
async fn the_shortest_and_the_longest_datagrams_pass() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let longest = pattern(MAX_DATAGRAM);
    for contents in [&[][..], &[7][..], &longest] {
        send(&a, Transmit::single(path(&b), contents)).await;
        assert_eq!(receive_datagrams(&b, 1).await, [(path(&a), contents.to_vec())]);
    }
}

#[tokio::test]
async fn a_datagram_that_is_too_long_is_refused_and_the_next_one_goes() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let contents = pattern(MAX_DATAGRAM + 1);
    let error = a.try_send(&Transmit::single(path(&b), &contents)).unwrap_err();
    assert!(matches!(error, SendError::TooLarge), "{error:?}");
    send(&a, Transmit::single(path(&b), b"next")).await;
    assert_eq!(receive_datagrams(&b, 1).await.len(), 1);
}

#[tokio::test]
async fn datagrams_of_several_senders_keep_their_sources() {
    let receiver = loopback_v4();
    let senders: Vec<_> = (0..20).map(|_| loopback_v4()).collect();
    for (number, sender) in senders.iter().enumerate() {
        send(sender, Transmit::single(path(&receiver), &[number as u8; 40])).await;
    }
    let datagrams = receive_datagrams(&receiver, senders.len()).await;
    for (number, (sender, (source, datagram))) in senders.iter().zip(datagrams).enumerate() {
        assert_eq!(source, path(sender));
        assert_eq!(datagram, [number as u8; 40]);
    }
}

#[tokio::test]
async fn the_default_listens_on_both_families() {
    let listener = UdpTransport::bind_default().unwrap();
    for bound in listener.bound_addresses() {
        let loopback = match bound {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, bound.port())),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, bound.port())),
        };
        let sender = UdpTransport::bind((loopback.ip(), 0).into()).unwrap();
        send(&sender, Transmit::single(PathAddress::Udp(loopback), b"hello")).await;
        assert_eq!(receive_datagrams(&listener, 1).await, [(path(&sender), b"hello".to_vec())]);
        // The answer goes to the source as it was received.
        send(&listener, Transmit::single(path(&sender), b"hello back")).await;
        assert_eq!(
            receive_datagrams(&sender, 1).await,
            [(PathAddress::Udp(loopback), b"hello back".to_vec())]
        );
    }
}

#[tokio::test]
async fn both_families_share_the_port_when_both_are_there() {
    let has_v6 = UdpTransport::bind((Ipv6Addr::LOCALHOST, 0).into()).is_ok();
    let listener = UdpTransport::bind_default().unwrap();
    let bound = listener.bound_addresses();
    assert_eq!(bound.len(), if has_v6 { 2 } else { 1 }, "{bound:?}");
    assert!(bound.iter().all(|address| address.port() == bound[0].port()), "{bound:?}");
}

#[tokio::test]
async fn a_taken_port_is_an_error_and_not_another_port() {
    let first = UdpTransport::bind_wildcard(0).unwrap();
    let error = UdpTransport::bind_wildcard(address(&first).port()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_wildcard_names_addresses_that_others_can_use() {
    let listener = UdpTransport::bind_default().unwrap();
    let addresses = listener.local_addresses();
    assert!(!addresses.is_empty());
    for address in &addresses {
        let PathAddress::Udp(address) = address else { panic!("{address:?} is not UDP") };
        assert!(!address.ip().is_unspecified());
        assert!(listener.bound_addresses().iter().any(|bound| bound.port() == address.port()));
    }
    let loopback = |address: &PathAddress| matches!(address, PathAddress::Udp(at) if at.ip().is_loopback());
    assert!(addresses.iter().all(loopback) || !addresses.iter().any(loopback), "{addresses:?}");
}

#[tokio::test]
async fn an_address_that_was_asked_for_is_named_as_it_is() {
    let listener = loopback_v4();
    assert_eq!(listener.local_addresses(), [path(&listener)]);
    assert!(listener.carries(&path(&listener)));
    assert!(!listener.carries(&PathAddress::Quic(address(&listener))));
    assert!(!listener.carries(&PathAddress::Udp((Ipv6Addr::LOCALHOST, 42_424).into())));
}

#[tokio::test]
async fn a_useless_destination_costs_neither_the_offload_nor_the_next_datagram() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let segments = a.max_send_segments();
    for useless in ["127.0.0.1:0", "0.0.0.0:9", "255.255.255.255:9", "224.0.0.1:9", "192.0.2.1:9", "[::1]:9"]
    {
        let destination = PathAddress::Udp(useless.parse().unwrap());
        let error = a.try_send(&Transmit::single(destination, b"x")).unwrap_err();
        assert!(matches!(error, SendError::UnusableAddress), "{useless}: {error:?}");
    }
    assert_eq!(a.max_send_segments(), segments);
    send(&a, Transmit::single(path(&b), b"still here")).await;
    assert_eq!(receive_datagrams(&b, 1).await.len(), 1);
}

#[tokio::test]
async fn a_closed_port_does_not_disturb_receiving() {
    let (a, b) = (loopback_v4(), loopback_v4());
    // Nobody listens on port 1 (tcpmux, of TCP only); a port that was just closed might already be another test's.
    let gone = PathAddress::Udp((Ipv4Addr::LOCALHOST, 1).into());
    for _ in 0..50 {
        // The kernel may or may not report the refusal here; it must not show up at the receiver.
        let _ = a.try_send(&Transmit::single(gone, b"nobody there"));
    }
    send(&b, Transmit::single(path(&a), b"somebody here")).await;
    assert_eq!(receive_datagrams(&a, 1).await, [(path(&b), b"somebody here".to_vec())]);
}

#[tokio::test]
async fn congestion_marks_travel_both_ways() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let mut batch = ReceiveBatch::new(2);
    for ecn in [None, Some(Ecn::Ect0), Some(Ecn::Ce)] {
        send(&a, Transmit { ecn, ..Transmit::single(path(&b), b"marked") }).await;
        let received = receive(&b, &mut batch).await;
        assert_eq!(received[0].ecn, ecn);
    }
}

#[tokio::test]
async fn rebinding_moves_to_a_new_port_and_wakes_the_receiver() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let before = path(&a);
    let woken = Arc::new(CountingWaker::default());
    let waker = Waker::from(woken.clone());
    let mut batch = ReceiveBatch::new(2);
    assert!(a.poll_receive(&mut Context::from_waker(&waker), &mut batch).is_pending());

    a.rebind().unwrap();
    let after = path(&a);
    assert_ne!(before, after);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "the receiver has to look at the new socket");

    send(&b, Transmit::single(after, b"to the new port")).await;
    assert_eq!(receive_datagrams(&a, 1).await, [(path(&b), b"to the new port".to_vec())]);
    send(&a, Transmit::single(path(&b), b"from the new port")).await;
    assert_eq!(receive_datagrams(&b, 1).await, [(after, b"from the new port".to_vec())]);
}

#[tokio::test]
async fn a_receive_task_survives_rebinding() {
    let (a, b) = (Arc::new(loopback_v4()), loopback_v4());
    let task = tokio::spawn({
        let a = a.clone();
        async move { receive_datagrams(&a, 1).await }
    });
    // Lets the task wait on the first socket.
    tokio::task::yield_now().await;
    a.rebind().unwrap();
    send(&b, Transmit::single(path(&a), b"found you")).await;
    assert_eq!(task.await.unwrap(), [(path(&b), b"found you".to_vec())]);
}

#[tokio::test]
async fn a_chosen_port_stays_through_rebinding() {
    let free = address(&loopback_v4());
    let a = UdpTransport::bind(free).unwrap();
    a.rebind().unwrap();
    assert_eq!(address(&a), free);
    let b = loopback_v4();
    send(&b, Transmit::single(PathAddress::Udp(free), b"same place")).await;
    assert_eq!(receive_datagrams(&a, 1).await.len(), 1);
}

#[test]
fn rebinding_works_from_a_thread_outside_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let a = runtime.block_on(async { loopback_v4() });
    let before = address(&a);
    a.rebind().unwrap();
    assert_ne!(address(&a), before);
}

#[test]
fn binding_outside_a_runtime_is_an_error() {
    assert!(UdpTransport::bind_default().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_send_at_once_while_the_socket_is_swapped() {
    const SENDERS: usize = 4;
    const EACH: usize = 25;
    let (a, b) = (Arc::new(loopback_v4()), loopback_v4());
    let destination = path(&b);
    let threads: Vec<_> = (0..SENDERS)
        .map(|number| {
            let a = a.clone();
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    a.try_send(&Transmit::segmented(destination, &[number as u8; 300], 100)).unwrap();
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    for _ in 0..20 {
        a.rebind().unwrap();
    }
    // Loopback loses nothing as long as the receiver's buffer holds it all, and these 300 datagrams fit the smallest.
    let datagrams = receive_datagrams(&b, SENDERS * EACH * 3).await;
    for thread in threads {
        thread.join().unwrap();
    }
    for number in 0..SENDERS {
        let from_one = datagrams.iter().filter(|(_, datagram)| *datagram == [number as u8; 100]);
        assert_eq!(from_one.count(), EACH * 3);
    }
}

#[tokio::test]
async fn waiting_to_write_without_having_been_told_to_is_over_at_once() {
    let a = loopback_v4();
    let mut writable = pin!(poll_fn(|cx| a.poll_writable(cx)));
    let polled = poll_fn(|cx| Poll::Ready(writable.as_mut().poll(cx))).await;
    assert!(matches!(polled, Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn a_batch_of_one_buffer_still_receives_everything() {
    let (a, b) = (loopback_v4(), loopback_v4());
    let mut batch = ReceiveBatch::new(1);
    for number in 0..10u8 {
        send(&a, Transmit::single(path(&b), &vec![number; 10 + usize::from(number)])).await;
    }
    let mut lengths = Vec::new();
    while lengths.len() < 10 {
        for received in receive(&b, &mut batch).await {
            lengths.extend(received.into_datagrams().map(|datagram| datagram.len()));
        }
    }
    assert_eq!(lengths, (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_thousand_round_trips_lose_no_wake_up() {
    let (a, b) = (loopback_v4(), Arc::new(loopback_v4()));
    let destination = path(&b);
    let echo = tokio::spawn(async move {
        let mut batch = ReceiveBatch::new(4);
        loop {
            for run in receive(&b, &mut batch).await {
                send(&b, Transmit::segmented(run.source, &run.contents, run.stride)).await;
            }
        }
    });
    for number in 0..1_000u32 {
        send(&a, Transmit::single(destination, &number.to_be_bytes())).await;
        assert_eq!(receive_datagrams(&a, 1).await, [(destination, number.to_be_bytes().to_vec())]);
    }
    echo.abort();
}

#[tokio::test]
async fn extra_sockets_have_ports_of_their_own_and_end_when_they_are_closed() {
    let (one, other) = (loopback_v4(), loopback_v4());
    // Whoever waits for datagrams waits for those of sockets that come later, too.
    let mut waiting = pin!(receive_datagrams(&one, 8));
    let woken = Arc::new(CountingWaker::default());
    let waker = Waker::from(woken.clone());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let extra = one.open_extra(&path(&other), 8);
    assert!(woken.0.load(Ordering::Relaxed) > 0);
    assert_eq!(extra.len(), 8);
    for path in &extra {
        assert!(one.carries(path) && !other.carries(path));
        send(&one, Transmit::single(*path, b"out")).await;
    }
    let mut seen = receive_datagrams(&other, 8).await;
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 8, "each has a port of its own");
    assert!(seen.iter().all(|(from, _)| *from != path(&one)));
    for (from, _) in &seen {
        send(&other, Transmit::single(*from, b"back")).await;
    }
    let mut back: Vec<PathAddress> = waiting.await.into_iter().map(|(from, _)| from).collect();
    back.sort();
    assert_eq!(back, extra, "what arrives says at which socket");
    let (closed, kept) = (extra[0], extra[1]);
    one.close_extra(&closed);
    assert!(!one.carries(&closed) && one.carries(&kept));
    let refused = one.try_send(&Transmit::single(closed, b"late"));
    assert!(matches!(refused, Err(SendError::UnusableAddress)), "{refused:?}");
    one.rebind().unwrap();
    assert!(!one.carries(&kept), "they belong to the network that was");
    assert_ne!(one.open_extra(&path(&other), 1), [extra[0]], "no number comes twice");
}

#[tokio::test]
async fn there_are_not_more_extra_sockets_than_a_process_may_spare() {
    let (one, other) = (loopback_v4(), loopback_v4());
    let first = one.open_extra(&path(&other), 10_000);
    assert!((1..=512).contains(&first.len()), "{}", first.len());
    let more = one.open_extra(&path(&other), 10_000);
    assert!(first.len() + more.len() <= 512);
}

#[tokio::test]
async fn there_are_no_extra_sockets_towards_addresses_that_cannot_be_reached() {
    let one = loopback_v4();
    for address in ["udp:192.0.2.1:1", "udp:[2001:db8::1]:1", "quic:127.0.0.1:443"] {
        assert!(one.open_extra(&address.parse().unwrap(), 4).is_empty(), "{address}");
    }
}

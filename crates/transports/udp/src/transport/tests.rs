//! Tests of waiting and rebinding that need a socket to be full, which loopback never lets happen.

use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicUsize},
    task::{Wake, Waker},
};

use super::*;

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<CountingWaker>, Waker) {
    let counter = Arc::new(CountingWaker::default());
    (counter.clone(), Waker::from(counter))
}

fn block(transport: &UdpTransport) {
    transport.sockets().iter().for_each(|socket| socket.set_blocked());
}

fn loopback() -> UdpTransport {
    UdpTransport::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

#[tokio::test]
async fn a_blocked_writer_is_woken_when_the_kernel_has_room() {
    let transport = loopback();
    block(&transport);
    let (woken, waker) = counting();
    // The runtime has not asked the kernel yet, so as far as it knows the socket is full.
    assert!(transport.poll_writable(&mut Context::from_waker(&waker)).is_pending());
    while woken.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(transport.poll_writable(&mut Context::from_waker(&waker)), Poll::Ready(Ok(()))));
    assert!(!transport.sockets().iter().any(|socket| socket.is_blocked()), "waiting is over");
}

#[tokio::test]
async fn rebinding_wakes_a_blocked_writer_and_ends_the_waiting() {
    let transport = loopback();
    block(&transport);
    let (woken, waker) = counting();
    assert!(transport.poll_writable(&mut Context::from_waker(&waker)).is_pending());
    transport.rebind().unwrap();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(matches!(transport.poll_writable(&mut Context::from_waker(&waker)), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn the_last_task_that_waited_is_the_one_that_is_woken() {
    let transport = loopback();
    let ((first, first_waker), (second, second_waker)) = (counting(), counting());
    let mut batch = ReceiveBatch::new(1);
    assert!(transport.poll_receive(&mut Context::from_waker(&first_waker), &mut batch).is_pending());
    assert!(transport.poll_receive(&mut Context::from_waker(&second_waker), &mut batch).is_pending());
    transport.rebind().unwrap();
    assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn a_chosen_port_that_is_gone_is_replaced_by_any() {
    let mut transport = loopback();
    let other = loopback();
    // As if the application had chosen the port that somebody else has by now.
    transport.binding = Binding::Address(other.bound_addresses()[0]);
    transport.rebind().unwrap();
    let bound = transport.bound_addresses();
    assert_eq!(bound.len(), 1, "an endpoint on another port is better than a deaf one");
    assert_ne!(bound, other.bound_addresses());
}

#[tokio::test]
async fn a_failed_rebind_keeps_the_old_socket() {
    let mut transport = loopback();
    let before = transport.bound_addresses();
    // TEST-NET-3 is nobody's address, so it cannot be bound.
    transport.binding = Binding::Address(([203, 0, 113, 250], 0).into());
    assert!(transport.rebind().is_err());
    assert_eq!(transport.bound_addresses(), before);
}

#[tokio::test]
async fn without_any_socket_nothing_is_sent_and_nothing_panics() {
    let mut transport = loopback();
    transport.binding = Binding::Address(([203, 0, 113, 250], 42_424).into());
    assert!(transport.rebind().is_err());
    assert!(transport.local_addresses().is_empty());
    assert_eq!(transport.max_send_segments(), 1);
    let destination = PathAddress::Udp((Ipv4Addr::LOCALHOST, 9).into());
    assert!(!transport.carries(&destination));
    let error = transport.try_send(&Transmit::single(destination, b"x")).unwrap_err();
    assert!(matches!(error, SendError::UnusableAddress), "{error:?}");
    let (woken, waker) = counting();
    let mut batch = ReceiveBatch::new(1);
    assert!(transport.poll_receive(&mut Context::from_waker(&waker), &mut batch).is_pending());
    // The next rebind brings it back, and its receiver with it.
    transport.binding = Binding::Address((Ipv4Addr::LOCALHOST, 0).into());
    transport.rebind().unwrap();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(transport.carries(&destination));
}

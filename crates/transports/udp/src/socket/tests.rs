//! Tests of one socket that need its insides.

use std::net::Ipv4Addr;

use super::*;

fn loopback() -> Socket {
    Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// Makes the kernel refuse a call the way it refuses offload, which no usable destination would.
#[cfg(target_os = "linux")]
fn provoke_refusal(socket: &Socket) -> io::Result<()> {
    let call = SendCall { socket, destination: (Ipv4Addr::LOCALHOST, 0).into(), ecn: None };
    call.send(b"x", None)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn offload_that_was_given_up_is_tried_again_later() {
    let mut socket = loopback();
    if !socket.offers_offload {
        return; // An old kernel: there is nothing to give up.
    }
    provoke_refusal(&socket).unwrap_err();
    assert_eq!(socket.max_segments(), 1, "the kernel's refusal ends offload");
    assert!(!socket.offload_retry_due());

    let receiver = loopback();
    socket.without_offload.store(RETRY_OFFLOAD_AFTER - 1, Ordering::Relaxed);
    let path = PathAddress::Udp(receiver.local());
    socket.try_send(receiver.local(), &Transmit::single(path, b"one more")).unwrap();
    assert!(socket.offload_retry_due());
    socket.retry_offload();
    assert!(socket.max_segments() > 1);
    assert!(!socket.offload_retry_due());
}

#[tokio::test]
async fn a_socket_with_offload_never_asks_for_it_again() {
    let socket = loopback();
    let path = PathAddress::Udp(socket.local());
    socket.try_send(socket.local(), &Transmit::single(path, b"to myself")).unwrap();
    assert!(!socket.offload_retry_due());
    if socket.offers_offload {
        assert_eq!(socket.without_offload.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn reports_about_sending_are_told_from_broken_sockets() {
    for kind in
        [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset, io::ErrorKind::HostUnreachable]
    {
        assert!(is_report_about_sending(&kind.into()), "{kind}");
    }
    for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::NotConnected, io::ErrorKind::OutOfMemory] {
        assert!(!is_report_about_sending(&kind.into()), "{kind}");
    }
}

#[test]
fn congestion_marks_mean_the_same_on_both_sides() {
    for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
        assert_eq!(from_codepoint(to_codepoint(ecn)), ecn);
    }
}

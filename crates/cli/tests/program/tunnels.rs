//! Tunnels: real sockets on both sides, and everything that lies between refused unless it was granted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, alice_and_bob, folder, noise, run, telemesh, wait_for_line};

/// Sends everything back, for each connection until its end.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut back = socket.try_clone()?;
                std::io::copy(&mut &socket, &mut back)?;
                back.shutdown(Shutdown::Write)
            });
        }
    });
    address
}

/// A port on loopback that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What comes back of what was sent through this address, until its end.
fn exchange(address: &str, sent: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    let mut back = socket.try_clone().unwrap();
    let sending = sent.to_vec();
    let sender = thread::spawn(move || {
        socket.write_all(&sending).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    back.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    received
}

/// A command that goes on, with what it says first about what it listens at.
struct Forwarding(Child, ChildStdout);

impl Forwarding {
    fn start(home: &TempDir, arguments: &str, event: &str) -> (Self, Value) {
        let mut child = telemesh(home, &format!("{arguments} --json")).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let said = wait_for_line(&mut output, event);
        (Self(child, output), said)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Alice grants Bob this and nothing else.
fn grant(alice: &TempDir, bob: &TempDir, grants: &[String]) {
    let bob = run(&mut telemesh(bob, "id --json")).with_code(0).objects().remove(0);
    let mut command = telemesh(alice, "contacts add bob");
    command.arg(bob["hashname"].as_str().unwrap());
    for grant in grants {
        command.args(["--grant", grant]);
    }
    run(&mut command).with_code(0);
}

#[test]
fn a_server_at_the_other_end_is_reached_through_a_local_port_and_no_other_is() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let (target, other) = (echo(), echo());
    grant(&alice, &bob, &[format!("sock:{target}")]);
    let (_forward, said) =
        Forwarding::start(&bob, &format!("forward alice 0 {}", target.port()), "forwarding");
    assert_eq!(
        (&said["name"], &said["protocol"], &said["reverse"]),
        (&"alice".into(), &"tcp".into(), &false.into())
    );
    let sent = noise(3 << 20, 31);
    assert!(exchange(said["listen"].as_str().unwrap(), &sent) == sent);

    let (mut forward, said) =
        Forwarding::start(&bob, &format!("forward alice 127.0.0.1:0 {other}"), "forwarding");
    let mut socket = TcpStream::connect(said["listen"].as_str().unwrap()).unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let failed = wait_for_line(&mut forward.1, "not-forwarded");
    assert_eq!(failed["target"], other.to_string());
    assert!(failed["reason"].as_str().unwrap().contains("grant"), "{failed}");
}

#[test]
fn a_local_server_is_reached_through_a_port_of_the_other_end() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let (target, port) = (echo(), free_port());
    let refused = run(&mut telemesh(&bob, &format!("forward alice {} {port} -R", target.port())));
    assert!(refused.with_code(4).stderr.contains("grant"));
    grant(&alice, &bob, &[format!("sock-bind:127.0.0.1:{port}")]);
    let command = format!("forward alice {} {port} -R", target.port());
    let (_forward, said) = Forwarding::start(&bob, &command, "forwarding");
    assert_eq!((&said["listen"], &said["reverse"]), (&format!("localhost:{port}").into(), &true.into()));
    let sent = noise(1 << 20, 32);
    assert!(exchange(&format!("127.0.0.1:{port}"), &sent) == sent);
}

#[test]
fn datagrams_larger_than_a_packet_go_there_and_back() {
    let [(alice, _alice_up), (bob, _bob_up)] = alice_and_bob();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((size, from)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(&buffer[..size], from);
        }
    });
    let command = format!("forward alice 0 {target} --udp");
    assert!(run(&mut telemesh(&bob, &command)).with_code(4).stderr.contains("grant"));
    grant(&alice, &bob, &[format!("sock-udp:{target}")]);
    let (_forward, said) = Forwarding::start(&bob, &command, "forwarding");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(said["listen"].as_str().unwrap()).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let mut buffer = vec![0; 65_536];
    for size in [40, 1_400, 4_096] {
        let sent = noise(size, 33);
        // Datagrams may be lost, also on loopback when a machine is busy.
        let received = (0..5).find_map(|_| {
            client.send(&sent).unwrap();
            client.recv(&mut buffer).ok()
        });
        assert!(buffer[..received.unwrap()] == sent);
    }
}

#[test]
fn hosts_of_socks_are_contacts_or_whatever_the_other_end_may_reach() {
    let [(alice, _alice_up), (bob, mut bob_up)] = alice_and_bob();
    let target = echo();
    grant(&alice, &bob, &[format!("sock:{target}")]);
    // Without an endpoint that is up the command runs one.
    bob_up.kill();
    let hashname = run(&mut telemesh(&alice, "id --json")).with_code(0).objects().remove(0);
    let by_hashname = format!("{}.mesh", hashname["hashname"].as_str().unwrap());
    let (_socks, said) = Forwarding::start(&bob, "socks alice --listen 127.0.0.1:0", "socks");
    let ask = |host: &str, port: u16| {
        let mut socket = TcpStream::connect(said["listen"].as_str().unwrap()).unwrap();
        let length = u8::try_from(host.len()).unwrap();
        let request = [&[5, 1, 0, 5, 1, 0, 3, length][..], host.as_bytes(), &port.to_be_bytes()].concat();
        socket.write_all(&request).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        (socket, answer[3])
    };
    for host in ["alice.mesh", "ALICE", &by_hashname, "127.0.0.1"] {
        let (mut socket, reply) = ask(host, target.port());
        assert_eq!(reply, 0, "{host}");
        socket.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        socket.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
    }
    assert_eq!(ask("alice.mesh", target.port() ^ 1).1, 2, "not granted");
    assert_eq!(ask("dave.mesh", target.port()).1, 4, "nobody's name");
}

#[test]
fn grants_that_grant_nothing_are_refused_with_the_form_they_should_have() {
    let home = folder();
    let someone = run(&mut telemesh(&home, "id --json")).with_code(0).objects().remove(0);
    let other = folder();
    let (_up, _) = Running::waiting(&mut telemesh(&other, "up"));
    for (grant, hint) in [
        ("sock", "sock:10.0.0.1:22"),
        ("sock:10.0.0.1/8:*", "10.0.0.0/8"),
        ("sock:127.1:22", "127.0.0.1"),
        ("sock-bind:host.name:80", "not at a name"),
        ("sock-tpc:10.0.0.1:22", "unknown action"),
    ] {
        let mut add = telemesh(&other, "contacts add someone");
        add.args([someone["hashname"].as_str().unwrap(), "--grant", grant]);
        assert!(run(&mut add).with_code(2).stderr.contains(hint), "{grant}");
        let invite = run(&mut telemesh(&other, &format!("invite --grant {grant}"))).with_code(2);
        assert!(invite.stderr.contains(hint), "{grant}");
    }
    for (arguments, hint) in [
        ("forward bob host.name:80 22", "LOCAL"),
        ("forward bob 80 0", "REMOTE"),
        ("forward bob 80 host.name:80 -R", "REMOTE"),
    ] {
        assert!(run(&mut telemesh(&other, arguments)).with_code(2).stderr.contains(hint), "{arguments}");
    }
}

//! A SOCKS5 client in front of two peers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod run;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use run::{echo, granting, nobody, noise, read_all, udp_echo, write_all};
use telemesh_channel::{BoxFuture, Opener};
use telemesh_sock::{Host, Route, SockError, Target, Way, forward, socks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// `bob.mesh` is the peer's own machine, addresses are reached from there, and nothing else is.
struct Names(Arc<dyn Opener>);

impl Route for Names {
    fn route<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Way, SockError>> {
        let way = match target.host() {
            Host::Name(name) if name.as_str() == "bob.mesh" => Target::new(Host::Localhost, target.port()),
            Host::Address(_) => Ok(target.clone()),
            other => return Box::pin(std::future::ready(Err(SockError::NoRoute(other.to_string())))),
        };
        Box::pin(std::future::ready(way.map(|way| Way::new(self.0.clone(), way)).map_err(Into::into)))
    }
}

async fn server(grants: &[&str]) -> (SocketAddr, impl Sized + use<>) {
    let (pair, sock) = granting(grants);
    let local = forward::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = local.local_addr().unwrap();
    let task = tokio::spawn(socks::serve(local, Arc::new(Names(pair.to_right.clone()))));
    (address, (pair, sock, task))
}

/// Asks for something, and gives the reply with its address.
async fn ask(server: SocketAddr, command: u8, host: &[u8], port: u16) -> (TcpStream, u8, SocketAddr) {
    let mut socket = TcpStream::connect(server).await.unwrap();
    socket.write_all(&[5, 1, 0]).await.unwrap();
    socket.write_all(&[&[5, command, 0][..], host, &port.to_be_bytes()].concat()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    let [5, 0, 5, reply, 0, 1, a, b, c, d, high, low] = answer else { panic!("{answer:?}") };
    (socket, reply, SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
}

fn name(name: &str) -> Vec<u8> {
    [&[3, u8::try_from(name.len()).unwrap()][..], name.as_bytes()].concat()
}

#[tokio::test]
async fn connections_go_to_the_peer_that_the_host_means() {
    let target = echo().await;
    let (server, _kept) = server(&[&format!("sock:{target}")]).await;
    for host in [vec![1, 127, 0, 0, 1], name("127.0.0.1"), name("Bob.Mesh")] {
        let (mut socket, reply, _) = ask(server, 1, &host, target.port()).await;
        assert_eq!(reply, 0, "{host:?}");
        write_all(&mut socket, b"hello").await;
        assert_eq!(read_all(socket).await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn what_fails_is_told_as_what_it_is() {
    let (refusing, barred) = (nobody().await, nobody().await);
    let (server, _kept) = server(&[&format!("sock:{refusing}")]).await;
    let local = [1, 127, 0, 0, 1];
    for (command, host, port, expected) in [
        (1, &local[..], refusing.port(), 5),
        (1, &local, barred.port(), 2),
        (1, &name("unknown.mesh"), 80, 4),
        (2, &local, 80, 7),
    ] {
        assert_eq!(ask(server, command, host, port).await.1, expected);
    }
}

#[tokio::test]
async fn datagrams_go_to_addresses_and_to_names_and_end_with_the_connection() {
    let target = udp_echo().await;
    let (server, _kept) = server(&[&format!("sock-udp:{target}")]).await;
    let (control, reply, relay) = ask(server, 3, &[1, 0, 0, 0, 0], 0).await;
    assert_eq!(reply, 0);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = vec![0; 65_536];
    for host in ["127.0.0.1", "bob.mesh"] {
        for size in [5, 1_400, 9_000] {
            let place: Target = format!("{host}:{}", target.port()).parse().unwrap();
            let sent = noise(size, 9);
            client.send_to(&socks::encode_datagram(&place, &sent), relay).await.unwrap();
            let (size, from) = client.recv_from(&mut buffer).await.unwrap();
            let received = socks::decode_datagram(Bytes::copy_from_slice(&buffer[..size])).unwrap();
            assert_eq!((received, from), ((place, Bytes::from(sent)), relay));
        }
    }
    // Somebody else's datagrams are not carried; had they been, their answer would come before this one's.
    let place: Target = target.try_into().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(&socks::encode_datagram(&place, b"other"), relay).await.unwrap();
    client.send_to(&socks::encode_datagram(&place, b"own"), relay).await.unwrap();
    let (size, _) = client.recv_from(&mut buffer).await.unwrap();
    assert!(buffer[..size].ends_with(b"own"));
    drop(control);
    // The relay is closed: its port becomes free.
    while UdpSocket::bind(relay).await.is_err() {
        tokio::task::yield_now().await;
    }
}

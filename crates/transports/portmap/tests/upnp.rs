//! A small UPnP gateway on loopback: the answer to a search, two documents, and the actions, over real sockets.

#![cfg(feature = "upnp")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, their helpers too")]

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use telemesh_portmap::{Options, PortMapper};
use telemesh_transport::PortMapping as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const PORT: NonZeroU16 = NonZeroU16::new(42_424).unwrap();

const DEVICE: &str = "<root><device><serviceList><service>\
    <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
    <SCPDURL>/actions.xml</SCPDURL><controlURL>/control</controlURL>\
    </service></serviceList></device></root>";

/// What a gateway says of its actions: their names and what goes in.
fn actions() -> String {
    let action = |(name, arguments): (&str, &[&str])| {
        let argument =
            |name: &&str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
        let arguments: String = arguments.iter().map(argument).collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let key = ["NewRemoteHost", "NewExternalPort", "NewProtocol"];
    let mapping = [
        &key[..],
        &[
            "NewInternalPort",
            "NewInternalClient",
            "NewEnabled",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ],
    ]
    .concat();
    let all = [("AddPortMapping", &mapping[..]), ("DeletePortMapping", &key[..])].map(action).concat();
    format!("<scpd><actionList>{all}</actionList></scpd>")
}

/// A gateway that calls `external` its address. Where it is searched for, and what it was asked.
async fn gateway(last: u8, external: &'static str) -> (SocketAddr, UnboundedReceiver<String>) {
    let address = Ipv4Addr::new(127, 53, 52, last);
    let search = UdpSocket::bind((address, 0)).await.unwrap();
    let http = TcpListener::bind((address, 0)).await.unwrap();
    let (tell, told) = unbounded_channel();
    let (place, at) = (search.local_addr().unwrap(), http.local_addr().unwrap());
    tokio::spawn(async move {
        let mut packet = [0; 1_500];
        loop {
            let (length, from) = search.recv_from(&mut packet).await.unwrap();
            assert!(packet[..length].starts_with(b"M-SEARCH"));
            let answer = format!("HTTP/1.1 200 OK\r\nLOCATION: http://{at}/device.xml\r\n\r\n");
            search.send_to(answer.as_bytes(), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = http.accept().await.unwrap();
            tokio::spawn(serve(stream, external, tell.clone()));
        }
    });
    (place, told)
}

/// One request and its answer.
async fn serve(mut stream: TcpStream, external: &str, tell: UnboundedSender<String>) {
    let mut request = String::new();
    let mut bytes = [0; 4_096];
    // The action's document is the last thing that comes.
    let is_whole = |request: &str| {
        request.ends_with("Envelope>") || (request.starts_with("GET") && request.ends_with("\r\n\r\n"))
    };
    while !is_whole(&request) {
        let length = stream.read(&mut bytes).await.unwrap();
        if length == 0 {
            return;
        }
        request += std::str::from_utf8(&bytes[..length]).unwrap();
    }
    let answer = |action: &str, inside: &str| {
        format!("<Envelope><Body><{action}Response>{inside}</{action}Response></Body></Envelope>")
    };
    let value = |name: &str| {
        let (_, rest) = request.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let body = if request.starts_with("GET /device.xml") {
        DEVICE.to_owned()
    } else if request.starts_with("GET /actions.xml") {
        actions()
    } else if request.contains("#GetExternalIPAddress") {
        answer("GetExternalIPAddress", &format!("<NewExternalIPAddress>{external}</NewExternalIPAddress>"))
    } else if request.contains("#AddPortMapping") {
        let asked = ["NewExternalPort", "NewInternalPort", "NewProtocol", "NewLeaseDuration"].map(value);
        tell.send(format!("add {}", asked.map(Option::unwrap_or_default).join(" "))).unwrap();
        answer("AddPortMapping", "")
    } else {
        tell.send(format!("delete {}", value("NewExternalPort").unwrap_or_default())).unwrap();
        answer("DeletePortMapping", "")
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever has asked may have gone.
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

/// Asks nobody but this gateway: there is none for the other protocols.
fn mapper(at: SocketAddr) -> PortMapper {
    let mut options = Options::default();
    options.gateway = Some(Ipv4Addr::new(127, 53, 52, 250));
    options.upnp_at = Some(at);
    PortMapper::open(options).unwrap()
}

#[tokio::test]
async fn a_gateway_that_speaks_upnp_leads_here_and_gets_its_port_back() {
    let (at, mut told) = gateway(1, "198.51.100.7").await;
    let mapper = mapper(at);
    mapper.map(PORT);
    let mapped = timeout(Duration::from_secs(30), poll_fn(|cx| mapper.poll_mapped(cx))).await.unwrap();
    assert_eq!(mapped, Some("198.51.100.7:42424".parse().unwrap()));
    assert_eq!(told.recv().await.as_deref(), Some("add 42424 42424 UDP 3600"));
    timeout(Duration::from_secs(30), poll_fn(|cx| mapper.poll_released(cx))).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("delete 42424"));
}

#[tokio::test]
async fn a_gateway_behind_another_one_is_asked_for_nothing() {
    let (at, mut told) = gateway(2, "192.168.0.2").await;
    let mapper = mapper(at);
    mapper.map(PORT);
    let mapped = timeout(Duration::from_secs(5), poll_fn(|cx| mapper.poll_mapped(cx))).await;
    assert!(mapped.is_err() && told.try_recv().is_err());
}

//! Both roles of the Autobahn WebSocket test suite, between two endpoints in memory. `cargo xtask services autobahn` runs it.
//!
//! `autobahn serve` echoes messages at one endpoint, behind the gateway of the other, and prints a port that leads there: what the gateway
//! wants to see in a request, and the suite cannot say, is added on the way. `autobahn client PORT` is the client in all cases of
//! a fuzzing server, which it reaches through the reverse proxy of the endpoint at the other end.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::HOST;
use telemesh_channel::memory::{MemoryEndpoint, MemoryLink, pair};
use telemesh_channel::{Hashname, Network as _, Opener as _};
use telemesh_thtp::gateway::{Contacts, Gateway, Token};
use telemesh_thtp::{HttpServer as _, Proxy, SERVE};
use telemesh_ws::{Message, WebSocket, WsOpener as _, WsServer as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let pair = pair();
    let (alice, bob, link) = (pair.right, pair.left, pair.to_right);
    alice.grant(bob.hashname(), SERVE);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            alice.on_ws("/", echo)?;
            serve(bob, link.peer()).await
        }
        ["client", port] => {
            alice.serve_http(Proxy::to(&format!("http://127.0.0.1:{port}"))?)?;
            client(&link, port).await
        }
        _ => Err("what is wanted: `serve`, or `client` and a port".into()),
    }
}

/// Sends back what comes, until the end.
async fn echo(mut socket: WebSocket) {
    while let Ok(Some(message)) = socket.receive().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Runs all cases of the fuzzing server, and has it write its report.
async fn client(link: &MemoryLink, port: &str) -> Result<()> {
    // It wants to be called by the port at which it listens.
    let host = HeaderValue::try_from(format!("127.0.0.1:{port}"))?;
    let open = |path: String| link.ws(path).header(HOST, host.clone());
    let mut count = open("/getCaseCount".into()).await?;
    let Some(Message::Text(cases)) = count.receive().await? else { return Err("no count of cases".into()) };
    for case in 1..=cases.parse::<u32>()? {
        echo(open(format!("/runCase?case={case}&agent=telemesh")).await?).await;
    }
    let mut reports = open("/updateReports?agent=telemesh".into()).await?;
    while let Ok(Some(_)) = reports.receive().await {}
    println!("{cases} cases");
    Ok(())
}

/// The one contact.
struct One(Hashname);

impl Contacts for One {
    fn named(&self, _: &str) -> Option<Hashname> {
        Some(self.0)
    }

    fn contains(&self, hashname: &Hashname) -> bool {
        *hashname == self.0
    }
}

/// A gateway, and a port in front of it at which nobody needs a token.
async fn serve(endpoint: Arc<MemoryEndpoint>, peer: Hashname) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let token = Token::from_bytes([1; 32]);
    let headers = format!(
        "host: {peer}.localhost:{}\r\ntelemesh-token: {}\r\n",
        address.port(),
        *token.to_secret_string()
    );
    let gateway = Gateway::new(endpoint, One(peer), token, address);
    tokio::spawn(async move { gateway.serve(listener).await });
    let front = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", front.local_addr()?.port());
    loop {
        let (socket, _) = front.accept().await?;
        tokio::spawn(pass(socket, address, headers.clone()));
    }
}

/// Puts these headers in place of `Host` and `Origin`, and passes everything else on as it is.
async fn pass(mut socket: TcpStream, gateway: SocketAddr, headers: String) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let is_passed = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !["host", "origin"].contains(&name.as_str())
    };
    let (first, rest) = head.split_once("\r\n").ok_or("no request")?;
    let rest: Vec<_> = rest.split("\r\n").filter(is_passed).collect();
    let mut onward = TcpStream::connect(gateway).await?;
    onward.write_all(format!("{first}\r\n{headers}{}", rest.join("\r\n")).as_bytes()).await?;
    copy_bidirectional(&mut socket, &mut onward).await?;
    Ok(())
}

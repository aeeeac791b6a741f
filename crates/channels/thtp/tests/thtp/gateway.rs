//! The gateway, as programs and browsers on this machine see it: with real sockets on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::{any, get, post};
use http::HeaderMap;
use telemesh_channel::Opener as _;
use telemesh_channel::memory::MemoryPair;
use telemesh_hashname::Hashname;
use telemesh_thtp::gateway::{Contacts, Gateway, Token};
use telemesh_thtp::{HttpServer as _, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::run::run_on_the_clock as run;

struct Bob(Hashname);

impl Contacts for Bob {
    fn named(&self, name: &str) -> Option<Hashname> {
        (name == "bob").then_some(self.0)
    }

    fn contains(&self, hashname: &Hashname) -> bool {
        *hashname == self.0
    }
}

/// A gateway of the left endpoint, whose one contact is the right one.
struct Door {
    address: SocketAddr,
    bob: Hashname,
    token: String,
    open_url: String,
}

async fn door(pair: &MemoryPair) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, bob) = (listener.local_addr().unwrap(), pair.to_right.peer());
    let token = Token::from_bytes([9; 32]);
    let text = token.to_secret_string().to_string();
    let gateway = Gateway::new(pair.left.clone(), Bob(bob), token, address);
    let open_url = gateway.open_url("bob");
    tokio::spawn(async move { gateway.serve(listener).await });
    Door { address, bob, token: text, open_url }
}

/// What came back.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Door {
    fn host(&self) -> String {
        format!("{}.localhost:{}", self.bob, self.address.port())
    }

    /// Sends a request as it stands here and reads until the end.
    async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        // A server that closes on bytes that it does not read may reset.
        let _ = stream.read_to_end(&mut text).await;
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header =
            |line: &str| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned())).unwrap();
        Answer { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    async fn ask(&self, method: &str, path: &str, host: &str, headers: &str) -> Answer {
        self.raw(&format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"))
            .await
    }

    fn with_token(&self) -> String {
        format!("telemesh-token: {}\r\n", self.token)
    }

    /// Opens a session like a browser, and gives its cookie at the hashname's origin.
    async fn session(&self) -> String {
        let (_, target) = self.open_url.split_once("://").unwrap();
        let (host, path) = target.split_once('/').unwrap();
        let first = self.ask("GET", &format!("/{path}"), host, "").await;
        assert_eq!(first.status, 303);
        let location = &first.headers["location"];
        let path = location.strip_prefix(&format!("http://{}", self.host())).unwrap();
        let second = self.ask("GET", path, &self.host(), "").await;
        assert_eq!((second.status, second.headers["location"].as_str()), (303, "/"));
        assert_eq!(second.headers["referrer-policy"], "no-referrer");
        let (cookie, attributes) = second.headers["set-cookie"].split_once(';').unwrap();
        assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"), "{attributes}");
        format!("cookie: {cookie}\r\n")
    }
}

fn app() -> Router {
    let show = |headers: HeaderMap| async move { format!("{headers:?}") };
    Router::new()
        .route("/", get("bob's page"))
        .route("/show", get(show))
        .route("/change", post("changed"))
        .route(
            "/cookies",
            get(|| async {
                let all = ["a=1", "b=2; Domain=localhost", "telemesh-session-1=x", "c=3; Path=/; HttpOnly"];
                axum::response::AppendHeaders(all.map(|cookie| ("set-cookie", cookie)))
            }),
        )
}

#[test]
fn a_script_with_the_token_reaches_a_contact_by_name_and_by_hashname() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let by_name = format!("bob.localhost:{}", door.address.port());
        for host in [door.host(), by_name.clone(), by_name.to_uppercase()] {
            let answer = door.ask("GET", "/", &host, &door.with_token()).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "bob's page"), "{host}");
        }
    });
}

#[test]
fn whoever_has_no_token_learns_nothing() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let nobody = format!("nobody.localhost:{}", door.address.port());
        let refused = door.ask("GET", "/", &door.host(), "").await;
        assert_eq!(refused.status, 401);
        // Not even who is a contact.
        let other = door.ask("GET", "/", &nobody, "").await;
        assert_eq!((other.status, &other.body), (401, &refused.body));
        let wrong = format!("telemesh-token: {}\r\n", "A".repeat(43));
        assert_eq!(door.ask("GET", "/", &door.host(), &wrong).await.status, 401);
        let wrong = format!("cookie: telemesh-session-{}={}\r\n", door.address.port(), door.token);
        assert_eq!(door.ask("GET", "/", &door.host(), &wrong).await.status, 401);
        let open = format!("/.telemesh/open?token={}", "A".repeat(43));
        assert_eq!(door.ask("GET", &open, &door.host(), "").await.status, 401);
        assert_eq!(door.ask("POST", "/change", &door.host(), "content-length: 0\r\n").await.status, 401);
    });
}

#[test]
fn a_browser_opens_a_session_once_and_is_led_to_the_hashnames_own_origin() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let cookie = door.session().await;
        let page = door.ask("GET", "/", &door.host(), &cookie).await;
        assert_eq!((page.status, page.body.as_str()), (200, "bob's page"));
        // The session is of that origin only.
        let by_name = format!("bob.localhost:{}", door.address.port());
        assert_eq!(door.ask("GET", "/x?y", &by_name, &cookie).await.status, 401);
        let (_, path) = door.open_url.split_once(&by_name).unwrap();
        let named = door.ask("GET", path, &by_name, "").await;
        let (named, _) = named.headers["set-cookie"].split_once(';').unwrap();
        let led = door.ask("GET", "/x?y", &by_name, &format!("cookie: {named}\r\n")).await;
        assert_eq!((led.status, &led.headers["location"]), (307, &format!("http://{}/x?y", door.host())));
    });
}

#[test]
fn an_endpoint_never_sees_what_opens_the_gateway() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let session = door.session().await;
        let headers = format!("{}; theme=dark\r\n{}", session.trim_end(), door.with_token());
        let seen = door.ask("GET", "/show", &door.host(), &headers).await.body;
        assert!(seen.contains("theme=dark"), "{seen}");
        assert!(!seen.contains("telemesh"), "{seen}");
        // What an endpoint sets is for its own origin.
        let answer = door
            .raw(&format!(
                "GET /cookies HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{session}\r\n",
                door.host()
            ))
            .await;
        assert_eq!(answer.status, 200);
        assert!(!answer.headers.values().any(|value| value.contains("Domain") || value.contains("telemesh")));
        assert_eq!(answer.headers["set-cookie"], "c=3; Path=/; HttpOnly");
    });
}

#[test]
fn other_origins_may_not_ask_whatever_they_have() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let session = door.session().await;
        let own = format!("origin: http://{}\r\n", door.host());
        let post = "content-length: 0\r\n";
        let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\n";
        let cases: &[(&str, String, u16)] = &[
            ("POST", format!("{own}{post}"), 200),
            ("POST", format!("sec-fetch-site: same-origin\r\n{post}"), 200),
            ("POST", format!("origin: http://evil.example\r\n{post}"), 403),
            ("POST", format!("origin: null\r\n{post}"), 403),
            ("POST", format!("{own}{own}{post}"), 403),
            ("POST", format!("origin: http://bob.localhost:{}\r\n{post}", door.address.port()), 403),
            ("POST", format!("origin: http://{}0\r\n{post}", door.host()), 403),
            ("POST", format!("sec-fetch-site: cross-site\r\n{post}"), 403),
            ("POST", format!("sec-fetch-site: same-site\r\n{post}"), 403),
            ("POST", format!("{own}sec-fetch-site: cross-site\r\n{post}"), 403),
            // A form that another page has sent.
            (
                "POST",
                format!(
                    "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n{post}"
                ),
                403,
            ),
            ("POST", post.to_owned(), 403),
            ("GET", upgrade.to_owned(), 403),
            ("GET", format!("origin: http://evil.example\r\n{upgrade}"), 403),
            ("GET", format!("sec-fetch-site: cross-site\r\n{upgrade}"), 403),
        ];
        for (method, headers, expected) in cases {
            let answer = door.ask(method, "/change", &door.host(), &format!("{session}{headers}")).await;
            assert_eq!(answer.status, *expected, "{method} {headers:?}: {}", answer.body);
        }
        let follows =
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
        let framed = follows.replace("document", "iframe");
        let fetched = "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: cors\r\n";
        for (headers, expected) in [("", 200), (follows, 200), (&framed, 403), (fetched, 403)] {
            let answer = door.ask("GET", "/", &door.host(), &format!("{session}{headers}")).await;
            assert_eq!(answer.status, expected, "{headers:?}");
        }
        // Who has the token is no page, unless they say so.
        let token = door.with_token();
        assert_eq!(door.ask("POST", "/change", &door.host(), &format!("{token}{post}")).await.status, 200);
        let evil = format!("{token}origin: http://evil.example\r\n{post}");
        assert_eq!(door.ask("POST", "/change", &door.host(), &evil).await.status, 403);
    });
}

#[test]
fn only_names_of_contacts_lead_anywhere() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let (port, token) = (door.address.port(), door.with_token());
        let stranger = pair.to_left.peer();
        for (host, expected) in [
            (format!("127.0.0.1:{port}"), 421),
            (format!("localhost:{port}"), 421),
            (format!("rebound.example:{port}"), 421),
            (format!("{}.localhost:1", door.bob), 421),
            (format!("nobody.localhost:{port}"), 404),
            (format!("{stranger}.localhost:{port}"), 404),
        ] {
            assert_eq!(door.ask("GET", "/", &host, &token).await.status, expected, "{host}");
        }
        assert_eq!(door.ask("GET", "/.telemesh/x", &door.host(), &token).await.status, 404);
        let two = format!("host: {}\r\n{token}", door.host());
        assert!(matches!(door.ask("GET", "/", &door.host(), &two).await.status, 400 | 421));
    });
}

#[test]
fn smuggled_requests_are_refused_before_anybody_is_asked() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(Router::new().fallback(any("served"))).unwrap();
        let door = door(&pair).await;
        for headers in [
            "content-length: 3\r\ncontent-length: 4\r\n",
            "content-length: +3\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "x y: 1\r\n",
            "x : 1\r\n",
            "x: a\0b\r\n",
        ] {
            let answer =
                door.ask("POST", "/", &door.host(), &format!("{}{headers}", door.with_token())).await;
            assert!((400..500).contains(&answer.status), "{headers:?}: {} {}", answer.status, answer.body);
        }
    });
}

#[test]
fn a_forward_proxy_with_the_token_as_its_password() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let url = format!("http://{}.mesh/", door.bob);
        let host = format!("{}.mesh", door.bob);
        let closed = door.ask("GET", &url, &host, "").await;
        assert_eq!(
            (closed.status, closed.headers["proxy-authenticate"].as_str()),
            (407, "Basic realm=\"telemesh gateway\"")
        );
        let basic = data_encoding::BASE64.encode(format!("anybody:{}", door.token).as_bytes());
        let password = format!("proxy-authorization: Basic {basic}\r\n");
        assert_eq!(door.ask("GET", &url, &host, &password).await.body, "bob's page");
        let seen = door.ask("GET", &format!("{url}show"), &host, &password).await.body;
        assert!(seen.contains(&host) && !seen.contains(&basic), "{seen}");
        assert_eq!(door.ask("GET", "http://bob.mesh/", "bob.mesh", &password).await.body, "bob's page");
        assert_eq!(door.ask("GET", "http://bob.mesh/", "eve.mesh", &password).await.status, 421);
        assert_eq!(door.ask("GET", "http://other.example/", "other.example", &password).await.status, 421);
        let evil = format!("{password}origin: http://evil.example\r\n");
        assert_eq!(door.ask("GET", &url, &host, &evil).await.status, 403);
    });
}

#[test]
fn a_tunnel_leads_to_one_name_and_only_with_the_token() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        Server::of(&*pair.right).unwrap().upgrade("echo", "/echo", crate::upgrades::Echo).unwrap();
        let door = door(&pair).await;
        let basic = data_encoding::BASE64.encode(format!("anybody:{}", door.token).as_bytes());
        let password = format!("proxy-authorization: Basic {basic}\r\n");
        for (target, headers, status) in [
            ("bob.mesh:80", "", 407),
            ("eve.mesh:80", &*password, 404),
            ("bob.mesh:443", &*password, 403),
            ("127.0.0.1:80", &*password, 403),
            (&*door.host(), &*door.with_token(), 403),
        ] {
            assert_eq!(door.ask("CONNECT", target, target, headers).await.status, status, "{target}");
        }
        // What comes in a tunnel, and what it is answered with.
        let switch = "connection: upgrade\r\nupgrade: echo\r\nx-key: k\r\norigin: http://bob.mesh\r\n";
        for (line, host, headers, status) in [
            ("GET /", "bob.mesh", "", 200),
            ("GET /", "bob.mesh:80", "", 200),
            ("GET /", "eve.mesh", "", 421),
            ("CONNECT bob.mesh:80", "bob.mesh:80", &*password, 421),
            ("GET /", "bob.mesh", "origin: http://evil.example\r\n", 403),
            ("GET /echo", "bob.mesh", &switch.replace("bob", "evil"), 403),
            ("GET /echo", "bob.mesh", switch, 101),
        ] {
            let mut stream = TcpStream::connect(door.address).await.unwrap();
            let open = format!("CONNECT bob.mesh:80 HTTP/1.1\r\nhost: bob.mesh:80\r\n{password}\r\n");
            stream.write_all(open.as_bytes()).await.unwrap();
            assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
            let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = head(&mut stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {host} {headers}: {answer}");
            if status == 101 {
                stream.write_all(b"hello").await.unwrap();
                let mut echoed = [0; 5];
                stream.read_exact(&mut echoed).await.unwrap();
                assert_eq!(&echoed, b"HELLO");
            }
        }
    });
}

/// The head of an answer.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn what_an_endpoint_cannot_answer_is_said() {
    run(|pair: MemoryPair| async move {
        let door = door(&pair).await;
        let token = door.with_token();
        assert_eq!(door.ask("GET", "/", &door.host(), &token).await.status, 502, "nothing is served");
        pair.right.serve_http(app()).unwrap();
        pair.right.revoke(pair.to_left.peer(), telemesh_thtp::SERVE);
        // The left endpoint is whom the right one's link leads to.
        let answer = door.ask("GET", "/", &door.host(), &token).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.body.contains("the grant `serve` is needed"), "{}", answer.body);
    });
}

#[test]
fn an_upgrade_passes_through_the_gateway() {
    run(|pair: MemoryPair| async move {
        Server::of(&*pair.right).unwrap().upgrade("echo", "/echo", crate::upgrades::Echo).unwrap();
        let door = door(&pair).await;
        let session = door.session().await;
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let request = format!(
            "GET /echo HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: echo\r\nx-key: k\r\n\
             origin: http://{host}\r\n{session}\r\n",
            host = door.host()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HELLO");
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn one_connection_carries_many_requests() {
    run(|pair: MemoryPair| async move {
        pair.right.serve_http(app()).unwrap();
        let door = door(&pair).await;
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        for _ in 0..3 {
            let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n{}\r\n", door.host(), door.with_token());
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"bob's page") {
                answer.push(stream.read_u8().await.unwrap());
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        }
    });
}

//! `up --serve`, `http` and `gateway`: what one endpoint serves, asked for by another one's programs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, feed, file, folder, mode, noise, run, telemesh, wait_for_line};

/// Alice serves a folder; Bob is her contact, with these grants.
fn serving(grants: &str) -> [(TempDir, Running); 2] {
    let (alice, bob) = (folder(), folder());
    std::fs::create_dir(alice.path().join("www")).unwrap();
    file(&alice, "www/index.html", "<h1>alice</h1>");
    file(&alice, "www/large", noise(3 << 20, 5));
    let www = alice.path().join("www").display().to_string();
    let (alice_up, _) = Running::waiting(&mut telemesh(&alice, &format!("up --serve {www}")));
    let (bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    let invited = run(&mut telemesh(&alice, &format!("invite --name bob --json {grants}"))).with_code(0);
    let invited = invited.objects().remove(0);
    run(telemesh(&bob, "accept --as alice").arg(invited["invite"].as_str().unwrap())).with_code(0);
    [(alice, alice_up), (bob, bob_up)]
}

#[test]
fn a_request_prints_what_comes_back_and_nothing_else() {
    let [(alice, _alice_up), (bob, _bob_up)] = serving("--grant serve");
    let page = run(&mut telemesh(&bob, "http alice /")).with_code(0);
    assert_eq!(page.text(), "<h1>alice</h1>");
    let large = run(&mut telemesh(&bob, "http alice /large /index.html --json")).with_code(0);
    let expected = [&noise(3 << 20, 5)[..], b"<h1>alice</h1>"].concat();
    assert!(large.stdout == expected, "{} bytes", large.stdout.len());
    let part = run(telemesh(&bob, "http alice /large -i -H").arg("Range: bytes=0-3")).with_code(0);
    let head = b"HTTP/1.1 206 Partial Content\r\n";
    assert!(part.stdout.starts_with(head) && part.stdout.ends_with(&noise(3 << 20, 5)[..4]));
    let missing = run(&mut telemesh(&bob, "http alice /none --fail")).with_code(1);
    assert!(missing.stderr.contains("404"), "{}", missing.stderr);
    let refused = run(&mut telemesh(&bob, "http alice / -X DELETE -i")).with_code(0);
    assert!(refused.text().starts_with("HTTP/1.1 405 "), "{}", refused.text());
    run(&mut telemesh(&bob, "http alice http://alice/")).with_code(2);
    run(telemesh(&bob, "http alice / -H").arg("no colon")).with_code(2);
    run(&mut telemesh(&bob, "http alice / /x -d @-")).with_code(2);
    // Bob serves nothing.
    let nothing = run(&mut telemesh(&alice, "http bob /")).with_code(4);
    assert!(nothing.stderr.contains("unknown channel type"), "{}", nothing.stderr);
}

#[test]
fn whoever_has_no_grant_is_refused() {
    let [(_alice, _alice_up), (bob, _bob_up)] = serving("");
    let refused = run(&mut telemesh(&bob, "http alice /")).with_code(4);
    assert!(refused.stderr.contains("the grant `serve` is needed"), "{}", refused.stderr);
    assert!(refused.stdout.is_empty());
}

/// A server of the smallest kind: it answers one request per connection with what it was sent.
fn echo_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let (mut seen, mut buffer) = (Vec::new(), [0; 65_536]);
                let (head, length) = loop {
                    let count = stream.read(&mut buffer).unwrap();
                    seen.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&seen).to_lowercase();
                    let Some(head) = text.find("\r\n\r\n") else { continue };
                    let length = text.split("content-length: ").nth(1);
                    break (
                        head + 4,
                        length.map_or(0, |text| text.split("\r\n").next().unwrap().parse().unwrap()),
                    );
                };
                let mut body = seen.split_off(head);
                while body.len() < length {
                    let count = stream.read(&mut buffer).unwrap();
                    body.extend_from_slice(&buffer[..count]);
                }
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all(&[answer.as_bytes(), &body].concat()).unwrap();
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn a_body_is_text_a_file_or_standard_input_and_reaches_a_local_server() {
    let (alice, bob) = (folder(), folder());
    let serve = format!("up --serve {}", echo_server());
    let (_alice_up, _) = Running::waiting(&mut telemesh(&alice, &serve));
    let invited = run(&mut telemesh(&alice, "invite --grant serve --json")).with_code(0).objects().remove(0);
    // Without an endpoint that is up, the command runs one itself.
    run(telemesh(&bob, "accept --as alice").arg(invited["invite"].as_str().unwrap())).with_code(0);
    let said = run(&mut telemesh(&bob, "http alice /echo -d hello")).with_code(0);
    assert_eq!(said.text(), "hello");
    let (_bob_up, _) = Running::waiting(&mut telemesh(&bob, "up"));
    file(&bob, "body", "from a file");
    let said = run(telemesh(&bob, "http alice /echo -d @body").current_dir(bob.path())).with_code(0);
    // Its length is not known before, so the server of the test sees none of it.
    assert_eq!(said.text(), "");
    let mut command = telemesh(&bob, "http alice /echo -d @- -H");
    let mut typed = Running::start(command.arg("content-length: 300000").stdin(Stdio::piped()));
    feed(typed.stdin(), noise(300_000, 6));
    assert!(typed.end().with_code(0).stdout == noise(300_000, 6));
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let folder = folder();
    for what in ["/no/such/folder", "https://127.0.0.1", "ftp://x"] {
        run(&mut telemesh(&folder, &format!("up --serve {what} --listen 127.0.0.1:0"))).with_code(2);
    }
}

/// Sends a request to a gateway and reads what comes back.
fn ask(gateway: &Value, host: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(gateway["address"].as_str().unwrap()).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_gateway_leads_a_browser_to_a_contact() {
    let [(_alice, _alice_up), (bob, _bob_up)] = serving("--grant serve");
    let mut command = telemesh(&bob, "gateway --listen 127.0.0.1:0 --json");
    let mut running = command.spawn().unwrap();
    let gateway = wait_for_line(running.stdout.as_mut().unwrap(), "gateway");
    let (hashname, token) =
        (gateway["contacts"][0]["hashname"].as_str().unwrap(), gateway["token"].as_str().unwrap());
    let port = gateway["address"].as_str().unwrap().rsplit(':').next().unwrap();
    let host = format!("{hashname}.localhost:{port}");
    assert!(ask(&gateway, &host, "/", "").starts_with("HTTP/1.1 401 "));
    let token_header = format!("telemesh-token: {token}\r\n");
    let page = ask(&gateway, &format!("alice.localhost:{port}"), "/", &token_header);
    assert!(page.ends_with("<h1>alice</h1>"), "{page}");
    // As a browser does: the URL once, then the cookie.
    let url = gateway["contacts"][0]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{host}")).unwrap();
    let opened = ask(&gateway, &host, path, "");
    assert!(opened.starts_with("HTTP/1.1 303 "), "{opened}");
    let (_, cookie) = opened.split_once("set-cookie: ").unwrap();
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert!(ask(&gateway, &host, "/", &cookie).ends_with("<h1>alice</h1>"));
    running.kill().unwrap();
    running.wait().unwrap();

    // The token is the home's, and survives.
    let kept = bob.path().join("home/gateway-token");
    assert_eq!((mode(&kept), std::fs::read_to_string(&kept).unwrap().trim()), (0o600, token));
    readable_by_others(&kept);
    let refused = run(&mut telemesh(&bob, "gateway --listen 127.0.0.1:0")).with_code(1);
    assert!(refused.stderr.contains("others can read it"), "{}", refused.stderr);
}

fn readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

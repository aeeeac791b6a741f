//! Programs that speak TCP and UDP, through `forward`, `forward -R`, `forward --udp` and `socks`.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::endpoints::Endpoints;
use super::has;
use super::process::{Running, output};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// Bytes of what curl and scp carry.
const SIZE: usize = 32 << 20;

/// All parts whose programs are here.
pub(super) fn run(endpoints: &mut Endpoints) -> Result<()> {
    if has("iperf3", &[("iperf3", "iperf3")]) {
        iperf(endpoints).context("iperf3")?;
    }
    if has("curl", &[("curl", "curl")]) {
        curl(endpoints).context("curl")?;
    }
    if has("redis", &[("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")]) {
        redis(endpoints).context("redis")?;
    }
    if has("ssh", &[("/usr/sbin/sshd", "openssh-server"), ("ssh", "openssh-client")]) {
        ssh(endpoints).context("ssh")?;
    }
    if has("dig", &[("dig", "bind9-dnsutils")]) {
        dig(endpoints).context("dig")?;
    }
    Ok(())
}

/// Throughput both ways, over several connections of which one controls the others.
fn iperf(endpoints: &mut Endpoints) -> Result<()> {
    let port = free_port()?;
    let _server =
        Running::start(Command::new("iperf3").args(["-s", "-B", "127.0.0.1", "-p", &port.to_string()]))?;
    listens(port)?;
    endpoints.grant(format!("sock:127.0.0.1:{port}"))?;
    let local = endpoints.forward(&port.to_string(), &[])?.to_string();
    let mut speeds = Vec::new();
    for more in [&[][..], &["-R"], &["-P", "8"]] {
        // Between two tests the server does not listen for a moment.
        let began = Instant::now();
        let bits = loop {
            let mut command = Command::new("iperf3");
            let said = output(command.args(["-J", "-t", "2", "-c", "127.0.0.1", "-p", &local]).args(more));
            let said: Value = serde_json::from_str(&said.unwrap_or_default()).unwrap_or_default();
            if let Some(bits) = said["end"]["sum_received"]["bits_per_second"].as_f64() {
                break bits;
            }
            ensure!(began.elapsed() < START, "with {more:?}: {}", said["error"]);
        };
        ensure!(bits > 0.0, "nothing was received");
        speeds.push(format!("{:.0}", bits / 8.0 / f64::from(1 << 20)));
    }
    println!("iperf3: {} MiB/s there, back, and with eight connections", speeds.join(", "));
    Ok(())
}

/// A file down and up through a forwarded port, through SOCKS by three names, and from Alice through a port of hers.
fn curl(endpoints: &mut Endpoints) -> Result<()> {
    let port = web_server()?;
    endpoints.grant(format!("sock:127.0.0.1:{port}"))?;
    let (source, copy) = (endpoints.folder.join("source"), endpoints.folder.join("copy"));
    fs::write(&source, content())?;
    let local = endpoints.forward(&port.to_string(), &[])?;
    let fetch = |arguments: &[&str]| -> Result<()> {
        output(Command::new("curl").args(["-sSf", "--max-time", "60", "-o"]).arg(&copy).args(arguments))?;
        ensure!(fs::read(&copy)? == content(), "the copy differs: {arguments:?}");
        Ok(())
    };
    fetch(&[&format!("http://127.0.0.1:{local}/")])?;
    let mut post = Command::new("curl");
    post.args(["-sSf", "-H", "Expect:", "--data-binary", &format!("@{}", source.display())]);
    let said = output(post.arg(format!("http://127.0.0.1:{local}/")))?;
    ensure!(said.trim() == SIZE.to_string(), "{said} of {SIZE} bytes were uploaded");
    let socks = format!("socks5h://127.0.0.1:{}", endpoints.socks()?);
    for host in ["alice.mesh", "alice", "127.0.0.1"] {
        fetch(&["-x", &socks, &format!("http://{host}:{port}/")])?;
    }
    let (own, there) = (web_server()?, free_port()?);
    endpoints.grant(format!("sock-bind:127.0.0.1:{there}"))?;
    endpoints.reverse(&own.to_string(), &there.to_string())?;
    fetch(&[&format!("http://127.0.0.1:{there}/")])?;
    // What was not granted is refused, and curl says so.
    let barred =
        output(Command::new("curl").args(["-sS", "-x", &socks, &format!("http://alice.mesh:{own}/")]));
    ensure!(barred.is_err(), "a port was reached that was not granted");
    println!("curl: {} MiB down and up through forward, down through socks and -R", SIZE >> 20);
    Ok(())
}

/// Thousands of requests on fifty connections at a time, as fast as they go.
fn redis(endpoints: &mut Endpoints) -> Result<()> {
    let port = free_port()?.to_string();
    let mut server = Command::new("redis-server");
    let _server = Running::start(server.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]))?;
    listens(port.parse()?)?;
    endpoints.grant(format!("sock:127.0.0.1:{port}"))?;
    let local = endpoints.forward(&port, &[])?.to_string();
    let cli = |arguments: &[&str]| output(Command::new("redis-cli").args(["-p", &local]).args(arguments));
    ensure!(cli(&["ping"])?.trim() == "PONG" && cli(&["set", "key", "value"])?.trim() == "OK", "no answer");
    ensure!(cli(&["get", "key"])?.trim() == "value", "another value came back");
    let mut benchmark = Command::new("redis-benchmark");
    let said = output(benchmark.args(["-p", &local, "--csv", "-n", "20000", "-c", "50", "-t", "set,get"]))?;
    let lines: Vec<_> =
        said.lines().filter(|line| line.starts_with("\"SET\"") || line.starts_with("\"GET\"")).collect();
    ensure!(lines.len() == 2, "{said}");
    println!(
        "redis: {} (test, requests per second, then milliseconds: average, least, p50, p95, p99, most)",
        lines.join("; ")
    );
    Ok(())
}

/// A command and a file. The server is one of ours, with keys of its own, on loopback.
fn ssh(endpoints: &mut Endpoints) -> Result<()> {
    let folder = endpoints.folder.join("ssh");
    fs::create_dir_all(&folder)?;
    let path = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "user"] {
        output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]))?;
    }
    let port = free_port()?;
    fs::write(
        path("config"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
            path("host"),
            path("user.pub")
        ),
    )?;
    // Where it separates privileges; Debian makes it when its own server starts.
    let _ = fs::create_dir_all("/run/sshd");
    let _server = Running::start(Command::new("/usr/sbin/sshd").args(["-D", "-f", &path("config")]))?;
    listens(port)?;
    endpoints.grant(format!("sock:localhost:{port}"))?;
    let local = endpoints.forward(&port.to_string(), &[])?.to_string();
    let user = output(Command::new("id").arg("-un"))?;
    let options = [
        "-i",
        &path("user"),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "IdentitiesOnly=yes",
    ];
    let to = format!("{}@127.0.0.1", user.trim());
    let said = output(Command::new("ssh").args(options).args(["-p", &local, &to, "echo hello"]))?;
    ensure!(said.trim() == "hello", "{said}");
    fs::write(path("source"), content())?;
    let copy = format!("{to}:{}", path("copy"));
    output(Command::new("scp").args(options).args(["-P", &local, &path("source"), &copy]))?;
    ensure!(fs::read(path("copy"))? == content(), "the copy differs");
    println!("ssh: a command; scp: {} MiB", SIZE >> 20);
    Ok(())
}

/// A name whose answer is larger than a packet of the path.
fn dig(endpoints: &mut Endpoints) -> Result<()> {
    let port = name_server()?;
    endpoints.grant(format!("sock-udp:127.0.0.1:{port}"))?;
    let local = endpoints.forward(&port.to_string(), &["--udp"])?.to_string();
    for strings in [1, 6, 12] {
        let name = format!("s{strings}.example");
        let arguments =
            ["@127.0.0.1", "-p", &local, "+notcp", "+ignore", "+bufsize=4096", "+short", "TXT", &name];
        let said = output(Command::new("dig").args(arguments))?;
        let letters = said.chars().filter(|letter| *letter == 'x').count();
        ensure!(letters == strings * STRING, "{letters} letters came of {strings} strings: {said}");
    }
    println!("dig: answers of {STRING}, {} and {} bytes over --udp", 6 * STRING, 12 * STRING);
    Ok(())
}

/// Letters of one string of an answer.
const STRING: usize = 250;

/// Answers questions for TXT: as many strings as the first label says. Its port.
fn name_server() -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 4_096];
        loop {
            let (size, from) = socket.recv_from(&mut buffer)?;
            if let Some(answer) = answer(&buffer[..size]) {
                socket.send_to(&answer, from)?;
            }
        }
    });
    Ok(port)
}

/// The answer to a question (RFC 1035, section 4).
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let label = usize::from(*question.get(12)?);
    let strings: usize = std::str::from_utf8(question.get(14..13 + label)?).ok()?.parse().ok()?;
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let mut answer = question.get(..end)?.to_vec();
    // An answer, authoritative; one question, one answer, nothing else.
    answer.splice(2..12, [0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    // The name of the question, TXT, IN, one minute, and the length of the strings.
    answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
    answer.extend(u16::try_from(strings * (STRING + 1)).ok()?.to_be_bytes());
    for _ in 0..strings {
        answer.push(u8::try_from(STRING).ok()?);
        answer.extend([b'x'; STRING]);
    }
    Some(answer)
}

/// Gives the content to whoever asks, and says how many bytes were posted. Its port.
fn web_server() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || serve(socket));
        }
    });
    Ok(port)
}

fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<u64>().ok());
    let taken;
    let body = match length {
        Some(length) => {
            taken = std::io::copy(&mut (&socket).take(length), &mut std::io::sink())?.to_string();
            taken.as_bytes()
        }
        None => content(),
    };
    write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    socket.write_all(body)
}

/// Bytes that differ everywhere. Made once: without optimising it takes seconds.
fn content() -> &'static [u8] {
    static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..SIZE as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    });
    &CONTENT
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens there.
fn listens(port: u16) -> Result<()> {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(began.elapsed() < START, "the server does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

//! HTTP through the real program: curl through the gateway and the forward proxy, and two browsers on two endpoints with the
//! notes of a third.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::has;
use super::process::{Running, output};
use browser::Browser;

/// How long anything may take to show in a browser.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of what curl carries.
const SIZE: usize = 32 << 20;

/// All parts whose programs are here.
pub(super) fn run(root: &Path) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = &target.join("release/telemesh");
    let folder = Folder::new()?;
    let folder = &folder.0;
    if has("gateway with curl", &[("curl", "curl")]) {
        curl(program, folder).context("the gateway with curl")?;
    }
    if has("browsers", &[("chromium", "chromium"), ("chromedriver", "chromium-driver")]) {
        browsers(root, program, folder).context("browsers")?;
    }
    Ok(())
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("telemesh-http-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A home with an endpoint that is up.
struct Home<'a> {
    program: &'a Path,
    path: PathBuf,
    _up: Running,
}

impl<'a> Home<'a> {
    fn start(program: &'a Path, path: PathBuf, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--home").arg(&path).arg("up").args(options);
        let up = Running::start(&mut command)?;
        let home = Self { program, path, _up: up };
        let began = Instant::now();
        while home.ask(&["id"]).is_err() || !home.path.join("control.sock").exists() {
            ensure!(began.elapsed() < PATIENCE, "an endpoint does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(home)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(self.program);
        let said = output(command.args(["--json", "--home"]).arg(&self.path).args(arguments))?;
        Ok(serde_json::from_str(said.lines().next().unwrap_or("null"))?)
    }

    /// Its gateway, once it listens.
    fn gateway(&self, name: &str) -> Result<Gateway> {
        let mut command = Command::new(self.program);
        command.args(["--json", "--home"]).arg(&self.path).args(["gateway", "--listen", "127.0.0.1:0"]);
        let (running, said) = Running::until(&mut command, "gateway")?;
        let contacts = said["contacts"].as_array().context("no contacts")?;
        let door = contacts.iter().find(|door| door["name"] == name).context("the contact is missing")?;
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("no text");
        let port = text(&said["address"])?.rsplit(':').next().unwrap_or_default().to_owned();
        Ok(Gateway {
            host: format!("{}.localhost:{port}", text(&door["hashname"])?),
            hashname: text(&door["hashname"])?,
            url: text(&door["url"])?,
            token: text(&said["token"])?,
            port,
            _running: running,
        })
    }
}

struct Gateway {
    host: String,
    hashname: String,
    url: String,
    token: String,
    port: String,
    _running: Running,
}

fn curl(program: &Path, folder: &Path) -> Result<()> {
    let www = folder.join("www");
    fs::create_dir_all(&www)?;
    let content: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
    fs::write(www.join("large"), &content)?;
    fs::write(www.join("small"), "hello")?;
    let alice = Home::start(
        program,
        folder.join("www-alice"),
        &["--listen", "127.0.0.1:0", "--serve", &www.display().to_string()],
    )?;
    let bob = Home::start(program, folder.join("www-bob"), &["--listen", "127.0.0.1:0"])?;
    let invited = alice.ask(&["invite", "--grant", "serve"])?;
    bob.ask(&["accept", invited["invite"].as_str().context("no invite")?, "--as", "alice"])?;
    let gateway = bob.gateway("alice")?;
    let (base, token) = (format!("http://{}", gateway.host), format!("telemesh-token: {}", gateway.token));
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        output(command.args(["-sS", "--max-time", "60", "-H", &token]).args(arguments))
    };
    let said = curl(&[&format!("{base}/small"), &format!("{base}/small"), "-w", " %{num_connects} "])?;
    ensure!(said == "hello 1 hello 0 ", "keep-alive: {said}");
    let said = curl(&["-r", "1-3", "-w", " %{http_code}", &format!("{base}/small")])?;
    ensure!(said == "ell 206", "ranges: {said}");
    let said = curl(&["-I", &format!("{base}/large")])?;
    ensure!(said.contains(&format!("content-length: {SIZE}")), "HEAD: {said}");
    let said = curl(&["--http2-prior-knowledge", "-w", " %{http_version}", &format!("{base}/small")])?;
    ensure!(said == "hello 2", "HTTP/2: {said}");
    let large = folder.join("large");
    for http2 in [&[][..], &["--http2-prior-knowledge"]] {
        curl(&[&["-o", &large.display().to_string(), &format!("{base}/large")][..], http2].concat())?;
        ensure!(fs::read(&large)? == content, "other bytes arrived than are there");
    }
    let proxy = format!("http://x:{}@127.0.0.1:{}", gateway.token, gateway.port);
    let mut command = Command::new("curl");
    let url = format!("http://{}.mesh/small", gateway.hashname);
    let said = output(command.args(["-sS", "--max-time", "60", "-x", &proxy, &url, "-w", " %{http_code}"]))?;
    ensure!(said == "hello 200", "forward proxy: {said}");
    let mut command = Command::new("curl");
    let said =
        output(command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("{base}/small")]))?;
    ensure!(said == "401", "without the token: {said}");
    println!(
        "curl: keep-alive, ranges, HEAD, HTTP/2, {} MiB and the forward proxy work; without the token it is 401",
        SIZE >> 20
    );
    Ok(())
}

/// What a page of another origin tries; each ends in a word.
const ATTEMPTS: &str = "
    const [target, done] = arguments, words = [];
    const attempt = (name, promise) => promise.then(() => words.push(name + ' worked'), () => words.push(name + ' failed'));
    const socket = new Promise((yes, no) => {
        const socket = new WebSocket(target.replace('http', 'ws') + '/changes');
        socket.onopen = yes; socket.onerror = no;
    });
    Promise.all([
        attempt('fetch', fetch(target + '/', { credentials: 'include' })),
        attempt('websocket', socket),
    ]).then(() => done(words.sort().join(', ')));
";

/// Posts a form from a page of another origin, which no browser asks the target about first.
const FORM: &str = "
    const form = document.createElement('form');
    form.method = 'post';
    form.action = arguments[0];
    document.body.append(form);
    form.submit();
";

/// Whether the page was answered with a refusal.
const REFUSED: &str = "
    const [page] = performance.getEntriesByType('navigation');
    return location.pathname === '/' && [401, 403].includes(page.responseStatus);
";

/// Two people's browsers, each with an endpoint and a gateway of its own, and the notes of a third.
fn browsers(root: &Path, program: &Path, folder: &Path) -> Result<()> {
    crate::workspace::run(root, "cargo build --release --package telemesh-notes")?;
    let notes = program.with_file_name("notes");
    let mut command = Command::new(notes);
    let (_notes, said) = Running::until_line(command.arg(folder.join("notes")), "telemesh accept '")?;
    let invite = said.split('\'').nth(1).context("no invite")?.to_owned();

    let mut people = Vec::new();
    for name in ["ann", "ben"] {
        let home = Home::start(program, folder.join(name), &[])?;
        home.ask(&["accept", &invite, "--as", "notes"])?;
        let gateway = home.gateway("notes")?;
        let browser = Browser::start(&folder.join(format!("{name}-profile")))?;
        people.push((home, gateway, browser));
    }
    let result = together(&people);
    if result.is_err() {
        for (number, (_, _, browser)) in people.iter().enumerate() {
            let _ = browser.screenshot(&root.join(format!("target/browser-{number}.png")));
        }
        println!("screenshots: target/browser-0.png, target/browser-1.png");
    }
    if std::env::var_os("TELEMESH_SCREENSHOT").is_some() {
        let (_, _, browser) = people.first().context("nobody is there")?;
        browser.screenshot(&root.join("examples/notes/screenshot.png"))?;
    }
    result
}

fn together(people: &[(Home<'_>, Gateway, Browser)]) -> Result<()> {
    let [(_, gateway, ann), (_, other, ben)] = people else { bail!("two people are needed") };
    // Before the session is open there is nothing to see.
    ann.open(&format!("http://{}/", gateway.host))?;
    ensure!(ann.text("body")?.contains("no session"), "a browser without a session saw something");
    for (_, gateway, browser) in people {
        browser.open(&gateway.url)?;
        browser.wait("the page is live", "return document.getElementById('state').textContent === 'live'")?;
        let address = browser.run("return location.href", &[])?;
        ensure!(
            address == json!(format!("http://{}/", gateway.host)),
            "the token stays in the address: {address}"
        );
    }
    let began = Instant::now();
    ann.type_into("#notes", "milk\neggs\n")?;
    ben.wait("what ann typed", "return document.getElementById('notes').value === 'milk\\neggs\\n'")?;
    let there = began.elapsed();
    ben.type_into("#notes", "bread")?;
    ann.wait("what ben typed", "return document.getElementById('notes').value === 'milk\\neggs\\nbread'")?;

    // Storage and cookies of two origins are apart.
    ann.run("localStorage.setItem('mine', 'yes'); document.cookie = 'mine=yes'", &[])?;
    let elsewhere = format!("http://notes.localhost:{}/.telemesh/none", gateway.port);
    ann.open(&elsewhere)?;
    let seen = ann.run("let stored = null; try { stored = localStorage.getItem('mine'); } catch {} return [stored, document.cookie]", &[])?;
    ensure!(seen == json!([null, ""]), "another origin sees {seen}");
    // And a page of another origin can neither read, nor post, nor open a socket.
    let tried = ann.run_async(ATTEMPTS, &[json!(format!("http://{}", gateway.host))])?;
    ensure!(tried == "fetch failed, websocket failed", "from another origin: {tried}");
    ann.run(FORM, &[json!(format!("http://{}/", gateway.host))])?;
    ann.wait("that a form of another origin is refused", REFUSED)?;
    // Ben's session is not Ann's: his browser has nothing for her gateway.
    ben.open(&format!("http://{}/", gateway.host))?;
    ensure!(ben.text("body")?.contains("no session"), "another gateway's session was taken");
    ben.open(&format!("http://{}/", other.host))?;
    ben.wait("the notes again", "return document.getElementById('notes').value === 'milk\\neggs\\nbread'")?;
    ann.open(&format!("http://{}/", gateway.host))?;
    ann.wait("the notes again", "return document.getElementById('notes').value === 'milk\\neggs\\nbread'")?;
    println!(
        "browsers: two, on two endpoints, show what is typed in either ({} ms); origins are apart, and others are refused",
        there.as_millis()
    );
    Ok(())
}

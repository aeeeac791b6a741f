//! A headless Chromium, through chromedriver: as much of WebDriver as the steps here need
//! (<https://www.w3.org/TR/webdriver2/>), over plain HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::services::process::Running;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One browser with a profile of its own.
pub(super) struct Browser {
    port: u16,
    session: String,
    _driver: Running,
}

impl Browser {
    pub(super) fn start(profile: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let driver = Running::start(Command::new("chromedriver").arg(format!("--port={port}")))?;
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(began.elapsed() < PATIENCE, "chromedriver does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::create_dir_all(profile)?;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=900,600",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let mut browser = Self { port, session: String::new(), _driver: driver };
        let begun = browser.ask("POST", "/session", &wanted)?;
        browser.session = begun["sessionId"].as_str().context("no session")?.to_owned();
        Ok(browser)
    }

    pub(super) fn open(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).map(drop)
    }

    /// What a script gives.
    pub(super) fn run(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// What a script hands to its last argument.
    pub(super) fn run_async(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.command("execute/async", &json!({ "script": script, "args": arguments }))
    }

    /// Waits until a script gives true.
    pub(super) fn wait(&self, what: &str, script: &str) -> Result<()> {
        let began = Instant::now();
        while self.run(script, &[])? != json!(true) {
            ensure!(began.elapsed() < PATIENCE, "{what} does not show");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn element(&self, selector: &str) -> Result<String> {
        let found = self.command("element", &json!({ "using": "css selector", "value": selector }))?;
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        id.map(ToOwned::to_owned).with_context(|| format!("there is no {selector}"))
    }

    pub(super) fn text(&self, selector: &str) -> Result<String> {
        let element = self.element(selector)?;
        let path = format!("/session/{}/element/{element}/text", self.session);
        Ok(self.ask("GET", &path, &Value::Null)?.as_str().unwrap_or_default().to_owned())
    }

    /// Types at the end of what is there, as a person does.
    pub(super) fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.command(&format!("element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    pub(super) fn screenshot(&self, path: &Path) -> Result<()> {
        let taken = self.ask("GET", &format!("/session/{}/screenshot", self.session), &Value::Null)?;
        let image = base64(taken.as_str().context("no picture")?).context("not base64")?;
        Ok(fs::write(path, image)?)
    }

    fn command(&self, command: &str, body: &Value) -> Result<Value> {
        self.ask("POST", &format!("/session/{}/{command}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        // It keeps the connection open, whatever it is told.
        loop {
            let mut line = String::new();
            ensure!(reader.read_line(&mut line)? > 0, "chromedriver has answered with nothing");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        if let Some(error) = answer["value"]["error"].as_str() {
            bail!("{path}: {error}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser itself; the driver is ended after it.
        let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

/// What a text in base64 stands for (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_rfc_4648_has_it() {
        let read = |text| base64(text).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(
            ["", "Zg==", "Zm8=", "Zm9vYmE="].map(read),
            ["", "f", "fo", "fooba"].map(|text| Some(text.into()))
        );
        assert_eq!(base64("a b"), None);
    }
}

//! `ssh -L` to a server of ours on loopback, with keys made for this run and a configuration that nobody else uses.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// By its whole name: it starts itself again for each connection.
const SERVER: &str = "/usr/sbin/sshd";

/// How long each of the two may take to listen.
const START: Duration = Duration::from_secs(20);

/// The program that is not here; `None` if all are.
pub(super) fn missing() -> Option<&'static str> {
    let runs = |name: &str| {
        let mut command = Command::new(name);
        command.arg("-?").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if !Path::new(SERVER).exists() {
        return Some(SERVER);
    }
    ["ssh", "ssh-keygen", "id"].into_iter().find(|name| !runs(name))
}

/// Both ends.
pub(super) struct Tunnel {
    entrance: SocketAddr,
    roots: [u32; 2],
    // In this order: the server's part of the connection ends when the client has.
    _client: Running,
    _server: Running,
    _folder: TempDir,
}

impl Tunnel {
    /// Starts both ends and waits until they lead to `target`.
    pub(super) fn start(target: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host", "user"] {
            said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]))?;
        }
        let place = free_place()?;
        let configuration = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            place.port(),
            path("host"),
            path("user.pub")
        );
        fs::write(path("config"), configuration)?;
        // Where it separates privileges; Debian makes it when its own server starts.
        let _ = fs::create_dir_all("/run/sshd");
        let mut server = Running::start(Command::new(SERVER).args(["-D", "-f", &path("config")]))?;
        server.listens(place)?;

        let entrance = free_place()?;
        let user = said(Command::new("id").arg("-un"))?;
        let mut command = Command::new("ssh");
        command.args(["-N", "-F", "none", "-i", &path("user")]);
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-L", &format!("{entrance}:{target}"), "-p", &place.port().to_string()]);
        let mut client = Running::start(command.arg(format!("{}@127.0.0.1", user.trim())))?;
        client.listens(entrance)?;
        let roots = [client.0.id(), server.0.id()];
        Ok(Self { entrance, roots, _client: client, _server: server, _folder: folder })
    }

    /// Where connections come in.
    pub(super) fn entrance(&self) -> SocketAddr {
        self.entrance
    }

    /// The two processes, which have children.
    pub(super) fn roots(&self) -> &[u32] {
        &self.roots
    }
}

/// A process; killed when dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(started.with_context(|| format!("cannot start {name}"))?))
    }

    /// Waits until it does.
    fn listens(&mut self, place: SocketAddr) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(place).is_err() {
            if let Some(status) = self.0.try_wait()? {
                anyhow::bail!("it ended with {status} before it listened");
            }
            ensure!(began.elapsed() < START, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is just as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program says that ends by itself.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn free_place() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

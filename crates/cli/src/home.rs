//! The home folder: where it is, the key in it, and the lock that keeps two endpoints apart.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::TryRng as _;
use rand::rngs::SysRng;
use telemesh::thtp::gateway::Token;
use telemesh::{FileStore, KeySet, PathAddress};
use zeroize::Zeroizing;

use crate::args::Global;
#[cfg(unix)]
use crate::control::client::Client;
use crate::failure::Failure;
use crate::lock::{self, Attempt, HomeLock};

/// How long a command waits for another one that has the home for itself.
const CLAIM_LIMIT: Duration = Duration::from_secs(5);

/// From one look to the next.
const CLAIM_PAUSE: Duration = Duration::from_millis(20);

/// The key file's name in the home folder.
pub(crate) const KEY: &str = "key";

/// The store's name in the home folder.
const STORE: &str = "store.redb";

/// The name of the file with the gateway's token.
const GATEWAY_TOKEN: &str = "gateway-token";
/// The name of the file that keeps chats.
const CHATS: &str = "chats.redb";

/// The name of the file that keeps the port.
const PORT: &str = "port";

/// The keys of a home folder. They, and the folder, are made if they are missing: hold its lock then.
pub(crate) fn keys(home: &Path) -> Result<KeySet, Failure> {
    Ok(telemesh::load_or_create_keys(home.join(KEY))?)
}

/// The key file of the home folder.
pub(crate) fn key_path(global: &Global) -> Result<PathBuf, Failure> {
    Ok(directory(global)?.join(KEY))
}

/// Whether there are keys in a home folder.
pub(crate) fn has_keys(home: &Path) -> bool {
    home.join(KEY).exists()
}

/// Makes a home folder, for its owner only, if it is missing.
pub(crate) fn prepare(home: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(home)
        .map_err(|error| Failure::Failed(format!("could not make the folder {}: {error}", home.display())))
}

/// Contacts, invites and what is remembered of peers. Call it with the home's lock.
pub(crate) async fn store(home: &Path) -> Result<FileStore, Failure> {
    let deadline = Instant::now() + CLAIM_LIMIT;
    loop {
        match FileStore::open(home.join(STORE)) {
            // The system takes a moment to close the files of a process that has ended.
            Err(telemesh::store::OpenError::InUse { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(CLAIM_PAUSE).await;
            }
            done => return done.map_err(|error| Failure::Failed(error.to_string())),
        }
    }
}

/// Chats that end with the process.
pub(crate) fn no_chats() -> Arc<dyn telemesh::chat::Store> {
    Arc::new(telemesh::chat::MemoryStore::default())
}

/// Whether the home has had chats.
pub(crate) fn has_chats(global: &Global) -> bool {
    directory(global).is_ok_and(|home| home.join(CHATS).exists())
}

/// Chats. Call it with the home's lock.
pub(crate) async fn chats(home: &Path) -> Result<Arc<dyn telemesh::chat::Store>, Failure> {
    let deadline = Instant::now() + CLAIM_LIMIT;
    loop {
        match telemesh::chat::FileStore::open(home.join(CHATS)) {
            Err(telemesh::chat::OpenError::InUse { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(CLAIM_PAUSE).await;
            }
            Ok(store) => return Ok(Arc::new(store)),
            Err(error) => return Err(Failure::Failed(error.to_string())),
        }
    }
}

/// The port at which the endpoint of a home was last: contacts look for it there.
pub(crate) fn port(home: &Path) -> Option<u16> {
    fs::read_to_string(home.join(PORT)).ok()?.trim().parse().ok().filter(|port| *port != 0)
}

/// Keeps the port for the next time. If that fails another one will do.
pub(crate) fn keep_port(home: &Path, addresses: &[PathAddress]) {
    let udp = |address: &PathAddress| match address {
        PathAddress::Udp(address) => Some(address.port()),
        _ => None,
    };
    let port = addresses.iter().find_map(udp);
    if let Some(port) = port
        && let Err(error) = fs::write(home.join(PORT), format!("{port}\n"))
    {
        tracing::warn!(%error, "the port is not kept for the next time");
    }
}

/// The token of the home's gateway, which is made if it is missing, for its owner only.
///
/// # Errors
/// It cannot be read or written, or others can read it.
pub(crate) fn gateway_token(home: &Path) -> Result<Token, Failure> {
    let path = home.join(GATEWAY_TOKEN);
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::Failed(format!("could not {what} {}: {error}", path.display()))
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = fs::metadata(&path).map_err(|error| failed("read", &error))?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(failed("use", &"others can read it; remove it, and a new one is made"));
                }
            }
            text.trim().parse().map_err(|error| failed("use", &error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            SysRng
                .try_fill_bytes(&mut bytes)
                .map_err(|_| Failure::Failed("the operating system gives no randomness".into()))?;
            let token = Token::from_bytes(bytes);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let written = options
                .open(&path)
                .and_then(|mut file| file.write_all(format!("{}\n", *token.to_secret_string()).as_bytes()));
            written.map_err(|error| failed("write", &error))?;
            Ok(token)
        }
        Err(error) => Err(failed("read", &error)),
    }
}

/// A home folder that is to be used by one process alone.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is ours now.
    Ours(HomeLock),
    /// An endpoint is up on it.
    #[cfg(unix)]
    Up(Client),
}

/// Takes a home folder, or finds the endpoint that is up on it. Other commands that have it are waited for.
///
/// # Errors
/// Somebody else has it for longer than anybody wants to wait.
pub(crate) async fn claim(home: &Path) -> Result<Claim, Failure> {
    prepare(home)?;
    let deadline = Instant::now() + CLAIM_LIMIT;
    loop {
        #[cfg(unix)]
        if let Some(client) = Client::connect(home).await? {
            return Ok(Claim::Up(client));
        }
        match lock::take(home)? {
            Attempt::Ours(lock) => return Ok(Claim::Ours(lock)),
            Attempt::Held(id) if Instant::now() >= deadline => {
                return Err(Failure::Failed(format!(
                    "{} uses the home {} alone; `telemesh up` lets commands share it",
                    lock::holder(id),
                    home.display()
                )));
            }
            Attempt::Held(_) => tokio::time::sleep(CLAIM_PAUSE).await,
        }
    }
}

/// The home folder: what was asked for, or the platform's.
pub(crate) fn directory(global: &Global) -> Result<PathBuf, Failure> {
    match &global.home {
        Some(chosen) if !chosen.as_os_str().is_empty() => Ok(chosen.clone()),
        _ => default_directory().ok_or_else(|| {
            Failure::Failed("there is no home directory on this machine: name a folder with --home".into())
        }),
    }
}

/// Where the platform wants programs to keep what is theirs.
fn default_directory() -> Option<PathBuf> {
    let data = if cfg!(windows) {
        absolute(env::var_os("APPDATA"))?
    } else if cfg!(target_os = "macos") {
        env::home_dir()?.join("Library/Application Support")
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        match absolute(env::var_os("XDG_DATA_HOME")) {
            Some(data) => data,
            None => env::home_dir().filter(|home| home.is_absolute())?.join(".local/share"),
        }
    };
    Some(data.join("telemesh"))
}

fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}

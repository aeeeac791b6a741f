//! The boxes of an endpoint: its own messages in the home, and what it keeps for others where it was told to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use telemesh::boxes::{Boxes, CacheLimits, CacheSecret, FileStore, MemoryStore, OpenError, Store};
use telemesh::{Mesh, MeshBoxes as _};
use tokio::time::{Duration, Instant, sleep};

use crate::failure::Failure;

/// Own messages, in the home folder.
const STORE: &str = "box.redb";

/// What keys the names in a cache, in the home folder and never beside the cache.
const SECRET: &str = "box.secret";

/// How long another process may take to close a file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where messages for others are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CacheAt {
    /// In memory, as long as the endpoint is up.
    Memory,
    /// In this file.
    File(PathBuf),
}

impl CacheAt {
    /// Reads `memory` or a path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("memory, or the path of a file".to_owned()),
            "memory" => Ok(Self::Memory),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

/// Starts the boxes of an endpoint. Without a home everything is in memory.
pub(super) async fn start(
    mesh: &Mesh,
    home: Option<&Path>,
    cache: Option<&CacheAt>,
) -> Result<Boxes, Failure> {
    let mut builder = mesh.boxes();
    if let Some(home) = home {
        builder = builder.store(open(&home.join(STORE)).await?);
    }
    if let Some(cache) = cache {
        let store: Arc<dyn Store> = match cache {
            CacheAt::Memory => Arc::new(MemoryStore::new()),
            CacheAt::File(path) => open(path).await?,
        };
        let secret = match home {
            Some(home) => secret(&home.join(SECRET)).map_err(|error| {
                Failure::Failed(format!("the secret {} cannot be used: {error}", home.join(SECRET).display()))
            })?,
            None => CacheSecret::from_bytes(rand::random()),
        };
        builder = builder.cache(store, secret, CacheLimits::default());
    }
    builder.start().map_err(|error| Failure::Failed(error.to_string()))
}

async fn open(path: &Path) -> Result<Arc<FileStore>, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match FileStore::open(path) {
            // The system takes a moment to close the files of a process that has ended.
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            done => return done.map(Arc::new).map_err(|error| Failure::Failed(error.to_string())),
        }
    }
}

/// The secret in this file, which is made for its owner alone if it is missing.
fn secret(path: &Path) -> io::Result<CacheSecret> {
    match fs::read(path) {
        Ok(bytes) => {
            let bytes = bytes.try_into().map_err(|_| io::Error::other("it does not have 32 bytes"))?;
            return Ok(CacheSecret::from_bytes(bytes));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let bytes: [u8; 32] = rand::random();
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(CacheSecret::from_bytes(bytes))
}

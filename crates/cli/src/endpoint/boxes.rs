//! The boxes of an endpoint: its own messages in the home, and what it keeps for others where it was told to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use telemesh::boxes::{Boxes, CacheSecret, Caches, FileStore, MemoryStore, OpenError, Store};
use telemesh::{Contact, Hashname, Mesh, MeshBoxes as _};
use tokio::time::{Duration, Instant, sleep};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::quotas::Quotas;

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

/// What an endpoint's boxes do for others.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    /// Where messages for others are kept; nowhere if it is not said.
    pub(crate) at: Option<CacheAt>,
    pub(crate) quotas: Quotas,
    /// Whether others are told who keeps messages for us.
    pub(crate) tells: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self { at: None, quotas: Quotas::default(), tells: true }
    }
}

/// Who keeps our messages if nothing else is said: whoever leads others to us is there when we are not, and may keep messages
/// as well. A router that does not says so.
pub(crate) fn routers(mesh: &Mesh) -> Vec<Hashname> {
    let routers = mesh.contacts().into_iter().filter(Contact::is_router);
    routers.map(|router| router.hashname()).collect()
}

/// Starts the boxes of an endpoint. Without a home everything is in memory.
pub(super) async fn start(mesh: &Mesh, home: Option<&Path>, cache: &Cache) -> Result<Boxes, Failure> {
    let mut builder = mesh.boxes().caches(Caches::for_all(routers(mesh))).tell_caches(cache.tells);
    if let Some(home) = home {
        builder = builder.store(open(&home.join(STORE)).await?);
    }
    if let Some(at) = &cache.at {
        let store: Arc<dyn Store> = match at {
            CacheAt::Memory => Arc::new(MemoryStore::new()),
            CacheAt::File(path) => open(path).await?,
        };
        let secret = match home {
            Some(home) => secret(&home.join(SECRET)).map_err(|error| {
                Failure::Failed(format!("the secret {} cannot be used: {error}", home.join(SECRET).display()))
            })?,
            None => CacheSecret::from_bytes(rand::random()),
        };
        builder = builder.cache(store, secret, cache.quotas.limits());
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

/// Nobody but its owner may know it: with it, a copy of the cache names senders and recipients.
#[cfg_attr(not(unix), expect(unused_variables, reason = "who may read it is up to its folder there"))]
fn check(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file; symbolic links are not followed"));
        }
        let (owner, we) = (metadata.uid(), rustix::process::geteuid().as_raw());
        if owner != we {
            return Err(io::Error::other(format!("it belongs to user {owner}, and we are user {we}")));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "others can read it (mode {mode:04o}); run `chmod 600 {0}`. If somebody may have, remove {0} and the cache: \
                 a new secret is made, and senders offer again what was kept",
                path.display()
            )));
        }
    }
    Ok(())
}

/// The secret in this file, which is made for its owner alone if it is missing.
fn secret(path: &Path) -> io::Result<CacheSecret> {
    match fs::read(path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            check(path)?;
            let bytes = bytes[..].try_into().map_err(|_| io::Error::other("it does not have 32 bytes"))?;
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_refused_and_the_repair_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRET);
        secret(&path).unwrap();
        let made = fs::read(&path).unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for open in [0o640, 0o604, 0o620, 0o666] {
            mode(open);
            let error = secret(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
        mode(0o400);
        secret(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), made, "it stays the same");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(secret(&link).unwrap_err().to_string().contains("symbolic links"));
        mode(0o600);
        fs::write(&path, [1; 31]).unwrap();
        assert!(secret(&path).unwrap_err().to_string().contains("32 bytes"));
    }
}

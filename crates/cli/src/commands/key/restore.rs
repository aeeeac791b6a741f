//! `telemesh key restore FILE`.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use telemesh::{KeyFileError, KeySet};
use zeroize::Zeroizing;

use super::{passphrase, seal, text};
use crate::args::KeyRestore;
use crate::context::Context;
use crate::failure::Failure;
use crate::home;
use crate::lock::{self, Attempt};

/// What the first line of a key file starts with, which is a backup too.
const KEY_FILE: &[u8] = b"telemesh keys ";

#[derive(Debug, Serialize)]
struct RestoreObject {
    hashname: String,
    file: String,
    /// False if this key was there already.
    changed: bool,
    /// Where the key is now that was there before.
    kept: Option<String>,
}

/// Reads a backup and makes it the key of the home folder.
pub(crate) async fn run(context: &Context, options: &KeyRestore) -> Result<(), Failure> {
    let keys = keys(options).await?;
    let folder = home::directory(&context.global)?;
    let path = home::key_path(&context.global)?;
    make_folder(&folder).map_err(|error| failed("could not make", &folder, &error))?;
    // Held until the key is there, so that nothing starts with half of it.
    let _lock = match lock::take(&folder)? {
        Attempt::Ours(lock) => lock,
        Attempt::Held(id) => {
            return Err(Failure::Failed(format!(
                "an endpoint is up in {} ({}): end it with `telemesh stop` first",
                folder.display(),
                lock::holder(id)
            )));
        }
    };
    let kept = match make_room(&path, &keys, options.replace)? {
        Room::Same => {
            context.output.line(format_args!("{} is the key of this home already", keys.hashname()))?;
            return report(context, &keys, &path, false, None);
        }
        Room::Free => None,
        Room::Kept(kept) => Some(kept),
    };
    keys.save(&path).map_err(|error| Failure::Failed(error.to_string()))?;
    // What is on the disk counts, not what should be there.
    let saved = KeySet::load(&path).map_err(|error| Failure::Failed(error.to_string()))?;
    context.output.line(format_args!("{} is the key of this home now", saved.hashname()))?;
    if let Some(kept) = &kept {
        context.output.line(format_args!("the key that was there is in {}", kept.display()))?;
    }
    report(context, &saved, &path, true, kept.as_deref())
}

fn report(
    context: &Context,
    keys: &KeySet,
    path: &Path,
    changed: bool,
    kept: Option<&Path>,
) -> Result<(), Failure> {
    context.output.object(&RestoreObject {
        hashname: keys.hashname().to_string(),
        file: path.display().to_string(),
        changed,
        kept: kept.map(|kept| kept.display().to_string()),
    })
}

/// The keys in the backup.
async fn keys(options: &KeyRestore) -> Result<KeySet, Failure> {
    let bytes = read(&options.file).map_err(|error| failed("could not read", &options.file, &error))?;
    let wrong = |why: &dyn std::fmt::Display| Failure::Failed(format!("{}: {why}", options.file.display()));
    if bytes.starts_with(KEY_FILE) {
        return KeySet::from_bytes(&bytes).map_err(|error| wrong(&error));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&text::BackupError::NotABackup))?;
    let backup = text::read(text).map_err(|error| wrong(&error))?;
    let content = if backup.sealed {
        let passphrase = passphrase::recall(options.passphrase_file.as_deref()).await?;
        seal::open(&backup.content, &backup.hashname, &passphrase)?
    } else {
        backup.content
    };
    let keys = KeySet::from_bytes(&content).map_err(|error| wrong(&error))?;
    if keys.hashname() != backup.hashname {
        return Err(wrong(&"the keys do not belong to the hashname beside them"));
    }
    Ok(keys)
}

/// The backup, into memory that is wiped and never grows, since growing leaves copies behind.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text::MAX_LENGTH + 1));
    let limit = u64::try_from(text::MAX_LENGTH).unwrap_or(u64::MAX).saturating_add(1);
    if path == Path::new("-") {
        crate::stdio::raw_stdin()?.take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() > text::MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long to be a backup"));
    }
    Ok(bytes)
}

/// What there was at the place of the key.
enum Room {
    /// Nothing.
    Free,
    /// The very same key.
    Same,
    /// Another one, which has this name too from now on.
    Kept(PathBuf),
}

/// Looks at the key that is there, and gives it a second name if it may be replaced.
fn make_room(path: &Path, keys: &KeySet, replace: bool) -> Result<Room, Failure> {
    let obstacle = match KeySet::load(path) {
        Ok(old) if old.hashname() == keys.hashname() => return Ok(Room::Same),
        Ok(old) => format!("the key of {} is there", old.hashname()),
        Err(KeyFileError::NotFound { .. }) => return Ok(Room::Free),
        // A key file of another kind can be kept and replaced; anything else has to be put in order first.
        Err(error @ KeyFileError::Content { .. }) => error.to_string(),
        Err(error) => return Err(Failure::Failed(error.to_string())),
    };
    if !replace {
        return Err(Failure::Failed(format!("{obstacle}; --replace keeps that beside the new one")));
    }
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "-");
    for attempt in 1..=MAX_ATTEMPTS {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let kept = path.with_file_name(format!("key.{date}{suffix}"));
        // A second name for the same file, so that there is a key at every moment and no copy of it.
        match fs::hard_link(path, &kept) {
            Ok(()) => return Ok(Room::Kept(kept)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("could not keep the old key as", &kept, &error)),
        }
    }
    Err(Failure::Failed(format!("too many keys were replaced on {date}")))
}

/// Keys that can be replaced within one second.
const MAX_ATTEMPTS: usize = 100;

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{what} {}: {error}", path.display()))
}

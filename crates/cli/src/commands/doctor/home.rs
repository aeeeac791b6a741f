//! The home folder: whose it is and who may look into it, its key, who is up there, and room for more.

use std::fs;
use std::io;
use std::path::Path;

use telemesh::{KeyFileError, KeySet};

use super::report::Check;
use crate::home as home_folder;
use crate::lock;

/// Less free room than this, in bytes, and the next thing that has to be kept may not fit.
#[cfg(unix)]
const LITTLE_ROOM: u64 = 64 * 1024 * 1024;

pub(super) async fn checks(folder: &Path) -> Vec<Check> {
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let found = format!("{} is not a folder", folder.display());
            return vec![Check::failed("home", found, "move it away, or choose another folder with --home")];
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let found =
                format!("{} is not there yet: the first command that needs it makes it", folder.display());
            return vec![Check::ok("home", found)];
        }
        Err(error) => {
            let found = format!("cannot look at {}: {error}", folder.display());
            return vec![Check::failed("home", found, "see who owns the folders above it, or use --home")];
        }
    };
    let mut checks = vec![permissions(folder, &metadata), key(folder), running(folder).await];
    checks.extend(room(folder));
    checks
}

#[cfg(unix)]
fn permissions(folder: &Path, metadata: &fs::Metadata) -> Check {
    use std::os::unix::fs::MetadataExt as _;
    let shown = folder.display();
    let (owner, we) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != we {
        let found = format!("{shown} belongs to user {owner}, and we are user {we}");
        let advice =
            format!("run as that user, or `chown -R {we} {shown}`; do not run some commands with sudo");
        return Check::failed("home", found, advice);
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let found = format!("{shown} is open to others (mode {mode:04o})");
        return Check::failed("home", found, format!("run `chmod 700 {shown}`"));
    }
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        let found = format!("nothing can be written in {shown}");
        let advice = "is the file system mounted read-only? else `chmod u+rwx` on the folder";
        return Check::failed("home", found, advice);
    }
    Check::ok("home", format!("{shown}, for its owner only"))
}

#[cfg(not(unix))]
fn permissions(folder: &Path, metadata: &fs::Metadata) -> Check {
    if metadata.permissions().readonly() {
        let found = format!("nothing can be written in {}", folder.display());
        return Check::failed("home", found, "take the read-only attribute off the folder");
    }
    Check::ok("home", folder.display())
}

fn key(folder: &Path) -> Check {
    let path = folder.join(home_folder::KEY);
    #[cfg(unix)]
    if let Some(check) = foreign_key(&path) {
        return check;
    }
    match KeySet::load(&path) {
        Ok(keys) => Check::ok("key", format!("we are {}", keys.hashname())),
        Err(KeyFileError::NotFound { .. }) => {
            Check::ok("key", "there is none yet: the first command that needs it makes it")
        }
        // The error names the repair; the file system's own do not.
        Err(error @ KeyFileError::Io { .. }) => {
            Check::failed("key", error, "see who owns the file and its folder")
        }
        Err(error) => Check::failed("key", error, "as it says; `telemesh key restore` brings back a backup"),
    }
}

/// A key that is somebody else's: root can read it, and then nobody else can use what root has written beside it.
#[cfg(unix)]
fn foreign_key(path: &Path) -> Option<Check> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::symlink_metadata(path).ok()?.uid();
    let we = rustix::process::geteuid().as_raw();
    (owner != we).then(|| {
        let found = format!("{} belongs to user {owner}, and we are user {we}", path.display());
        Check::failed("key", found, format!("run as that user, or `chown {we} {}`", path.display()))
    })
}

/// Who uses the home, and whether other commands can talk to them.
async fn running(folder: &Path) -> Check {
    const NAME: &str = "running";
    let held = match lock::is_held(folder) {
        Ok(held) => held,
        Err(error) => {
            let advice =
                "keep the home folder on a file system that has locks, and its files with their owner";
            return Check::failed(
                NAME,
                format!("cannot try the lock in {}: {error}", folder.display()),
                advice,
            );
        }
    };
    match (held, answers(folder).await) {
        (true, Some(true)) => Check::ok(NAME, "an endpoint is up in this home, and commands can use it"),
        (true, Some(false)) => {
            let advice =
                "if that is no command that is about to end, `telemesh up` lets commands share a home";
            Check::ok(NAME, "somebody uses this home alone").with_advice(advice)
        }
        (true, None) => Check::ok(NAME, "somebody uses this home"),
        (false, _) => Check::ok(NAME, "no endpoint is up in this home"),
    }
}

/// Whether an endpoint listens at the control socket. `None` where there is none, or it cannot be tried.
#[cfg(unix)]
async fn answers(folder: &Path) -> Option<bool> {
    let client = crate::control::client::Client::connect(folder).await.ok()?;
    Some(client.is_some())
}

#[cfg(not(unix))]
#[allow(clippy::unused_async, reason = "as on systems with such sockets")]
async fn answers(_folder: &Path) -> Option<bool> {
    None
}

#[cfg(unix)]
fn room(folder: &Path) -> Option<Check> {
    let disk = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk,
        Err(error) => return Some(Check::skipped("disk", format!("the file system does not say: {error}"))),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} MiB free in the home folder", free / (1024 * 1024));
    Some(if free < LITTLE_ROOM {
        Check::warning("disk", found, "make room: what cannot be kept is refused")
    } else {
        Check::ok("disk", found)
    })
}

#[cfg(not(unix))]
fn room(_folder: &Path) -> Option<Check> {
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::report::Status;
    use super::*;

    fn with_mode(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
        (folder, home)
    }

    fn status(checks: &[Check], name: &str) -> Status {
        checks.iter().find(|check| check.check == name).unwrap().status
    }

    #[tokio::test]
    async fn looking_changes_nothing() {
        let (_folder, home) = with_mode(0o700);
        let checks = checks(&home).await;
        assert!(checks.iter().all(|check| check.status == Status::Ok), "{checks:?}");
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_home_that_others_can_enter_is_found() {
        let (_folder, home) = with_mode(0o750);
        assert_eq!(status(&checks(&home).await, "home"), Status::Failed);
    }

    #[tokio::test]
    async fn a_damaged_key_is_found_and_who_uses_the_home_too() {
        let (_folder, home) = with_mode(0o700);
        fs::write(home.join("key"), "nonsense").unwrap();
        fs::set_permissions(home.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let lock = lock::take(&home).unwrap();
        let checks = checks(&home).await;
        assert_eq!(status(&checks, "key"), Status::Failed);
        assert!(running(&home).await.found.starts_with("somebody uses"));
        drop(lock);
        assert!(running(&home).await.found.starts_with("no endpoint"));
    }
}

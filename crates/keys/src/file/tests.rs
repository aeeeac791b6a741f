//! The key file on a real file system: what is refused, and what survives.

#![allow(
    clippy::expect_used,
    reason = "clippy sees tests only in functions marked as such, not in their helpers"
)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Barrier;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::*;

/// A directory that only its owner can enter, and the path of a key file in it.
fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a temporary directory can be made");
    set_mode(directory.path(), 0o700);
    let path = directory.path().join("keys");
    (directory, path)
}

fn keys(seed: u64) -> KeySet {
    KeySet::generate(&mut StdRng::seed_from_u64(seed))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("modes can be set");
}

fn load_or_create_seeded(path: &Path, seed: u64) -> Result<KeySet, KeyFileError> {
    KeySet::load_or_create(path, &mut StdRng::seed_from_u64(seed))
}

/// Names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("it is listed").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_missing_file_and_directory_are_made_for_the_owner_only() {
    let (directory, _) = place();
    let path = directory.path().join("a/b/keys");
    assert!(matches!(KeySet::load(&path), Err(KeyFileError::NotFound { .. })));

    let made = load_or_create_seeded(&path, 1).unwrap();

    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&directory.path().join("a")), 0o700);
    assert_eq!(mode(&directory.path().join("a/b")), 0o700);
    assert_eq!(names(&directory.path().join("a/b")), ["keys", "keys.lock"]);
    assert_eq!(KeySet::load(&path).unwrap().hashname(), made.hashname());
    assert_eq!(load_or_create_seeded(&path, 2).unwrap().hashname(), made.hashname());
}

#[test]
fn save_replaces_the_keys() {
    let (directory, path) = place();
    keys(1).save(&path).unwrap();
    keys(2).save(&path).unwrap();
    assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(2).hashname());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(directory.path()), ["keys", "keys.lock"]);
}

#[test]
fn a_file_open_to_others_is_refused_with_its_repair() {
    let (_directory, path) = place();
    keys(1).save(&path).unwrap();
    for open in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o660, 0o644, 0o666, 0o777] {
        set_mode(&path, open);
        let error = KeySet::load(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::FilePermissions { mode, .. } if mode == open), "{open:o}");
        let text = error.to_string();
        assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
        assert!(text.contains(&format!("0{open:o}")), "{text}");
        assert!(matches!(load_or_create_seeded(&path, 2), Err(KeyFileError::FilePermissions { .. })));
    }
    for private in [0o600, 0o400, 0o700] {
        set_mode(&path, private);
        assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(1).hashname(), "{private:o}");
    }
}

#[test]
fn a_directory_open_to_others_is_refused_with_its_repair() {
    let (directory, path) = place();
    keys(1).save(&path).unwrap();
    for open in [0o750, 0o710, 0o701, 0o755, 0o770, 0o777] {
        set_mode(directory.path(), open);
        for result in [
            KeySet::load(&path).map(drop),
            load_or_create_seeded(&path, 2).map(drop),
            keys(2).save(&path),
            // Also where there is no file yet: nothing is written into such a directory.
            load_or_create_seeded(&directory.path().join("other"), 2).map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(
                matches!(error, KeyFileError::DirectoryPermissions { mode, .. } if mode == open),
                "{open:o}"
            );
            assert!(error.to_string().contains("chmod 700"), "{error}");
        }
    }
    set_mode(directory.path(), 0o700);
    assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(1).hashname());
    assert_eq!(names(directory.path()), ["keys", "keys.lock"]);
}

#[test]
fn a_symbolic_link_is_refused_and_left_alone() {
    let (directory, path) = place();
    let target = directory.path().join("target");
    keys(1).save(&target).unwrap();
    symlink(&target, &path).unwrap();

    assert!(matches!(KeySet::load(&path), Err(KeyFileError::IsLink { .. })));
    assert!(matches!(load_or_create_seeded(&path, 2), Err(KeyFileError::IsLink { .. })));
    assert!(matches!(keys(2).save(&path), Err(KeyFileError::IsLink { .. })));

    assert!(path.is_symlink());
    assert_eq!(KeySet::load(&target).unwrap().hashname(), keys(1).hashname());
}

#[test]
fn a_link_that_points_nowhere_is_refused_and_nothing_is_made_there() {
    let (directory, path) = place();
    let nowhere = directory.path().join("nowhere");
    symlink(&nowhere, &path).unwrap();
    assert!(matches!(load_or_create_seeded(&path, 1), Err(KeyFileError::IsLink { .. })));
    assert!(!nowhere.exists());
}

#[test]
fn what_is_not_a_file_is_refused() {
    let (directory, path) = place();
    fs::create_dir(&path).unwrap();
    assert!(matches!(KeySet::load(&path), Err(KeyFileError::NotAFile { .. })));
    assert!(matches!(keys(1).save(&path), Err(KeyFileError::NotAFile { .. })));

    let socket = directory.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(matches!(KeySet::load(&socket), Err(KeyFileError::NotAFile { .. })));
    assert!(matches!(load_or_create_seeded(&socket, 1), Err(KeyFileError::NotAFile { .. })));
}

#[test]
fn a_file_is_only_the_same_as_itself() {
    let (directory, path) = place();
    let other = directory.path().join("other");
    keys(1).save(&path).unwrap();
    fs::copy(&path, &other).unwrap();
    let seen = |path: &Path| fs::metadata(path).unwrap();
    assert!(permissions::is_same_file(&seen(&path), &seen(&path)));
    assert!(!permissions::is_same_file(&seen(&path), &seen(&other)));
    assert!(!permissions::is_same_file(&seen(directory.path()), &seen(directory.path())), "not a file");
}

#[test]
fn a_truncated_file_is_refused_and_never_replaced() {
    let (_directory, path) = place();
    keys(1).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = load_or_create_seeded(&path, 2).unwrap_err();
        assert!(matches!(error, KeyFileError::Content { .. }), "{length} bytes: {error}");
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), &whole[..length]);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(1).hashname());
}

#[test]
fn a_huge_file_is_refused_after_its_first_bytes() {
    let (_directory, path) = place();
    keys(1).save(&path).unwrap();
    // A hole of a tebibyte: reading it whole would not end well.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = KeySet::load(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Content { source: ParseKeysError::NotKeys, .. }), "{error}");
}

#[test]
fn what_a_crash_left_is_cleared() {
    let (directory, path) = place();
    fs::write(directory.path().join("keys.new"), b"half of a key file, open to all").unwrap();
    let made = load_or_create_seeded(&path, 1).unwrap();
    assert_eq!(KeySet::load(&path).unwrap().hashname(), made.hashname());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(directory.path()), ["keys", "keys.lock"]);
}

#[test]
fn a_link_in_place_of_the_temporary_file_is_not_followed() {
    let (directory, path) = place();
    let victim = directory.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    symlink(&victim, directory.path().join("keys.new")).unwrap();
    keys(1).save(&path).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(1).hashname());
}

#[test]
fn a_write_that_fails_leaves_the_old_keys() {
    let (directory, path) = place();
    keys(1).save(&path).unwrap();
    fs::create_dir(directory.path().join("keys.new")).unwrap();
    let error = keys(2).save(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
    assert_eq!(KeySet::load(&path).unwrap().hashname(), keys(1).hashname());
}

#[test]
fn a_path_without_a_file_name_is_an_error() {
    assert!(matches!(
        keys(1).save("/"),
        Err(KeyFileError::DirectoryPermissions { .. } | KeyFileError::Io { .. })
    ));
    let (directory, _) = place();
    assert!(load_or_create_seeded(&directory.path().join(".."), 1).is_err());
}

#[test]
fn a_bare_file_name_is_in_the_current_directory() {
    assert_eq!(directory_of(Path::new("keys")), Path::new("."));
    assert_eq!(directory_of(Path::new("a/keys")), Path::new("a"));
    assert_eq!(directory_of(Path::new("/keys")), Path::new("/"));
}

#[test]
fn all_who_create_at_once_get_the_same_keys() {
    const CALLERS: u64 = 16;
    for round in 0..8 {
        let (directory, _) = place();
        let path = directory.path().join("new/keys");
        let start = Barrier::new(usize::try_from(CALLERS).unwrap());

        let hashnames: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        load_or_create_seeded(path, round * CALLERS + caller).map(|keys| keys.hashname())
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect()
        });

        let stored = KeySet::load(&path).unwrap().hashname();
        assert!(hashnames.iter().all(|hashname| *hashname == stored), "{hashnames:?}, stored {stored:?}");
        assert_eq!(names(&directory.path().join("new")), ["keys", "keys.lock"]);
    }
}

#[test]
fn readers_see_the_old_or_the_new_keys_while_they_are_replaced() {
    let (_directory, path) = place();
    let both = [keys(1), keys(2)];
    both[0].save(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (path, both) = (&path, &both);
            scope.spawn(move || {
                for round in 0..30 {
                    both[(writer + round) % 2].save(path).unwrap();
                }
            });
        }
        for _ in 0..300 {
            let read = KeySet::load(&path).unwrap();
            assert!(both.iter().any(|keys| keys.hashname() == read.hashname()));
        }
    });
}

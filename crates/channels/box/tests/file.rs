//! The store in a file: what was committed is there, and a file that was cut or changed is an error or what it was, never
//! something else.
#![cfg(feature = "redb")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use telemesh_box::{Change, FileStore, OpenError, Store, StoreError};

fn rows(store: &FileStore) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let mut rows = BTreeMap::new();
    store.scan(b"", &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        Ok(())
    })?;
    Ok(rows)
}

/// A file of some commits, and what was in it after each.
fn written(path: &Path) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
    let store = FileStore::open(path).unwrap();
    let mut states = vec![rows(&store).unwrap()];
    for commit in 0..20_u32 {
        let changes: Vec<_> = (0..10_u32)
            .map(|row| {
                let key = (commit * 7 + row).to_be_bytes().to_vec();
                if row == 3 {
                    return Change::Remove(key);
                }
                Change::Put(key, Bytes::from(vec![u8::try_from(commit).unwrap(); 1_000]))
            })
            .collect();
        store.commit(&changes).unwrap();
        states.push(rows(&store).unwrap());
    }
    states
}

#[test]
fn what_was_committed_is_there_again_and_one_process_has_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.redb");
    let states = written(&path);
    let store = FileStore::open(&path).unwrap();
    assert_eq!(Some(&rows(&store).unwrap()), states.last());
    assert!(matches!(FileStore::open(&path), Err(OpenError::InUse { .. })));
}

#[test]
fn a_file_that_was_cut_or_changed_anywhere_is_an_error_or_a_state_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.redb");
    let states = written(&path);
    let whole = std::fs::read(&path).unwrap();
    let copy = folder.path().join("copy.redb");
    let mut rng = StdRng::seed_from_u64(1);
    let (mut errors, mut recovered) = (0, 0);
    for attempt in 0..120 {
        let mut bytes = whole.clone();
        if attempt % 2 == 0 {
            bytes.truncate(rng.random_range(0..whole.len()));
        } else {
            // A torn write: some of the pages were never written.
            let page = rng.random_range(0..whole.len() / 4_096) * 4_096;
            bytes[page..page + 4_096].fill(0);
        }
        std::fs::write(&copy, &bytes).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let opened = catch_unwind(AssertUnwindSafe(|| FileStore::open(&copy)));
        match opened.unwrap_or_else(|_| panic!("attempt {attempt}: opening panicked")) {
            Ok(store) => match rows(&store) {
                Ok(found) => {
                    recovered += 1;
                    assert!(
                        found.is_empty() || states.contains(&found),
                        "attempt {attempt}: never was like that"
                    );
                }
                Err(_) => errors += 1,
            },
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 10 && recovered > 10, "{errors} errors, {recovered} recovered");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_or_that_is_none_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.redb");
    drop(FileStore::open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(FileStore::open(&path), Err(OpenError::Permissions { mode: 0o644, .. })));
    assert!(matches!(FileStore::open(folder.path()), Err(OpenError::NotAFile { .. })));
    let other = folder.path().join("other");
    std::fs::write(&other, "something else entirely").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(FileStore::open(&other), Err(OpenError::Content { .. })));
}

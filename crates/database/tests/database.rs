//! What the stores rely on: one process at a time, versions, and damage that is an error.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;
use std::path::Path;

use redb::{ReadableDatabase as _, TableDefinition};
use telemesh_database::{Damaged, Database, Format, OpenError, io_error};

const THINGS: TableDefinition<'_, u64, u64> = TableDefinition::new("things");
const FORMAT: Format = Format { version: 7, cache: 1 << 20 };

fn open(path: &Path) -> Result<Database, OpenError> {
    Database::open(path, FORMAT, |write| write.open_table(THINGS).map(drop).map_err(Into::into))
}

fn put(database: &Database, key: u64, value: u64) -> io::Result<()> {
    database.with(|database| {
        let write = database.begin_write().map_err(io_error)?;
        write.open_table(THINGS).map_err(io_error)?.insert(key, value).map_err(io_error)?;
        write.commit().map_err(io_error)
    })
}

fn get(database: &Database, key: u64) -> io::Result<Option<u64>> {
    database.with(|database| {
        let read = database.begin_read().map_err(io_error)?;
        let things = read.open_table(THINGS).map_err(io_error)?;
        Ok(things.get(key).map_err(io_error)?.map(|value| value.value()))
    })
}

#[test]
fn what_was_committed_is_there_again_and_nobody_else_has_it_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = open(&path).unwrap();
    assert_eq!(get(&database, 1).unwrap(), None, "the table is there before the first row");
    put(&database, 1, 2).unwrap();
    assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
    drop(database);
    assert_eq!(get(&open(&path).unwrap(), 1).unwrap(), Some(2));
}

#[test]
fn a_file_of_another_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    put(&open(&path).unwrap(), 1, 2).unwrap();
    let newer = Format { version: 8, ..FORMAT };
    let error = Database::open(&path, newer, |_| Ok(())).unwrap_err();
    assert!(matches!(&error, OpenError::Content { .. }), "{error}");
    assert!(error.to_string().contains("version is 7"), "{error}");
    assert_eq!(get(&open(&path).unwrap(), 1).unwrap(), Some(2));
}

#[test]
fn after_a_panic_everything_is_an_error_and_the_file_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = open(&path).unwrap();
    put(&database, 1, 2).unwrap();
    let panicked: Result<(), io::Error> = database.with(|_| std::panic::resume_unwind(Box::new("damage")));
    assert_eq!(panicked.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(get(&database, 1).unwrap_err().to_string(), Damaged.to_string());
    drop(database);
    assert_eq!(get(&open(&path).unwrap(), 1).unwrap(), Some(2));
}

#[cfg(unix)]
#[test]
fn what_others_could_read_and_what_is_no_file_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    drop(open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Permissions { mode: found, .. } if found == mode), "{error}");
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for no_file in [folder.path(), &link] {
        assert!(matches!(open(no_file), Err(OpenError::NotAFile { .. })));
    }
    assert!(matches!(open(&folder.path().join("missing/file")), Err(OpenError::Io { .. })));
}

//! Both kinds of folders are held to the same rules.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use super::{Kind, SyncSet, read_piece};
use crate::wire::Time;

/// Runs the rules with one kind of folder.
macro_rules! folders {
    ($name:ident) => {
        mod $name {
            use super::super::$name::Dir;
            use super::*;

            fn folder(path: &Path) -> Dir {
                Dir::open_path(path).unwrap()
            }

            #[test]
            fn a_link_is_never_followed() {
                let base = tempfile::tempdir().unwrap();
                fs::create_dir(base.path().join("outside")).unwrap();
                fs::write(base.path().join("outside/secret"), "secret").unwrap();
                let inside = base.path().join("inside");
                fs::create_dir(&inside).unwrap();
                symlink("../outside", inside.join("folder")).unwrap();
                symlink("../outside/secret", inside.join("file")).unwrap();
                let inside = folder(&inside);
                assert_eq!(inside.open_dir("folder").unwrap_err().kind(), ErrorKind::NotADirectory);
                assert_eq!(inside.open_file("file").unwrap_err().kind(), ErrorKind::NotADirectory);
                assert_eq!(inside.open_to_write("file").unwrap_err().kind(), ErrorKind::NotADirectory);
                assert_eq!(inside.make_file("file").unwrap_err().kind(), ErrorKind::AlreadyExists);
                assert_eq!(inside.look("file").unwrap().unwrap().kind, Kind::Link);
                assert_eq!(inside.read_link("file").unwrap(), "../outside/secret");
            }

            #[test]
            fn only_a_regular_file_is_opened() {
                let base = tempfile::tempdir().unwrap();
                fs::create_dir(base.path().join("folder")).unwrap();
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    base.path().join("pipe"),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                )
                .unwrap();
                let base = folder(base.path());
                assert_eq!(base.open_file("pipe").unwrap_err().kind(), ErrorKind::InvalidInput);
                assert_eq!(base.open_file("folder").unwrap_err().kind(), ErrorKind::InvalidInput);
                assert_eq!(base.open_file("nothing").unwrap_err().kind(), ErrorKind::NotFound);
                assert_eq!(base.look("pipe").unwrap().unwrap().kind, Kind::Special);
                assert_eq!(base.look("nothing").unwrap(), None);
            }

            #[test]
            fn moving_to_a_name_that_is_taken_fails_and_moving_over_replaces() {
                let base = tempfile::tempdir().unwrap();
                fs::write(base.path().join("one"), "1").unwrap();
                fs::write(base.path().join("two"), "2").unwrap();
                fs::write(base.path().join("outside"), "3").unwrap();
                symlink("outside", base.path().join("link")).unwrap();
                let dir = folder(base.path());
                assert_eq!(dir.move_new("one", &dir, "two").unwrap_err().kind(), ErrorKind::AlreadyExists);
                assert_eq!(dir.move_new("one", &dir, "link").unwrap_err().kind(), ErrorKind::AlreadyExists);
                dir.move_over("one", &dir, "link").unwrap();
                assert_eq!(fs::read_to_string(base.path().join("link")).unwrap(), "1");
                assert_eq!(fs::read_to_string(base.path().join("outside")).unwrap(), "3");
                dir.move_new("two", &dir, "three").unwrap();
                assert_eq!(fs::read_to_string(base.path().join("three")).unwrap(), "2");
            }

            #[test]
            fn names_are_listed_up_to_a_limit() {
                let base = tempfile::tempdir().unwrap();
                for name in ["a", "b", "c"] {
                    fs::write(base.path().join(name), "").unwrap();
                }
                let dir = folder(base.path());
                let mut names = dir.names(3).unwrap();
                names.sort();
                assert_eq!(names, ["a", "b", "c"]);
                assert_eq!(dir.names(2).unwrap_err().kind(), ErrorKind::OutOfMemory);
                dir.remove_file("a").unwrap();
                assert_eq!(dir.names(2).unwrap().len(), 2);
            }

            #[test]
            fn a_file_is_made_written_dated_and_read_in_pieces() {
                let base = tempfile::tempdir().unwrap();
                let dir = folder(base.path());
                dir.make_dir("deep").unwrap();
                let deep = dir.open_dir("deep").unwrap();
                let mut file = deep.make_file("file").unwrap();
                file.write_all(b"0123456789").unwrap();
                let time = Time { seconds: 1_000_000_000, nanoseconds: 5 };
                Dir::set_file_meta(&file, 0o444, time).unwrap();
                let (file, meta) = deep.open_file("file").unwrap();
                assert_eq!((meta.size, meta.modified, meta.mode & 0o222), (10, time, 0));
                let mut read = Vec::new();
                for wanted in [4, 4, 2, 0] {
                    let mut space = [0; 4];
                    assert_eq!(read_piece(&file, &mut space).unwrap(), wanted);
                    read.extend_from_slice(&space[..wanted]);
                }
                assert_eq!(read, b"0123456789");
                drop(file);
                deep.sync().unwrap();
                deep.sync_all().unwrap();
                assert_eq!(dir.remove_dir("deep").unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
                deep.remove_file("file").unwrap();
                dir.remove_dir("deep").unwrap();
            }
        }
    };
}

folders!(unix);
folders!(portable);

#[test]
fn a_folder_that_is_replaced_by_a_link_does_not_lead_elsewhere() {
    let base = tempfile::tempdir().unwrap();
    for name in ["inside", "outside"] {
        fs::create_dir(base.path().join(name)).unwrap();
    }
    let handle = super::unix::Dir::open_path(base.path()).unwrap().open_dir("inside").unwrap();
    let path = super::portable::Dir::open_path(base.path()).unwrap().open_dir("inside").unwrap();
    fs::rename(base.path().join("inside"), base.path().join("moved")).unwrap();
    symlink("outside", base.path().join("inside")).unwrap();
    handle.make_file("file").unwrap();
    assert!(base.path().join("moved/file").exists());
    assert_eq!(path.make_file("file").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert!(!base.path().join("outside/file").exists());
}

#[test]
fn what_is_added_to_a_set_is_synced_one_by_one_and_all_together() {
    let base = tempfile::tempdir().unwrap();
    let open = || Arc::new(super::unix::Dir::open_path(base.path()).unwrap());
    let root = open();
    for count in [0, 1, 8, 9, 50] {
        let (mut files, mut folders, mut one_folder) =
            (SyncSet::default(), SyncSet::default(), SyncSet::default());
        for number in 0..count {
            files.add_file(root.make_file(&format!("{count}-{number}")).unwrap()).unwrap();
            folders.add_folder(&open()).unwrap();
            one_folder.add_folder(&root).unwrap();
        }
        assert_eq!((files.many, folders.many, one_folder.many), (count > 8, count > 8, false), "{count}");
        for set in [files, folders, one_folder] {
            set.sync(&root).unwrap();
        }
    }
}

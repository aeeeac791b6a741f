//! Files and folders arrive as they were.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::fs;
use std::os::unix::fs::symlink;

use run::{Folders, assert_same, noise, run, set_mode, set_modified, transfer};
use telemesh_files::{Existing, Offer, Reason};

#[test]
fn a_file_arrives_with_its_mode_and_time() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("letter.txt", "hello");
        set_mode(&file, 0o640);
        set_modified(&file, 1_000_000_000, 123_456_789);
        let offer = Offer::scan([file]).await.unwrap();
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert_same(&folders.to(), &folders.from());
        assert_eq!((sent.files, sent.bytes, sent.bytes_transferred), (1, 5, 5));
        assert_eq!(received, sent);
    });
}

#[test]
fn a_tree_arrives_with_empty_folders_links_modes_and_times() {
    run(async {
        let folders = Folders::new();
        folders.file("album/a/deep/er/one", noise(1, 1_000_000));
        folders.file("album/a/two.bin", noise(2, 300_000));
        folders.file("album/a.txt", "sorted between folders");
        folders.file("album/empty", "");
        folders.file("album/b/three", noise(3, 70_000));
        folders.file("album/größer ☃", "a name beyond ASCII");
        let album = folders.from().join("album");
        fs::create_dir_all(album.join("nothing/in/here")).unwrap();
        symlink("../two.bin", album.join("a/deep/link")).unwrap();
        symlink("gone", album.join("b/dangling")).unwrap();
        set_mode(&album.join("b/three"), 0o500);
        set_mode(&album.join("nothing/in"), 0o555);
        set_mode(&album.join("b"), 0o700);
        for (number, path) in ["a/deep", "a", "nothing/in/here", "nothing", "b", ""].iter().enumerate() {
            set_modified(&album.join(path), 1_200_000_000 + number as u64, 5);
        }
        let offer = Offer::scan([&album]).await.unwrap();
        assert_eq!(offer.left_out(), []);
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert!(sent.is_complete() && received.is_complete());
        assert_same(&folders.to(), &folders.from());
        assert_eq!((sent.files, sent.links), (6, 2));
        assert_eq!(received, sent);
        set_mode(&album.join("nothing/in"), 0o755);
        set_mode(&folders.to().join("album/nothing/in"), 0o755);
    });
}

#[test]
fn what_is_there_already_is_not_sent_again() {
    run(async {
        let folders = Folders::new();
        for number in 0..20 {
            folders.file(&format!("box/{number}"), noise(number, 10_000));
        }
        let offer = Offer::scan([folders.from().join("box")]).await.unwrap();
        transfer(&offer, &folders.target()).await.reports();
        fs::remove_file(folders.to().join("box/7")).unwrap();
        set_modified(&folders.from().join("box"), 1_300_000_000, 0);
        for existing in [Existing::Refuse, Existing::Rename, Existing::Overwrite] {
            let (sent, received) = transfer(&offer, &folders.target().existing(existing)).await.reports();
            // A folder that was there keeps its own time.
            set_modified(&folders.to().join("box"), 1_300_000_000, 0);
            assert_same(&folders.to(), &folders.from());
            let missing = if existing == Existing::Refuse { 1 } else { 0 };
            assert_eq!((sent.files, sent.files_already_there), (20, 20 - missing));
            assert_eq!(sent.bytes_transferred, missing * 10_000);
            assert_eq!(received, sent);
        }
    });
}

#[test]
fn thousands_of_small_files_arrive() {
    run(async {
        let folders = Folders::new();
        for number in 0..2_200u64 {
            folders.file(&format!("many/{}/{number}", number % 10), noise(number, 100));
        }
        let offer = Offer::scan([folders.from().join("many")]).await.unwrap();
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert_same(&folders.to(), &folders.from());
        assert_eq!(sent.files, 2_200);
        assert_eq!(received, sent);
    });
}

#[test]
fn different_content_is_refused_renamed_or_overwritten() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("note.txt", "new content");
        let offer = Offer::scan([file]).await.unwrap();
        for old in ["old content", "of another size"] {
            let there = folders.to().join("note.txt");
            fs::write(&there, old).unwrap();

            let (sent, received) = transfer(&offer, &folders.target()).await.reports();
            assert_eq!(fs::read_to_string(&there).unwrap(), old);
            for report in [sent, received] {
                assert_eq!((report.files, report.problem_count), (0, 1));
                assert_eq!(report.problems[0].reason, Reason::Exists);
                assert_eq!(report.problems[0].path, "note.txt");
            }

            let (_, received) =
                transfer(&offer, &folders.target().existing(Existing::Rename)).await.reports();
            assert_eq!(fs::read_to_string(&there).unwrap(), old);
            assert_eq!(fs::read_to_string(folders.to().join("note (1).txt")).unwrap(), "new content");
            assert!(received.is_complete());

            let (sent, _) = transfer(&offer, &folders.target().existing(Existing::Overwrite)).await.reports();
            assert_eq!(fs::read_to_string(&there).unwrap(), "new content");
            assert_eq!(sent.bytes_transferred, 11);
        }
    });
}

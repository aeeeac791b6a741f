//! What cannot be sent, or not be kept, is left out with a reason, and the rest arrives.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use run::{Folders, assert_same, noise, run, set_mode, set_modified, transfer, transfer_counted, tree};
use telemesh_channel::{Acceptor as _, Refusal, RefusalCode, memory};
use telemesh_files::limits::{MAX_DEPTH, MAX_PATH};
use telemesh_files::{
    Event, Existing, FILES, Offer, OfferError, Progress, Reason, Receiver, STATE_FOLDER, SendError, Target,
    send,
};
use tokio::sync::mpsc;

fn reasons(problems: &[telemesh_files::Problem]) -> Vec<(&str, Reason)> {
    problems.iter().map(|problem| (problem.path.as_str(), problem.reason)).collect()
}

#[test]
fn what_cannot_be_sent_is_left_out_of_the_offer() {
    run(async {
        let folders = Folders::new();
        folders.file("all/right", "right");
        let all = folders.from().join("all");
        fs::write(all.join(OsStr::from_bytes(b"not \xff text")), "x").unwrap();
        fs::write(all.join("back\\slash"), "x").unwrap();
        let _socket = UnixListener::bind(all.join("socket")).unwrap();
        fs::create_dir(all.join(STATE_FOLDER)).unwrap();
        fs::write(all.join(STATE_FOLDER).join("part"), "x").unwrap();
        symlink("/etc/passwd", all.join("link absolute")).unwrap();
        symlink("../../outside", all.join("link out")).unwrap();
        symlink("right", all.join("link within")).unwrap();
        let offer = Offer::scan([all]).await.unwrap();
        assert_eq!(
            reasons(offer.left_out()),
            [
                ("all/back\\slash", Reason::Unsendable),
                ("all/link absolute", Reason::LinkLeaves),
                ("all/link out", Reason::LinkLeaves),
                ("all/not \u{fffd} text", Reason::Unsendable),
                ("all/socket", Reason::Special),
            ]
        );
        assert_eq!((offer.left_out_count(), offer.files(), offer.entries()), (5, 1, 3));
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!(reasons(&sent.problems), reasons(offer.left_out()));
        assert_eq!((sent.problem_count, sent.is_complete()), (5, false));
        assert_eq!((received.problem_count, received.is_complete()), (0, true));
        let arrived = tree(&folders.to());
        assert_eq!(arrived.keys().collect::<Vec<_>>(), ["all", "all/link within", "all/right"]);
    });
}

#[test]
fn trees_deeper_or_longer_than_a_transfer_may_be() {
    run(async {
        let folders = Folders::new();
        let mut deep = folders.from().join("deep");
        for _ in 0..MAX_DEPTH + 3 {
            fs::create_dir(&deep).unwrap();
            deep = deep.join("d");
        }
        let offer = Offer::scan([folders.from().join("deep")]).await.unwrap();
        assert_eq!(offer.entries(), MAX_DEPTH as u64);
        assert_eq!(offer.left_out_count(), 1);
        assert_eq!(offer.left_out()[0].reason, Reason::PathTooLong);
        transfer(&offer, &folders.target()).await.reports();

        let folders = Folders::new();
        // Paths beyond what one call may name are reached step by step.
        let name = "n".repeat(250);
        let mut here =
            rustix::fs::open(folders.from(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..20 {
            rustix::fs::mkdirat(&here, &*name, rustix::fs::Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, &*name, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
                .unwrap();
        }
        let offer = Offer::scan([folders.from().join(&name)]).await.unwrap();
        assert_eq!(offer.entries(), (MAX_PATH / 251) as u64);
        assert_eq!(offer.left_out()[0].reason, Reason::PathTooLong);
        let (sent, _) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!(sent.folders, offer.entries());
    });
}

#[test]
fn an_offer_says_which_path_is_wrong() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("a/same", "x");
        let other = folders.file("b/same", "x");
        let none: [&str; 0] = [];
        assert!(matches!(Offer::scan(none).await, Err(OfferError::Empty)));
        let missing = folders.from().join("missing");
        let error = Offer::scan([&missing]).await.unwrap_err();
        assert!(
            matches!(&error, OfferError::Path { path, source } if *path == missing && source.kind() == ErrorKind::NotFound)
        );
        assert!(
            matches!(Offer::scan([&file, &other]).await, Err(OfferError::SameName(name)) if name == "same")
        );
        assert!(matches!(Offer::scan(["/"]).await, Err(OfferError::Name { .. })));
        let _socket = UnixListener::bind(folders.from().join("socket")).unwrap();
        assert!(matches!(Offer::scan([folders.from().join("socket")]).await, Err(OfferError::Name { .. })));
        // A folder that is named by what it is relative to has the name of its own.
        let offer = Offer::scan([folders.from().join("a/.")]).await.unwrap();
        assert_eq!(offer.name(), "a");
        let offer = Offer::scan([folders.from().join("a/..")]).await.unwrap();
        assert_eq!(offer.name(), "from");
        // A link that is named is what it leads to.
        symlink("a", folders.from().join("link")).unwrap();
        let offer = Offer::scan([folders.from().join("link")]).await.unwrap();
        assert_eq!((offer.name(), offer.files()), ("link", 1));
        assert_eq!(offer.with_name(&"ö".repeat(200)).name().len(), 254);
    });
}

#[test]
fn the_id_is_that_of_the_list() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("all/file", "x");
        set_modified(&file, 1_000, 0);
        let id = async || Offer::scan([folders.from().join("all")]).await.unwrap().id();
        let first = id().await;
        assert_eq!(id().await, first);
        assert_eq!(first.to_string().len(), 64);
        set_modified(&file, 1_001, 0);
        assert_ne!(id().await, first);
        set_modified(&file, 1_000, 0);
        set_mode(&file, 0o600);
        assert_ne!(id().await, first);
        set_mode(&file, 0o644);
        assert_eq!(id().await, first);
        fs::write(&file, "xy").unwrap();
        set_modified(&file, 1_000, 0);
        assert_ne!(id().await, first);
    });
}

#[test]
fn files_that_change_or_vanish_after_they_were_listed_are_left_out() {
    run(async {
        let folders = Folders::new();
        let all = folders.from().join("all");
        for name in [
            "becomes a folder",
            "becomes a link",
            "grows",
            "is gone",
            "is shorter",
            "is touched",
            "zzz stays",
        ] {
            set_modified(&folders.file(&format!("all/{name}"), "content"), 1_000, 0);
        }
        folders.file("all/folder/file", "x");
        folders.file("outside", "secret!");
        let offer = Offer::scan([&all]).await.unwrap();
        fs::remove_file(all.join("becomes a folder")).unwrap();
        fs::create_dir(all.join("becomes a folder")).unwrap();
        fs::remove_file(all.join("becomes a link")).unwrap();
        symlink("../outside", all.join("becomes a link")).unwrap();
        fs::write(all.join("grows"), "content and more").unwrap();
        fs::remove_file(all.join("is gone")).unwrap();
        fs::write(all.join("is shorter"), "con").unwrap();
        set_modified(&all.join("is touched"), 2_000, 0);
        fs::rename(all.join("folder"), folders.from().join("moved")).unwrap();
        symlink("../moved", all.join("folder")).unwrap();
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!(
            reasons(&sent.problems),
            [
                ("all/becomes a folder", Reason::Changed),
                ("all/becomes a link", Reason::Changed),
                ("all/folder/file", Reason::Folder),
                ("all/grows", Reason::Changed),
                ("all/is gone", Reason::Vanished),
                ("all/is shorter", Reason::Changed),
                ("all/is touched", Reason::Changed),
            ]
        );
        assert_eq!(received, sent);
        assert_eq!(tree(&folders.to()).keys().collect::<Vec<_>>(), ["all", "all/folder", "all/zzz stays"]);
    });
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_left_out() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("large", noise(1, 20_000_000));
        let offer = Offer::scan([&file]).await.unwrap();
        for change in ["write", "truncate"] {
            let path = file.clone();
            // On the sender's own thread, between the file's opening and the reading of its end.
            let progress = Progress::with_events(move |event| {
                if matches!(event, Event::Started { .. }) {
                    let opened = fs::OpenOptions::new().write(true).open(&path).unwrap();
                    match change {
                        "write" => opened.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap(),
                        _ => opened.set_len(1_000_000).unwrap(),
                    }
                }
            });
            let ends = transfer_counted(&offer, &folders.target(), &progress, &Progress::new()).await;
            let (sent, received) = ends.reports();
            assert_eq!(reasons(&sent.problems), [("large", Reason::Changed)], "{change}");
            assert_eq!(received.problems, sent.problems);
            assert!(tree(&folders.to()).is_empty());
            let now = progress.now();
            assert_eq!((now.bytes, now.files), (now.bytes_total, now.files_total), "it is dealt with");
            fs::write(&file, noise(1, 20_000_000)).unwrap();
        }
    });
}

#[test]
fn what_is_in_the_way_in_the_target_stays() {
    run(async {
        let folders = Folders::new();
        for path in ["all/a file", "all/as folder", "all/folder/x", "all/linked/x"] {
            folders.file(path, "new");
        }
        symlink("x", folders.from().join("all/folder/link")).unwrap();
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let outside = folders.base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        for existing in [Existing::Refuse, Existing::Rename, Existing::Overwrite] {
            let to = folders.base.path().join(format!("to {existing:?}"));
            fs::create_dir_all(to.join("all/as folder")).unwrap();
            fs::write(to.join("all/folder"), "a file where a folder belongs").unwrap();
            symlink("../../outside", to.join("all/linked")).unwrap();
            symlink("../../outside/secret", to.join("all/a file")).unwrap();
            let target = Target::open(&to).unwrap().existing(existing);
            let (sent, received) = transfer(&offer, &target).await.reports();
            let mut expected = vec![
                ("all/a file", Reason::Exists),
                ("all/as folder", Reason::Exists),
                ("all/folder", Reason::InTheWay),
                ("all/folder/link", Reason::Folder),
                ("all/folder/x", Reason::Folder),
                ("all/linked", Reason::LinkInTheWay),
                ("all/linked/x", Reason::Folder),
            ];
            match existing {
                Existing::Refuse => {}
                Existing::Rename => drop(expected.drain(..2)),
                _ => {
                    expected.remove(0);
                    expected[0].1 = Reason::InTheWay;
                }
            }
            assert_eq!(reasons(&received.problems), expected, "{existing:?}");
            assert_eq!(sent.problems, received.problems);
            // Nothing was written through a link, and only what was to be replaced was.
            assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
            let replaced = existing == Existing::Overwrite;
            assert_eq!(to.join("all/a file").symlink_metadata().unwrap().is_symlink(), !replaced);
            assert_eq!(to.join("all/a file (1)").exists(), existing == Existing::Rename);
            assert!(to.join("all/linked").symlink_metadata().unwrap().is_symlink());
        }
    });
}

#[test]
fn a_link_that_is_planted_while_files_arrive_wins_nothing() {
    run(async {
        let folders = Folders::new();
        for number in 0..30 {
            folders.file(&format!("all/folder/{number:02}"), noise(number, 2_000));
        }
        let outside = folders.base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let to = folders.to();
        // The folder is replaced by a link when the first file arrives, which is before anything is put in place.
        let progress = Progress::with_events(move |event| {
            if matches!(event, Event::Started { path, .. } if path == "all/folder/00") {
                fs::rename(to.join("all/folder"), to.join("all/moved")).unwrap();
                symlink("../../outside", to.join("all/folder")).unwrap();
            }
        });
        let (sent, received) =
            transfer_counted(&offer, &folders.target(), &Progress::new(), &progress).await.reports();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(received.problems[0].path, "all/folder");
        assert_eq!(received.problems[0].reason, Reason::LinkInTheWay);
        assert_eq!(received.problem_count, 31);
        assert_eq!(sent.problem_count, 31);
        assert!(!folders.to().join(STATE_FOLDER).exists());
    });
}

#[test]
fn a_state_folder_that_is_a_link_is_not_followed() {
    run(async {
        let folders = Folders::new();
        let outside = folders.base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink("../outside", folders.to().join(STATE_FOLDER)).unwrap();
        let offer = Offer::scan([folders.file("file", "x")]).await.unwrap();
        let ends = transfer(&offer, &folders.target()).await;
        assert!(ends.received.is_err());
        assert!(
            matches!(ends.sent, Err(SendError::Refused(refusal)) if refusal.code() == RefusalCode::Internal)
        );
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(folders.target().leftovers().is_err());
    });
}

#[test]
fn numbers_go_on_where_names_are_taken_and_long_names_stay_within_bounds() {
    run(async {
        let folders = Folders::new();
        let long = format!("{}.txt", "ö".repeat(125));
        for name in ["archive.tar.gz", ".hidden", "plain", &long] {
            folders.file(&format!("all/{name}"), "new");
        }
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let there = folders.to().join("all");
        fs::create_dir(&there).unwrap();
        for name in ["archive.tar.gz", "archive.tar (1).gz", ".hidden", "plain", &long] {
            fs::write(there.join(name), "old and longer").unwrap();
        }
        let target = folders.target().existing(Existing::Rename);
        let (_, received) = transfer(&offer, &target).await.reports();
        let renamed: Vec<_> = received.renamed.iter().map(|renamed| &*renamed.name).collect();
        let cut = format!("{} (1).txt", "ö".repeat(123));
        assert_eq!(renamed, [".hidden (1)", "archive.tar (2).gz", "plain (1)", &cut]);
        for name in renamed {
            assert_eq!(fs::read_to_string(there.join(name)).unwrap(), "new");
        }
        // Again: the same content is found under its number.
        let (_, received) = transfer(&offer, &target).await.reports();
        assert!(received.renamed.is_empty());
        assert_eq!(received.files, 4);
        assert_eq!(fs::read_dir(&there).unwrap().count(), 9);
    });
}

#[test]
fn modes_lose_the_umask_unless_they_are_wanted_exactly() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("all/file", "x");
        set_mode(&file, 0o666);
        set_mode(&folders.from().join("all"), 0o777);
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let probe = folders.base.path().join("probe");
        fs::File::create(&probe).unwrap();
        let umask = !probe.metadata().unwrap().mode() & 0o666;
        transfer(&offer, &folders.target()).await.reports();
        let mode = |path: &str| folders.to().join(path).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode("all/file"), 0o666 & !umask);
        fs::remove_dir_all(folders.to().join("all")).unwrap();
        transfer(&offer, &folders.target().exact_modes(true)).await.reports();
        assert_eq!((mode("all/file"), mode("all")), (0o666, 0o777));
    });
}

#[test]
fn a_folder_that_was_there_keeps_its_mode_and_time() {
    run(async {
        let folders = Folders::new();
        folders.file("all/file", "x");
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        let there = folders.to().join("all");
        fs::create_dir(&there).unwrap();
        set_mode(&there, 0o700);
        transfer(&offer, &folders.target()).await.reports();
        assert_eq!(there.metadata().unwrap().mode() & 0o777, 0o700);
    });
}

#[test]
fn holes_stay_holes_and_files_beyond_four_gigabytes_arrive() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("sparse", "begin");
        let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
        let size = (4 << 30) + 3_000_000;
        opened.set_len(size).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&opened, b"middle", (4 << 30) + 5).unwrap();
        let offer = Offer::scan([&file]).await.unwrap();
        let (sent, _) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!((sent.bytes, sent.is_complete()), (size, true));
        let arrived = folders.to().join("sparse").metadata().unwrap();
        assert_eq!(arrived.len(), size);
        assert!(arrived.blocks() * 512 < 10_000_000, "{} blocks", arrived.blocks());
        let read = |path: &std::path::Path, at: u64| {
            let mut bytes = [0; 6];
            std::os::unix::fs::FileExt::read_exact_at(&fs::File::open(path).unwrap(), &mut bytes, at)
                .unwrap();
            bytes
        };
        for at in [0, 1 << 30, (4 << 30) + 5, size - 6] {
            assert_eq!(read(&folders.to().join("sparse"), at), read(&file, at));
        }
    });
}

#[test]
fn a_receiver_asks_and_tells_of_the_end() {
    run(async {
        let folders = Folders::new();
        folders.file("all/one", noise(1, 1_000));
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap().with_name("a gift");
        let pair = memory::pair();
        let (ended, mut endings) = mpsc::unbounded_channel();
        let receiver = Receiver::new(folders.target())
            .decide(|request| {
                let known = request.name() == "a gift";
                assert_eq!((request.files(), request.entries(), request.bytes()), (1, 2, 1_000));
                let peer = request.peer();
                async move {
                    tokio::task::yield_now().await;
                    if known && peer.as_bytes() == &[1; 32] {
                        Ok(Progress::new())
                    } else {
                        Err(Refusal::new(RefusalCode::NotAllowed, "nothing from you"))
                    }
                }
            })
            .on_end(move |ending| drop(ended.send(ending)));
        pair.right.handle(FILES, Arc::new(receiver)).unwrap();
        let report = send(&*pair.to_right, &offer, &Progress::new()).await.unwrap();
        assert!(report.is_complete());
        let ending = endings.recv().await.unwrap();
        assert_eq!((ending.name.as_str(), ending.result.unwrap()), ("a gift", report));
        assert_same(&folders.to(), &folders.from());

        let error = send(&*pair.to_right, &offer.with_name("a trap"), &Progress::new()).await.unwrap_err();
        assert!(matches!(error, SendError::Refused(refusal) if refusal.reason() == "nothing from you"));
    });
}

#[test]
fn a_peer_that_takes_no_files_refuses() {
    run(async {
        let folders = Folders::new();
        let offer = Offer::scan([folders.file("file", "x")]).await.unwrap();
        let pair = memory::pair();
        let error = send(&*pair.to_right, &offer, &Progress::new()).await.unwrap_err();
        assert!(matches!(&error, SendError::Refused(refusal) if refusal.code() == RefusalCode::UnknownType));
        assert!(!error.is_interruption());
    });
}

#[test]
fn progress_adds_up_and_events_name_each_file() {
    run(async {
        let folders = Folders::new();
        for number in 0..5 {
            folders.file(&format!("all/{number}"), noise(number, 10_000));
        }
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        fs::create_dir(folders.to().join("all")).unwrap();
        fs::write(folders.to().join("all/2"), "something else").unwrap();
        fs::write(folders.to().join("all/3"), noise(3, 10_000)).unwrap();
        let (said, mut events) = mpsc::unbounded_channel();
        let sending = Progress::with_events(move |event| drop(said.send(event.clone())));
        let receiving = Progress::new();
        transfer_counted(&offer, &folders.target(), &sending, &receiving).await.reports();
        for progress in [&sending, &receiving] {
            let now = progress.now();
            assert_eq!((now.entries, now.entries_total), (6, 6));
            assert_eq!((now.files, now.files_total), (5, 5));
            assert_eq!((now.bytes, now.bytes_total), (50_000, 50_000));
            assert_eq!(now.bytes_transferred, 30_000);
            assert_eq!(progress.current(), "all/4");
        }
        drop(sending);
        let mut said = Vec::new();
        while let Some(event) = events.recv().await {
            said.push(match event {
                Event::Started { path, size: 10_000, from: 0 } => format!("started {path}"),
                Event::Finished { path } => format!("finished {path}"),
                Event::Problem(problem) => problem.to_string(),
                other => panic!("{other:?}"),
            });
        }
        let expected = [
            "started all/0",
            "finished all/0",
            "started all/1",
            "finished all/1",
            "all/2: something else of this name is there already",
            "started all/4",
            "finished all/4",
        ];
        assert_eq!(said, expected);
    });
}

/// Needs a user whom the system refuses something: root finds everything allowed.
#[test]
fn what_the_system_does_not_allow_is_left_out_on_either_side() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    run(async {
        let folders = Folders::new();
        folders.file("all/closed/x", "x");
        folders.file("all/open", "x");
        folders.file("all/read only", "x");
        set_mode(&folders.file("all/secret", "x"), 0o000);
        set_mode(&folders.from().join("all/closed"), 0o000);
        set_mode(&folders.from().join("all/read only"), 0o444);
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        assert_eq!(reasons(offer.left_out()), [("all/closed", Reason::Permission)]);
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!(reasons(&sent.problems), [("all/secret", Reason::Permission)]);
        assert_eq!(received, sent);
        set_mode(&folders.from().join("all/closed"), 0o700);

        // A folder of the target that may not be written to.
        fs::remove_file(folders.to().join("all/open")).unwrap();
        set_mode(&folders.to().join("all"), 0o555);
        let (sent, received) = transfer(&offer, &folders.target()).await.reports();
        let expected = [("all/open", Reason::Permission), ("all/secret", Reason::Permission)];
        assert_eq!(reasons(&received.problems), expected);
        assert_eq!(sent.problems, received.problems);
        set_mode(&folders.to().join("all"), 0o755);

        // The target itself.
        set_mode(&folders.to(), 0o555);
        let ends = transfer(&offer, &folders.target()).await;
        assert!(
            matches!(&ends.received, Err(telemesh_files::ReceiveError::Local(error)) if error.kind() == ErrorKind::PermissionDenied)
        );
        assert!(matches!(&ends.sent, Err(SendError::Refused(_))), "{:?}", ends.sent);
        set_mode(&folders.to(), 0o755);
    });
}

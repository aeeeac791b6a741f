//! Senders that do not keep to the protocol: hand-made messages against a real receiver.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::fs;

use run::{Folders, pair, run};
use telemesh_channel::memory::MemoryPair;
use telemesh_channel::{Channel, Incoming, Open, OpenError, Opener as _, RefusalCode};
use telemesh_files::limits::{LIST_AHEAD, MAX_DEPTH, MAX_ENTRIES, MAX_PATH};
use telemesh_files::{
    Existing, FILES, Progress, Reason, ReceiveError, Report, Request, STATE_FOLDER, Target,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

const ENTRIES: u8 = 1;
const LIST_END: u8 = 2;
const FILE: u8 = 3;
const DATA: u8 = 4;
const ZEROS: u8 = 5;
const FILE_END: u8 = 6;
const LEFT_OUT: u8 = 7;
const END: u8 = 8;

/// A stream of messages, made by hand.
#[derive(Default, Clone)]
struct Messages(Vec<u8>);

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

impl Messages {
    fn message(mut self, kind: u8, body: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(&(body.len() as u32).to_be_bytes());
        self.0.extend_from_slice(body);
        self
    }

    fn entries(self, entries: &[Vec<u8>]) -> Self {
        self.message(ENTRIES, &entries.concat())
    }

    fn file(self, index: u64, offset: u64) -> Self {
        self.message(FILE, &[varint(index), varint(offset)].concat())
    }

    fn data(self, data: &[u8]) -> Self {
        self.message(DATA, data)
    }

    fn file_end(self, content: &[u8]) -> Self {
        self.message(FILE_END, blake3::hash(content).as_bytes())
    }

    fn end(self) -> Self {
        self.message(END, &[])
    }
}

fn file(depth: u64, name: &str, size: u64) -> Vec<u8> {
    let mut entry = vec![1];
    entry.extend(varint(depth));
    entry.extend(varint(name.len() as u64));
    entry.extend(name.as_bytes());
    entry.extend([0, 0]); // 1970
    entry.extend(varint(0o644));
    entry.extend(varint(size));
    entry
}

fn folder(depth: u64, name: &str) -> Vec<u8> {
    let mut entry = vec![2];
    entry.extend(varint(depth));
    entry.extend(varint(name.len() as u64));
    entry.extend(name.as_bytes());
    entry.extend([0, 0]);
    entry.extend(varint(0o755));
    entry
}

fn link(depth: u64, name: &str, target: &str) -> Vec<u8> {
    let mut entry = vec![3];
    entry.extend(varint(depth));
    entry.extend(varint(name.len() as u64));
    entry.extend(name.as_bytes());
    entry.extend([0, 0]);
    entry.extend(varint(target.len() as u64));
    entry.extend(target.as_bytes());
    entry
}

/// The claim of a transfer with these entries.
fn hello(entries: &[Vec<u8>], bytes: u64) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("telemesh files 1: the list of a transfer");
    entries.iter().for_each(|entry| {
        hasher.update(entry);
    });
    let files = entries.iter().filter(|entry| entry[0] == 1).count() as u64;
    claim(*hasher.finalize().as_bytes(), entries.len() as u64, files, bytes)
}

fn claim(id: [u8; 32], entries: u64, files: u64, bytes: u64) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(id);
    body.extend(varint(entries));
    body.extend(varint(files));
    body.extend(varint(bytes));
    body.extend(varint(4));
    body.extend(b"name");
    body
}

async fn open(pair: &MemoryPair, hello: Vec<u8>) -> Channel {
    pair.to_right.open(Open::reliable(FILES).with_body(hello)).await.unwrap()
}

async fn request(incoming: &mut mpsc::UnboundedReceiver<Incoming>) -> Result<Request, ReceiveError> {
    Request::read(incoming.recv().await.unwrap())
}

/// What the receiver makes of it. The sender goes on reading until the receiver ends.
async fn receive(target: &Target, hello: Vec<u8>, messages: Messages) -> Result<Report, ReceiveError> {
    let (pair, mut incoming) = pair();
    let mut channel = open(&pair, hello).await;
    let request = request(&mut incoming).await.unwrap();
    let sender = async {
        // A receiver that has had enough stops reading.
        let _ = channel.write_all(&messages.0).await;
        let _ = channel.shutdown().await;
        let mut answers = Vec::new();
        let _ = channel.read_to_end(&mut answers).await;
    };
    let progress = Progress::new();
    let (received, ()) = tokio::join!(request.receive(target, &progress), sender);
    received
}

/// That the receiver calls it a broken protocol, and that nothing wrong is in the target or beside it.
#[track_caller]
fn is_refused(what: &str, hello: Vec<u8>, messages: Messages) {
    run(async {
        let folders = Folders::new();
        let received = receive(&folders.target(), hello, messages).await;
        assert!(matches!(received, Err(ReceiveError::Protocol(_))), "{what}: {received:?}");
        for entry in fs::read_dir(folders.to()).unwrap() {
            let entry = entry.unwrap();
            // What was whole and right before stays.
            let right = entry.file_name() == STATE_FOLDER
                || entry.file_name() == "folder"
                || fs::read(entry.path()).is_ok_and(|content| content == b"hello");
            assert!(right, "{what}: {entry:?}");
        }
        assert_eq!(fs::read_dir(folders.base.path()).unwrap().count(), 2, "{what}");
    });
}

fn one_file() -> (Vec<u8>, Messages) {
    let entries = [file(0, "file", 5)];
    (hello(&entries, 5), Messages::default().entries(&entries).message(LIST_END, &[]))
}

#[test]
fn the_hand_made_messages_are_right() {
    run(async {
        let folders = Folders::new();
        let (hello, messages) = one_file();
        let messages = messages.file(0, 0).data(b"he").data(b"llo").file_end(b"hello").end();
        let report = receive(&folders.target(), hello, messages).await.unwrap();
        assert_eq!(report.files, 1);
        assert_eq!(fs::read_to_string(folders.to().join("file")).unwrap(), "hello");
    });
}

#[test]
fn messages_in_the_wrong_order() {
    let (hello, list) = one_file();
    let begun = || list.clone().file(0, 0);
    for (what, messages) in [
        ("nothing at all", Messages::default()),
        ("data before the list", Messages::default().data(b"hello")),
        ("data before its file", list.clone().data(b"hello")),
        ("zeros before their file", list.clone().message(ZEROS, &[5])),
        ("an end of no file", list.clone().file_end(b"")),
        ("a file before it is listed", Messages::default().file(0, 0)),
        ("a file that is not listed", list.clone().file(1, 0)),
        ("a file inside another", begun().file(0, 0)),
        ("left out twice", list.clone().message(LEFT_OUT, &[0, 12]).message(LEFT_OUT, &[0, 12])),
        ("left out and then sent", list.clone().message(LEFT_OUT, &[0, 12]).file(0, 0)),
        ("left out without being listed", Messages::default().message(LEFT_OUT, &[0, 12])),
        ("the same file twice", begun().data(b"hello").file_end(b"hello").file(0, 0)),
        ("a second end of the list", list.clone().message(LIST_END, &[])),
        ("a list after its end", list.clone().entries(&[file(0, "g", 5)])),
        ("an empty piece of list", Messages::default().message(ENTRIES, &[])),
        ("an end before the file", list.clone().end()),
        ("an end inside the file", begun().data(b"he").end()),
        ("an end before the list's", Messages::default().entries(&[file(0, "file", 5)]).end()),
        ("bytes after the end", begun().data(b"hello").file_end(b"hello").end().end()),
        ("a list that is cut off", Messages::default().entries(&[file(0, "file", 5)])),
        ("a file that is cut off", begun().data(b"hel")),
        ("an unknown message", list.clone().message(99, &[])),
        ("a receiver's message", list.clone().message(0x85, &[])),
        ("more in a message than belongs there", list.clone().message(FILE, &[0, 0, 0])),
        ("less in a message than belongs there", list.clone().message(FILE, &[0])),
    ] {
        is_refused(what, hello.clone(), messages);
    }
}

#[test]
fn sizes_and_offsets_that_do_not_fit() {
    let (hello, list) = one_file();
    let begun = || list.clone().file(0, 0);
    for (what, messages) in [
        ("longer than listed", begun().data(b"hello!")),
        ("longer than listed, in two", begun().data(b"hello").data(b"!")),
        ("zeros beyond the size", begun().message(ZEROS, &[6])),
        ("shorter than listed", begun().data(b"hell").file_end(b"hell")),
        ("from an offset nobody asked for", list.clone().file(0, 3)),
        ("from its end, which nobody has", list.clone().file(0, 5)),
        ("from behind its end", list.clone().file(0, u64::MAX)),
        ("no zeros", begun().message(ZEROS, &[0])),
        ("too many zeros at once", begun().message(ZEROS, &varint(u64::MAX))),
    ] {
        is_refused(what, hello.clone(), messages);
    }
}

#[test]
fn lists_that_are_not_the_claimed_ones() {
    let entries = [file(0, "file", 5)];
    let list = |entries: &[Vec<u8>]| Messages::default().entries(entries).message(LIST_END, &[]);
    for (what, hello, messages) in [
        ("another id", claim([7; 32], 1, 1, 5), list(&entries)),
        ("fewer entries", hello(&[file(0, "a", 1), file(0, "file", 4)], 5), list(&entries)),
        ("more entries", hello(&entries, 5), list(&[file(0, "a", 0), file(0, "file", 5)])),
        ("more bytes", hello(&[file(0, "file", 4)], 4), list(&entries)),
        ("fewer bytes", hello(&entries, 6), list(&entries)),
        ("more files", claim([7; 32], 5, 0, 5), list(&entries)),
        ("no list at all", hello(&entries, 5), Messages::default().message(LIST_END, &[])),
        (
            "more bytes than can be counted",
            claim([7; 32], 3, 3, i64::MAX as u64),
            list(&[
                file(0, "a", i64::MAX as u64),
                file(0, "b", i64::MAX as u64),
                file(0, "c", i64::MAX as u64),
            ]),
        ),
    ] {
        is_refused(what, hello, messages);
    }
}

#[test]
fn names_and_places_that_lead_elsewhere() {
    let long = "x".repeat(256);
    let names = [
        "",
        ".",
        "..",
        "../up",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "..\\up",
        "nul\0",
        STATE_FOLDER,
        ".TELEMESH-partial",
        &long,
    ];
    for name in names {
        for entries in [[file(0, name, 0)], [folder(0, name)], [link(0, name, "x")]] {
            is_refused(name, hello(&entries, 0), Messages::default().entries(&entries));
        }
    }
    let not_text = {
        let mut entry = file(0, "xx", 0);
        let place = entry.iter().position(|byte| *byte == b'x').unwrap();
        entry[place] = 0xff;
        [entry]
    };
    is_refused("not UTF-8", hello(&not_text, 0), Messages::default().entries(&not_text));
    for (what, entries) in [
        ("in a folder that is not there", vec![file(1, "file", 0)]),
        ("in a file", vec![file(0, "file", 0), file(1, "file", 0)]),
        ("in a link", vec![link(0, "link", "x"), file(1, "file", 0)]),
        ("too deep by one", vec![folder(0, "folder"), file(2, "file", 0)]),
        ("in a folder that was left", vec![folder(0, "folder"), file(0, "g", 0), file(1, "file", 0)]),
        ("the same twice", vec![file(0, "file", 0), file(0, "file", 0)]),
        ("the same as file and folder", vec![file(0, "folder", 0), folder(0, "folder")]),
        ("out of order", vec![file(0, "b", 0), file(0, "a", 0)]),
        ("twice with something between", vec![folder(0, "folder"), file(1, "x", 0), folder(0, "folder")]),
    ] {
        is_refused(what, hello(&entries, 0), Messages::default().entries(&entries));
    }
}

#[test]
fn trees_that_are_too_deep_or_too_long() {
    let deep: Vec<_> = (0..=MAX_DEPTH as u64).map(|depth| folder(depth, "folder")).collect();
    is_refused("too deep", hello(&deep, 0), Messages::default().entries(&deep));
    let count = (MAX_PATH / 256 + 1) as u64;
    let long: Vec<_> = (0..count).map(|depth| folder(depth, &"folder".repeat(42))).collect();
    run(async {
        let folders = Folders::new();
        let received = receive(&folders.target(), hello(&long, 0), Messages::default().entries(&long)).await;
        assert!(matches!(received, Err(ReceiveError::Protocol(_))), "{received:?}");
    });
}

#[test]
fn an_endless_list_ends_at_the_claim_and_at_what_the_sender_may_list_ahead() {
    let batch = |from: u64, count: u64, size: u64| -> Vec<Vec<u8>> {
        (from..from + count).map(|number| file(0, &format!("{number:020}"), size)).collect()
    };
    // It claims as many as a transfer may have, but lists on without ever sending a file.
    let ahead = LIST_AHEAD as u64;
    let mut messages = Messages::default();
    for from in (0..=ahead).step_by(512) {
        messages = messages.entries(&batch(from, 512, 1));
    }
    is_refused("too far ahead", claim([7; 32], MAX_ENTRIES, MAX_ENTRIES, 1 << 40), messages);
    is_refused(
        "one more than claimed",
        claim([7; 32], 3, 3, 0),
        Messages::default().entries(&batch(0, 4, 0)),
    );
}

#[test]
fn a_claim_of_a_billion_entries_is_refused_before_it_is_accepted() {
    run(async {
        for hello in [
            claim([7; 32], 1_000_000_000, 1, 1),
            claim([7; 32], 1, 2, 1),
            claim([7; 32], 1, 1, u64::MAX),
            vec![],
            vec![2; 60],
            claim([7; 32], 1, 1, 1)[..20].to_vec(),
        ] {
            let (pair, mut incoming) = pair();
            let mut channel = open(&pair, hello).await;
            let error = request(&mut incoming).await.unwrap_err();
            assert!(matches!(error, ReceiveError::NotATransfer(_)));
            let error = channel.accepted().await.unwrap_err();
            assert!(
                matches!(error, OpenError::Refused(refusal) if refusal.code() == RefusalCode::Application)
            );
        }
    });
}

#[test]
fn a_claim_beyond_what_the_target_takes_is_refused_before_it_is_accepted() {
    run(async {
        let folders = Folders::new();
        for (target, right) in [
            (folders.target().max_bytes(5).max_entries(1), true),
            (folders.target().max_bytes(4), false),
            (folders.target().max_entries(0), false),
        ] {
            let (hello, messages) = one_file();
            let messages = messages.file(0, 0).data(b"hello").file_end(b"hello").end();
            let received = receive(&target, hello, messages).await;
            match received {
                Ok(_) => assert!(right),
                Err(error) => assert!(!right && matches!(error, ReceiveError::Refused(_)), "{error}"),
            }
        }
    });
}

#[test]
fn a_wrong_hash_costs_that_file_only() {
    run(async {
        let folders = Folders::new();
        let entries = [file(0, "a", 5), file(0, "b", 5)];
        let messages = Messages::default()
            .entries(&entries)
            .message(LIST_END, &[])
            .file(0, 0)
            .data(b"hello")
            .file_end(b"HELLO")
            .file(1, 0)
            .data(b"hello")
            .file_end(b"hello")
            .end();
        let report = receive(&folders.target(), hello(&entries, 10), messages).await.unwrap();
        assert_eq!((report.files, report.problem_count), (1, 1));
        assert_eq!((&*report.problems[0].path, report.problems[0].reason), ("a", Reason::WrongHash));
        assert!(!folders.to().join("a").exists());
        assert!(!folders.to().join(STATE_FOLDER).exists());
    });
}

#[test]
fn a_sender_that_says_equal_without_knowing_the_content_changes_nothing() {
    run(async {
        let folders = Folders::new();
        fs::write(folders.to().join("file"), "mine!").unwrap();
        for (existing, data) in
            [(Existing::Refuse, false), (Existing::Rename, false), (Existing::Overwrite, true)]
        {
            let (hello, messages) = one_file();
            // The file is there with five bytes: from its end on, with a hash that is not that of what is there.
            let messages = messages.file(0, 5);
            let messages = if data { messages.data(b"x") } else { messages.file_end(b"hello").end() };
            let received = receive(&folders.target().existing(existing), hello, messages).await;
            match received {
                Ok(report) => assert_eq!(report.problems[0].reason, Reason::WrongHash),
                Err(error) => assert!(data && matches!(error, ReceiveError::Protocol(_)), "{error}"),
            }
            assert_eq!(fs::read_to_string(folders.to().join("file")).unwrap(), "mine!");
        }
    });
}

#[test]
fn data_that_was_not_wanted_is_refused() {
    // There already, with another content: only the comparison was asked for.
    run(async {
        let folders = Folders::new();
        fs::write(folders.to().join("file"), "mine!").unwrap();
        let (hello, messages) = one_file();
        let messages = messages.file(0, 0).data(b"hello").file_end(b"hello").end();
        let received = receive(&folders.target(), hello, messages).await;
        assert!(matches!(received, Err(ReceiveError::Protocol(_))), "{received:?}");
        assert_eq!(fs::read_to_string(folders.to().join("file")).unwrap(), "mine!");
    });
    // A folder has no data.
    let entries = [folder(0, "folder")];
    let messages = Messages::default().entries(&entries).message(LIST_END, &[]).file(0, 0);
    is_refused("data of a folder", hello(&entries, 0), messages);
}

#[test]
fn links_that_lead_out_are_not_made() {
    run(async {
        let folders = Folders::new();
        let entries = [
            link(0, "a link", "folder"),
            folder(0, "folder"),
            link(1, "absolute", "/etc/passwd"),
            link(1, "over a folder", "x/../../.."),
            link(1, "right", "x"),
            link(1, "up", "../up"),
        ];
        let messages = Messages::default().entries(&entries).message(LIST_END, &[]).end();
        let report = receive(&folders.target(), hello(&entries, 0), messages.clone()).await.unwrap();
        assert_eq!((report.links, report.folders, report.problem_count), (1, 1, 4));
        assert!(report.problems.iter().all(|problem| problem.reason == Reason::LinkLeaves));
        assert_eq!(fs::read_link(folders.to().join("folder/right")).unwrap().to_str(), Some("x"));
        assert_eq!(fs::read_dir(folders.to().join("folder")).unwrap().count(), 1);

        let folders = Folders::new();
        let report = receive(&folders.target().links(false), hello(&entries, 0), messages).await.unwrap();
        assert_eq!((report.links, report.problem_count), (0, 5));
        assert!(report.problems.iter().all(|problem| problem.reason == Reason::LinksNotTaken));
    });
}

#[test]
fn a_sender_that_never_reads_gets_no_memory() {
    run(async {
        let folders = Folders::new();
        let entries: Vec<_> =
            (0..LIST_AHEAD as u64).map(|number| file(0, &format!("{number:05}"), 1)).collect();
        let (pair, mut incoming) = pair();
        let mut channel = open(&pair, hello(&entries, LIST_AHEAD as u64)).await;
        let request = request(&mut incoming).await.unwrap();
        let target = folders.target();
        let sender = async {
            // One entry in each message asks for an answer to each; none is ever read.
            for entry in &entries {
                let one = Messages::default().entries(std::slice::from_ref(entry));
                if channel.write_all(&one.0).await.is_err() {
                    return;
                }
            }
        };
        let progress = Progress::new();
        let receiver = request.receive(&target, &progress);
        tokio::select! {
            received = receiver => panic!("{received:?}"),
            () = sender => {}
        }
    });
}

//! Receivers that do not keep to the protocol: hand-made answers to a real sender.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::time::Duration;

use run::{Folders, noise, pair, run};
use telemesh_files::limits::MAX_PREFIXES;
use telemesh_files::{FailureCode, Offer, Progress, Reason, Report, SendError, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DECISIONS: u8 = 0x81;
const SETTLED: u8 = 0x82;
const REFUSED: u8 = 0x83;
const FAILED: u8 = 0x84;
const DONE: u8 = 0x85;

/// The sender's last message.
const END: [u8; 5] = [8, 0, 0, 0, 0];

const SKIP: u8 = 0;
const SEND: u8 = 1;
const RESUME: u8 = 2;
const COMPARE: u8 = 3;
const REFUSE: u8 = 4;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

fn decisions(body: &[u8]) -> Vec<u8> {
    message(DECISIONS, body)
}

/// A point to resume from, below 128 bytes.
fn resume(length: u8, content: &[u8]) -> Vec<u8> {
    let mut body = vec![RESUME, 1, length];
    body.extend(blake3::hash(content).as_bytes());
    body
}

/// Sends a folder with files `a` and `b` (10 bytes each) to a receiver that says this once it has the list, reads the rest
/// of what comes, and ends. That rest goes with the result.
fn answered(answer: Vec<u8>) -> (Result<Report, SendError>, Vec<u8>) {
    run(async {
        let folders = Folders::new();
        folders.file("f/a", "0123456789");
        folders.file("f/b", "0123456789");
        let offer = Offer::scan([folders.from().join("f")]).await.unwrap();
        let (pair, mut incoming) = pair();
        let receiver = async {
            let mut channel = incoming.recv().await.unwrap().accept().unwrap();
            read_list(&mut channel).await;
            // The sender may end it at any time now.
            let _ = channel.write_all(&answer).await;
            let mut read = Vec::new();
            while !read.ends_with(&END) && read.len() < 10_000 {
                // A receiver that says no more is one that has ended.
                match tokio::time::timeout(Duration::from_millis(300), channel.read_u8()).await {
                    Ok(Ok(byte)) => read.push(byte),
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            let _ = channel.shutdown().await;
            read
        };
        let progress = Progress::new();
        tokio::join!(send(&*pair.to_right, &offer, &progress), receiver)
    })
}

/// Reads the list, which comes in one message, and its end, which is another.
async fn read_list(channel: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut header = [0; 5];
    channel.read_exact(&mut header).await.unwrap();
    let length = u32::from_be_bytes(*header.last_chunk().unwrap());
    let mut list = vec![0; length as usize + 5];
    channel.read_exact(&mut list).await.unwrap();
}

#[track_caller]
fn is_refused(what: &str, answer: Vec<u8>) {
    let (sent, _) = answered(answer);
    assert!(matches!(sent, Err(SendError::Protocol(_))), "{what}: {sent:?}");
}

#[test]
fn answers_that_make_no_sense() {
    let all = decisions(&[SKIP, 1, SEND, 2]);
    let settled = message(SETTLED, &[3]);
    for (what, answer) in [
        ("nothing", vec![]),
        ("a message cut off", vec![DECISIONS, 0, 0]),
        ("an unknown message", message(0x99, &[])),
        ("a sender's message", message(1, &[])),
        ("file data", message(4, b"data")),
        ("an unknown decision", decisions(&[9, 1])),
        ("a decision for nothing", decisions(&[SEND, 0])),
        ("data of a folder", decisions(&[SEND, 3])),
        ("a comparison of a folder", decisions(&[&[COMPARE][..], &[0; 32]].concat())),
        ("decisions on more than was listed", decisions(&[SKIP, 4])),
        (
            "decisions on far more",
            decisions(&[SKIP, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ),
        ("decided twice", [all.clone(), decisions(&[SEND, 1])].concat()),
        ("settled before it is decided", message(SETTLED, &[1])),
        ("settled more than there is", [all.clone(), message(SETTLED, &[4])].concat()),
        ("settled backwards", [all.clone(), settled.clone(), message(SETTLED, &[2])].concat()),
        ("refused what was not listed", [all.clone(), message(REFUSED, &[3, 1])].concat()),
        (
            "refused more often than there is",
            [all.clone(), [message(REFUSED, &[1, 1]), message(REFUSED, &[1, 1])].concat().repeat(2)].concat(),
        ),
        ("done at once", message(DONE, &[])),
        ("done before all was sent", [decisions(&[SKIP, 1, SEND, 1]), message(DONE, &[])].concat()),
        ("ended before it is done", all.clone()),
        ("points beyond the size", decisions(&[&[SKIP, 1][..], &resume(11, b"")].concat())),
        (
            "points out of order",
            decisions(&[&[SKIP, 1, RESUME, 2, 5][..], &[0; 32], &[5], &[0; 32]].concat()),
        ),
        ("no points", decisions(&[SKIP, 1, RESUME, 0])),
        ("too many points", decisions(&[SKIP, 1, RESUME, MAX_PREFIXES as u8 + 1])),
        ("more in a message than belongs there", message(SETTLED, &[0, 0])),
        ("less in a message than belongs there", message(REFUSED, &[0])),
        ("a length over the limit", vec![DECISIONS, 0xff, 0xff, 0xff, 0xff]),
    ] {
        is_refused(what, answer);
    }
}

#[test]
fn a_receiver_that_claims_to_have_what_it_has_not_gets_the_whole_file() {
    for claim in [resume(4, b"4321"), resume(10, b"9876543210")] {
        let answer = decisions(&[&[SKIP, 1][..], &claim, &[REFUSE, 1]].concat());
        let (_, read) = answered(answer);
        let data = read.windows(10).filter(|window| window == b"0123456789").count();
        assert_eq!(data, 1, "{read:?}");
    }
}

#[test]
fn a_receiver_that_has_a_part_gets_the_rest_and_one_that_has_all_gets_nothing() {
    let answer = decisions(&[&[SKIP, 1][..], &resume(4, b"0123"), &resume(10, b"0123456789")].concat());
    let (_, read) = answered(answer);
    let has = |data: &[u8]| read.windows(data.len()).any(|window| window == data);
    assert!(has(b"456789"));
    assert!(!has(b"3456789"));
    assert_eq!(read.windows(4).filter(|window| window == b"4567").count(), 1);
}

#[test]
fn a_comparison_tells_equal_or_different_and_sends_nothing() {
    let right = blake3::hash(b"0123456789");
    let body = [&[SKIP, 1, COMPARE][..], right.as_bytes(), &[COMPARE], &[7; 32]].concat();
    let (_, read) = answered(decisions(&body));
    assert!(
        read.windows(32).any(|window| window == right.as_bytes()),
        "equal: the end of the file, with its hash"
    );
    assert!(!read.windows(4).any(|window| window == b"0123"));
    // Left out, for the reason that something else is there.
    assert!(read.windows(7).any(|window| window == [7, 0, 0, 0, 2, 2, 1]), "{read:?}");
}

#[test]
fn a_receiver_that_gives_up_is_heard() {
    for (code, failure) in [
        (1, FailureCode::DiskFull),
        (2, FailureCode::Permission),
        (3, FailureCode::Disk),
        (4, FailureCode::Protocol),
        (200, FailureCode::Other),
    ] {
        let (sent, _) = answered([decisions(&[SKIP, 1]), message(FAILED, &[code])].concat());
        assert!(matches!(sent, Err(SendError::Receiver(found)) if found == failure), "{sent:?}");
    }
}

#[test]
fn a_receiver_that_stops_reading_and_then_says_why_is_heard() {
    run(async {
        let folders = Folders::new();
        let offer = Offer::scan([folders.file("large", noise(1, 5_000_000))]).await.unwrap();
        let (pair, mut incoming) = pair();
        let receiver = async {
            let channel = incoming.recv().await.unwrap().accept().unwrap();
            let (mut read, mut write) = channel.into_split();
            read_list(&mut read).await;
            write.write_all(&decisions(&[SEND, 1])).await.unwrap();
            let mut data = [0; 100_000];
            read.read_exact(&mut data).await.unwrap();
            drop(read);
            // The sender has its turn, and meets a receiver that reads no more.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            write.write_all(&message(FAILED, &[1])).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let progress = Progress::new();
        let (sent, ()) = tokio::join!(send(&*pair.to_right, &offer, &progress), receiver);
        assert!(matches!(sent, Err(SendError::Receiver(FailureCode::DiskFull))), "{sent:?}");
    });
}

#[test]
fn files_that_were_sent_and_not_kept_are_in_the_report_by_their_names() {
    run(async {
        let folders = Folders::new();
        for number in 0..10 {
            folders.file(&format!("f/{number}"), "0123456789");
        }
        let offer = Offer::scan([folders.from().join("f")]).await.unwrap();
        let (pair, mut incoming) = pair();
        let receiver = async {
            let mut channel = incoming.recv().await.unwrap().accept().unwrap();
            let mut some = [0; 50];
            channel.read_exact(&mut some).await.unwrap();
            channel.write_all(&decisions(&[SKIP, 1, SEND, 10])).await.unwrap();
            // Until the last message, which is an end without a body.
            let mut read = some.to_vec();
            while !read.ends_with(&END) {
                read.push(channel.read_u8().await.unwrap());
            }
            for answer in [
                message(REFUSED, &[10, 8]),
                message(REFUSED, &[3, 18]),
                message(SETTLED, &[11]),
                message(DONE, &[]),
            ] {
                channel.write_all(&answer).await.unwrap();
            }
            channel.shutdown().await.unwrap();
        };
        let progress = Progress::new();
        let (sent, ()) = tokio::join!(send(&*pair.to_right, &offer, &progress), receiver);
        let report = sent.unwrap();
        let problems: Vec<_> =
            report.problems.iter().map(|problem| (problem.path.as_str(), problem.reason)).collect();
        assert_eq!(problems, [("f/2", Reason::Disk), ("f/9", Reason::Permission)]);
        assert_eq!((report.files, report.bytes, report.problem_count), (8, 80, 2));
    });
}

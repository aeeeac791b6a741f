//! Transfers that are cut off, on either side, at any moment, and go on.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod run;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use run::{Folders, assert_same, noise, pair, run, set_modified, transfer, transfer_counted};
use telemesh_channel::ChannelError;
use telemesh_channel::memory::disconnect;
use telemesh_files::limits::LIST_AHEAD;
use telemesh_files::{
    Event, Existing, Offer, Progress, ReceiveError, Request, STATE_FOLDER, SendError, Target, send,
};
use tokio::sync::Notify;

/// Who goes away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Sender,
    Receiver,
    Link,
}

/// Runs a transfer until `bytes` of its data have arrived, and cuts it there; the bytes that had been sent, or `None` if it
/// was complete before.
async fn cut_after(offer: &Offer, target: &Target, bytes: u64, cut: Cut) -> Option<u64> {
    let (pair, mut incoming) = pair();
    let (sending, receiving) = (Progress::new(), Progress::new());
    let reached = async {
        while receiving.now().bytes_transferred < bytes {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    };
    let receive = async {
        let request = Request::read(incoming.recv().await.unwrap()).unwrap();
        request.receive(target, &receiving).await
    };
    let mut send = Some(Box::pin(send(&*pair.to_right, offer, &sending)));
    let mut receive = Some(Box::pin(receive));
    let both = async {
        let _ = tokio::join!(send.as_mut().unwrap(), receive.as_mut().unwrap());
    };
    tokio::select! {
        () = both => return None,
        () = reached => {}
    }
    // What was under way may have been the rest, so each end may also have come to its own.
    match cut {
        Cut::Sender => {
            drop(send.take());
            let received = receive.take().unwrap().await;
            assert!(matches!(received, Ok(_) | Err(ReceiveError::Channel(_))), "{received:?}");
        }
        Cut::Receiver => {
            drop(receive.take());
            let sent = send.take().unwrap().await;
            assert!(sent.as_ref().err().is_none_or(SendError::is_interruption), "{sent:?}");
        }
        Cut::Link => {
            disconnect(&pair.left, &pair.right, &ChannelError::LinkDown);
            let (sent, received) = tokio::join!(send.take().unwrap(), receive.take().unwrap());
            assert!(matches!(sent, Ok(_) | Err(SendError::Channel(_))), "{sent:?}");
            assert!(matches!(received, Ok(_) | Err(ReceiveError::Channel(_))), "{received:?}");
        }
    }
    Some(sending.now().bytes_transferred)
}

/// A small generator with a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn cut_at_random_points_it_is_complete_in_the_end_and_little_is_sent_twice() {
    for seed in 0..6 {
        run(async {
            let mut random = Random(seed);
            let folders = Folders::new();
            for number in 0..60 {
                let size = random.below(30_000);
                folders.file(&format!("all/{}/small {number}", number % 7), noise(number, size as usize));
            }
            folders.file("all/3/large", noise(1_000 + seed, 9_000_000));
            folders.file("all/zzz", noise(2_000 + seed, 2_500_000));
            set_modified(&folders.from().join("all/3"), 1_000_000_000, 0);
            let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
            let target = folders.target();
            let mut sent = 0;
            let mut cuts = 0;
            for _ in 0..6 {
                let cut = [Cut::Sender, Cut::Receiver, Cut::Link][random.below(3) as usize];
                match cut_after(&offer, &target, random.below(4_000_000), cut).await {
                    Some(bytes) => (sent, cuts) = (sent + bytes, cuts + 1),
                    None => break,
                }
            }
            let (last, _) = transfer(&offer, &target).await.reports();
            assert!(last.is_complete());
            assert_same(&folders.to(), &folders.from());
            // What was under way when it was cut: pieces in both ends, and what lay in the channel.
            let lost = cuts * 3_000_000;
            let sent = sent + last.bytes_transferred;
            assert!(sent <= offer.bytes() + lost, "seed {seed}: {sent} of {}", offer.bytes());
        });
    }
}

#[test]
fn half_received_files_have_no_name_of_their_own() {
    run(async {
        let folders = Folders::new();
        folders.file("all/large", noise(1, 5_000_000));
        let offer = Offer::scan([folders.from().join("all")]).await.unwrap();
        cut_after(&offer, &folders.target(), 1_000_000, Cut::Sender).await.unwrap();
        assert!(!folders.to().join("all/large").exists());
        let leftovers = folders.target().leftovers().unwrap();
        assert_eq!(leftovers.len(), 1);
        assert!(leftovers[0].bytes >= 1_000_000);
        transfer(&offer, &folders.target()).await.reports();
        assert!(!folders.to().join(STATE_FOLDER).exists());
        assert_same(&folders.to(), &folders.from());
    });
}

#[test]
fn a_part_that_turns_out_different_is_sent_from_where_it_is_right() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("large", noise(1, 30_000_000));
        let offer = Offer::scan([file]).await.unwrap();
        cut_after(&offer, &folders.target(), 20_000_000, Cut::Receiver).await.unwrap();
        let part = part(&folders);
        let received = fs::metadata(&part).unwrap().len();
        assert!(received >= 16_000_000);
        // A power cut: the length is on the disk, the content behind 10 MB is not.
        let mut content = fs::read(&part).unwrap();
        content[10_000_000..].fill(0);
        fs::write(&part, &content).unwrap();
        let progress = Progress::new();
        transfer_counted(&offer, &folders.target(), &progress, &Progress::new()).await.reports();
        assert_same(&folders.to(), &folders.from());
        let again = progress.now().bytes_transferred;
        assert!((20_000_000..=30_000_000 - 4_000_000).contains(&again), "{again}");
    });
}

#[test]
fn a_part_that_is_all_wrong_is_sent_from_the_start_once() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("large", noise(1, 10_000_000));
        let offer = Offer::scan([file]).await.unwrap();
        cut_after(&offer, &folders.target(), 5_000_000, Cut::Receiver).await.unwrap();
        let part = part(&folders);
        let mut content = fs::read(&part).unwrap();
        content[0] ^= 1;
        fs::write(&part, &content).unwrap();
        let (sent, _) = transfer(&offer, &folders.target()).await.reports();
        assert_eq!(sent.bytes_transferred, 10_000_000);
        assert_same(&folders.to(), &folders.from());
    });
}

/// The one part in the state folder.
fn part(folders: &Folders) -> std::path::PathBuf {
    let state = fs::read_dir(folders.to().join(STATE_FOLDER)).unwrap().next().unwrap().unwrap().path();
    let mut parts = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    parts.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("part-")).unwrap()
}

#[test]
fn what_was_settled_is_not_looked_at_again() {
    run(async {
        let folders = Folders::new();
        for number in 0..LIST_AHEAD / 3 {
            folders.file(&format!("many/{number:05}"), noise(number as u64, 50));
        }
        folders.file("many/zzz", noise(7, 8_000_000));
        let offer = Offer::scan([folders.from().join("many")]).await.unwrap();
        let target = folders.target().existing(Existing::Rename);
        cut_after(&offer, &target, 4_000_000, Cut::Sender).await.unwrap();
        // Settled is settled: somebody may already have moved the file away.
        fs::remove_file(folders.to().join("many/00000")).unwrap();
        let (sent, received) = transfer(&offer, &target).await.reports();
        assert!(sent.bytes_transferred < 4_100_000);
        assert_eq!(received.files, offer.files());
        assert!(!folders.to().join("many/00000").exists());
        assert!(received.renamed.is_empty());
    });
}

#[test]
fn the_same_transfer_twice_at_once_is_refused_as_busy() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("large", noise(1, 3_000_000));
        let offer = Offer::scan([file]).await.unwrap();
        let target = folders.target();
        let held = Arc::new(Notify::new());
        let release = Arc::clone(&held);
        let started = Arc::new(Notify::new());
        let has_started = Arc::clone(&started);
        // The first one stops at its first file until the second was refused.
        let progress = Progress::with_events(move |event| {
            if matches!(event, Event::Started { .. }) {
                let (held, runtime) = (Arc::clone(&held), tokio::runtime::Handle::current());
                started.notify_one();
                runtime.block_on(held.notified());
            }
        });
        let sending = Progress::new();
        let first = transfer_counted(&offer, &target, &sending, &progress);
        let second = async {
            has_started.notified().await;
            let ends = transfer(&offer, &target).await;
            release.notify_one();
            ends
        };
        let (first, second) = tokio::join!(first, second);
        first.reports();
        assert!(matches!(second.received, Err(ReceiveError::Busy)), "{:?}", second.received);
        assert!(matches!(second.sent, Err(SendError::Refused(_))), "{:?}", second.sent);
        assert_same(&folders.to(), &folders.from());
    });
}

#[test]
fn what_is_left_of_old_transfers_can_be_removed() {
    run(async {
        let folders = Folders::new();
        let file = folders.file("large", noise(1, 9_000_000));
        let offer = Offer::scan([file]).await.unwrap();
        let target = folders.target();
        cut_after(&offer, &target, 1_000_000, Cut::Sender).await.unwrap();
        assert_eq!(target.clean(Duration::from_secs(3_600)).unwrap(), 0);
        assert_eq!(target.clean(Duration::ZERO).unwrap(), 1);
        assert_eq!(target.leftovers().unwrap(), []);
        assert!(!folders.to().join(STATE_FOLDER).exists());
        transfer(&offer, &target).await.reports();
        assert_same(&folders.to(), &folders.from());
    });
}

//! The `files` channel, between two endpoints in memory and real folders: any sender against a receiver that keeps to the
//! protocol, and any receiver against such a sender.

use std::cell::LazyCell;
use std::fs;
use std::future::Future;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use telemesh_channel::memory::{MemoryPair, pair};
use telemesh_channel::{Acceptor, Channel, Incoming, Open, Opener};
use telemesh_files::limits::{MAX_MESSAGE, VERSION};
use telemesh_files::{Existing, FILES, Offer, Progress, Request, Target, send};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::input::Input;

/// Whatever a sender says, nothing changes beside the folder, nothing in it leads outside, and what was there stays unless it
/// may be overwritten. Whatever a receiver says, the sender comes to an end, and a good one only if the receiver said so.
pub fn files(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let existing = match input.byte() % 3 {
        0 => Existing::Refuse,
        1 => Existing::Rename,
        _ => Existing::Overwrite,
    };
    match kind % 3 {
        0 => {
            let hello = input.counted().to_vec();
            from_sender(existing, hello, input.all());
        }
        1 => {
            // The fuzzer does not guess hashes, so that of the list is made for it, and the list is framed.
            let list = input.counted();
            let hello = hello(list, input.word(), input.word(), input.number());
            let mut messages = Vec::new();
            for piece in list.chunks(MAX_MESSAGE) {
                messages.extend(message(ENTRIES, piece));
            }
            messages.extend(message(LIST_END, &[]));
            messages.extend(input.all());
            from_sender(existing, hello, &messages);
        }
        _ => from_receiver(input.counted(), input.all()),
    }
}

/// The body of the open message for a list of entries.
pub(crate) fn hello(list: &[u8], entries: u16, files: u16, bytes: u64) -> Vec<u8> {
    let mut body = vec![VERSION];
    body.extend(blake3::derive_key("telemesh files 1: the list of a transfer", list));
    for mut number in [entries.into(), files.into(), bytes] {
        while number > 0x7f {
            body.push((number & 0x7f | 0x80) as u8);
            number >>= 7;
        }
        body.push(number as u8);
    }
    body.extend([4]);
    body.extend(b"name");
    body
}

/// A message of the channel.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend((body.len() as u32).to_be_bytes());
    message.extend(body);
    message
}

/// A transfer by hand, into a folder with something in it.
fn from_sender(existing: Existing, hello: Vec<u8>, messages: &[u8]) {
    let open = Open::reliable(FILES).with_body(hello);
    if open.check().is_err() {
        return;
    }
    let Ok(folder) = TempDir::new_in(memory()) else { panic!("no folder") };
    let (beside, to) = (folder.path().join("beside"), folder.path().join("to"));
    let made = fs::write(&beside, "beside")
        .and_then(|()| fs::create_dir_all(to.join("folder")))
        .and_then(|()| fs::write(to.join("taken"), "taken"))
        .and_then(|()| std::os::unix::fs::symlink("../beside", to.join("out")));
    let (Ok(()), Ok(target)) = (made, Target::open(&to)) else { panic!("no target") };
    let target = target.existing(existing);

    let received = run(async {
        let (pair, mut incoming) = endpoints();
        let Ok(mut channel) = pair.to_right.open(open).await else { panic!("the link is up") };
        let Ok(request) = Request::read(incoming.recv().await?) else { return None };
        let sender = async {
            // A receiver that has had enough reads no more.
            let _ = channel.write_all(messages).await;
            let _ = channel.shutdown().await;
            let _ = channel.read_to_end(&mut Vec::new()).await;
        };
        let progress = Progress::new();
        let (received, ()) = tokio::join!(request.receive(&target, &progress), sender);
        received.ok()
    });

    if received.is_some() {
        assert!(
            target.leftovers().is_ok_and(|left| left.is_empty()),
            "something is left of what is complete"
        );
    }
    assert_eq!(fs::read(&beside).ok().as_deref(), Some(&b"beside"[..]), "the file beside the folder");
    assert_eq!(names(folder.path()), ["beside", "to"], "beside the folder");
    if !matches!(existing, Existing::Overwrite) {
        assert_eq!(
            fs::read(to.join("taken")).ok().as_deref(),
            Some(&b"taken"[..]),
            "the file that was there"
        );
        assert_eq!(fs::read_link(to.join("out")).ok().as_deref(), Some(Path::new("../beside")));
    }
    let ours = fs::read_link(to.join("out")).is_ok_and(|target| target == Path::new("../beside"));
    if ours {
        let _ = fs::remove_file(to.join("out"));
    }
    stays_inside(&to, 0);
}

/// No link in this folder, which lies in so many folders of a transfer, leads out of the transfer.
fn stays_inside(folder: &Path, depth: usize) {
    for name in names(folder) {
        let path = folder.join(&name);
        let Ok(meta) = path.symlink_metadata() else { panic!("{} has gone", path.display()) };
        if meta.is_dir() {
            // One without permissions is the sender's choice, and root's privilege to look into.
            stays_inside(&path, depth + 1);
        } else if meta.is_symlink() {
            let Ok(target) = fs::read_link(&path) else { panic!("{} is no link", path.display()) };
            let up = target.components().filter(|part| matches!(part, Component::ParentDir)).count();
            assert!(target.is_relative() && up < depth, "{} -> {}", path.display(), target.display());
        }
    }
}

/// The names in a folder, sorted; none where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Sends a folder to somebody who says this when the list is there, and that when everything is.
fn from_receiver(decisions: &[u8], rest: &[u8]) {
    let sent = SENT.with(|folder| {
        run(async {
            let Ok(offer) = Offer::scan([folder.path().join("sent")]).await else {
                panic!("nothing to send")
            };
            let (pair, mut incoming) = endpoints();
            let receiver = async {
                let mut channel = incoming.recv().await?.accept().ok()?;
                read_until(&mut channel, &message(LIST_END, &[])).await;
                // The sender may have had enough at any time.
                let _ = channel.write_all(decisions).await;
                let end = message(END, &[]);
                let all = read_until(&mut channel, &end);
                // Who has not said what the sender waits for does not get its end.
                let _ = tokio::time::timeout(PAUSE, all).await;
                let _ = channel.write_all(rest).await;
                let _ = channel.shutdown().await;
                channel.read_to_end(&mut Vec::new()).await.ok()
            };
            let progress = Progress::new();
            tokio::join!(send(&*pair.to_right, &offer, &progress), receiver).0
        })
    });
    if sent.is_ok() {
        let all = [decisions, rest].concat();
        assert!(all.windows(HEADER).any(|bytes| bytes == [DONE, 0, 0, 0, 0]), "nobody said that it is done");
    }
}

/// Reads up to this message, or to the end.
async fn read_until(channel: &mut Channel, message: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(message) {
        match channel.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return,
        }
    }
}

/// Two endpoints, and the channels that the right one is offered.
fn endpoints() -> (MemoryPair, UnboundedReceiver<Incoming>) {
    let pair = pair();
    let (arrived, incoming) = unbounded_channel();
    let handler = move |channel: Incoming| {
        let _ = arrived.send(channel);
        async {}
    };
    assert!(pair.right.handle(FILES, Arc::new(handler)).is_ok(), "nobody else takes files");
    (pair, incoming)
}

/// Runs to the end, which has to come: all there is to be read is there from the start.
fn run<F: Future>(what: F) -> F::Output {
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let Ok(output) = tokio::time::timeout(PATIENCE, what).await else { panic!("it got stuck") };
            output
        })
    })
}

/// Where folders are made: in memory, if there is such a place.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

thread_local! {
    static RUNTIME: LazyCell<Runtime> = const {
        LazyCell::new(|| match Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime: {error}"),
        })
    };

    /// A folder `sent` with two files.
    static SENT: LazyCell<TempDir> = const {
        LazyCell::new(|| {
            let Ok(folder) = TempDir::new_in(memory()) else { panic!("no folder") };
            let sent = folder.path().join("sent");
            let made = fs::create_dir(&sent)
                .and_then(|()| fs::write(sent.join("a"), "0123456789"))
                .and_then(|()| fs::write(sent.join("b"), "0123456789"));
            assert!(made.is_ok(), "nothing to send");
            folder
        })
    };
}

/// What takes this long on any machine is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a receiver waits for what its answers may never cause. Long for a folder of two files; that it may be too short
/// on a slow machine only makes it say the rest earlier.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes before each message: its kind and its length.
const HEADER: usize = 5;

// Kinds of messages, see docs/PROTOCOL.md.
const ENTRIES: u8 = 0x01;
const LIST_END: u8 = 0x02;
const END: u8 = 0x08;
const DONE: u8 = 0x85;

//! Two endpoints in memory, folders to send between them, and whole trees to compare.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use telemesh_channel::memory::{self, MemoryConfig, MemoryPair};
use telemesh_channel::{Acceptor as _, Incoming};
use telemesh_files::{Offer, Progress, ReceiveError, Report, Request, SendError, Target, send};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Runs `scenario`; one that gets stuck fails. The threads of a transfer use the real clock, so this does too.
pub(crate) fn run<F: Future>(scenario: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), scenario).await.expect("the scenario is stuck")
    })
}

/// A folder to send from and one to receive in.
pub(crate) struct Folders {
    pub(crate) base: TempDir,
}

impl Folders {
    pub(crate) fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("from")).unwrap();
        fs::create_dir(base.path().join("to")).unwrap();
        Self { base }
    }

    pub(crate) fn from(&self) -> PathBuf {
        self.base.path().join("from")
    }

    pub(crate) fn to(&self) -> PathBuf {
        self.base.path().join("to")
    }

    /// A file to send, with everything on the way to it.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.from().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn target(&self) -> Target {
        Target::open(self.to()).unwrap()
    }
}

/// Both ends of one attempt.
pub(crate) struct Ends {
    pub(crate) sent: Result<Report, SendError>,
    pub(crate) received: Result<Report, ReceiveError>,
}

impl Ends {
    /// The reports of a transfer that both ends call a success.
    pub(crate) fn reports(self) -> (Report, Report) {
        (self.sent.expect("sending"), self.received.expect("receiving"))
    }
}

/// A pair whose right end answers `files` by handing the channels over.
pub(crate) fn pair() -> (MemoryPair, mpsc::UnboundedReceiver<Incoming>) {
    let pair = memory::pair_with(MemoryConfig { stream_capacity: 256 * 1024, ..MemoryConfig::default() });
    let (arrived, incoming) = mpsc::unbounded_channel();
    let handler = move |channel: Incoming| {
        let _ = arrived.send(channel);
        async {}
    };
    pair.right.handle("files", std::sync::Arc::new(handler)).unwrap();
    (pair, incoming)
}

/// Sends and receives.
pub(crate) async fn transfer(offer: &Offer, target: &Target) -> Ends {
    transfer_counted(offer, target, &Progress::new(), &Progress::new()).await
}

pub(crate) async fn transfer_counted(
    offer: &Offer,
    target: &Target,
    sending: &Progress,
    receiving: &Progress,
) -> Ends {
    let (pair, mut incoming) = pair();
    let receive = async {
        let request = Request::read(incoming.recv().await.unwrap())?;
        request.receive(target, receiving).await
    };
    let (sent, received) = tokio::join!(send(&*pair.to_right, offer, sending), receive);
    Ends { sent, received }
}

/// What is in a folder: path to what can be said of it.
pub(crate) type Tree = BTreeMap<String, Node>;

#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) enum Node {
    File { mode: u32, modified: (i64, i64), content: Vec<u8> },
    Folder { mode: u32, modified: (i64, i64) },
    Link(PathBuf),
}

/// Everything below a folder.
pub(crate) fn tree(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    walk(folder, "", &mut tree);
    tree
}

fn walk(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let meta = entry.path().symlink_metadata().unwrap();
        let (mode, modified) = (meta.permissions().mode() & 0o7777, (meta.mtime(), meta.mtime_nsec()));
        let node = if meta.is_symlink() {
            Node::Link(fs::read_link(entry.path()).unwrap())
        } else if meta.is_dir() {
            walk(&entry.path(), &format!("{path}/"), tree);
            Node::Folder { mode, modified }
        } else {
            Node::File { mode, modified, content: fs::read(entry.path()).unwrap() }
        };
        tree.insert(path, node);
    }
}

/// That two folders hold the same, saying which paths do not.
#[track_caller]
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (tree(left), tree(right));
    let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (path, node) in &left {
        match (node, &right[path]) {
            (
                Node::File { mode, modified, content },
                Node::File { mode: mode2, modified: modified2, content: content2 },
            ) => {
                assert_eq!((mode, modified), (mode2, modified2), "{path}");
                assert!(content == content2, "{path}: other content");
            }
            (left, right) => assert_eq!(left, right, "{path}"),
        }
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn set_modified(path: &Path, seconds: u64, nanoseconds: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Bytes that look like nothing, and the same each time.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

//! What no real disk does on demand: full, on two file systems, and one that ignores case.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use telemesh_channel::memory::{self, MemoryPair};
use telemesh_channel::{Acceptor as _, Hashname, Incoming};
use tokio::sync::mpsc;

use super::decide::{Decider, Fate};
use super::place::{Placed, Places};
use super::state::{State, StateError, remove_leftover};
use super::*;
use crate::disk::Dir;
use crate::error::SendError;
use crate::names::NameRules;
use crate::offer::Offer;
use crate::report::{FailureCode, Reason};
use crate::send;
use crate::wire::{Content, Decision, Entry, Time};

const PEER: [u8; 32] = [7; 32];
const ID: [u8; 32] = [9; 32];

fn open_state(target: &Target) -> State {
    State::open(target, Hashname::from_bytes(PEER), &ID).unwrap()
}

fn modified() -> Time {
    Time { seconds: 1_000_000_000, nanoseconds: 0 }
}

fn file(name: &str, size: u64) -> Entry {
    Entry { depth: 0, name: name.into(), content: Content::File { mode: 0o644, modified: modified(), size } }
}

fn folder(name: &str) -> Entry {
    Entry { depth: 0, name: name.into(), content: Content::Folder { mode: 0o755, modified: modified() } }
}

/// Sends to a target over a pair in memory.
async fn transfer(
    offer: &Offer,
    target: &Target,
) -> (Result<Report, SendError>, Result<Report, ReceiveError>) {
    let pair: MemoryPair = memory::pair();
    let (arrived, mut incoming) = mpsc::unbounded_channel();
    let handler = move |channel: Incoming| {
        let _ = arrived.send(channel);
        async {}
    };
    pair.right.handle(FILES, Arc::new(handler)).unwrap();
    let receive = async {
        let request = Request::read(incoming.recv().await.unwrap())?;
        request.receive(target, &Progress::new()).await
    };
    let progress = Progress::new();
    tokio::join!(send(&*pair.to_right, offer, &progress), receive)
}

#[tokio::test]
async fn a_full_disk_ends_the_transfer_with_its_name_and_the_next_attempt_goes_on() {
    let base = tempfile::tempdir().unwrap();
    let from = base.path().join("from");
    fs::create_dir(&from).unwrap();
    for number in 0..30u8 {
        fs::write(from.join(format!("{number:02}")), [number + 1; 100_000]).unwrap();
    }
    let offer = Offer::scan([&from]).await.unwrap();
    let target = Target::open(base.path().join("to")).unwrap();
    let mut full = target.clone();
    full.disk_limit = Some(1_234_567);
    let (sent, received) = transfer(&offer, &full).await;
    assert!(matches!(sent, Err(SendError::Receiver(FailureCode::DiskFull))), "{sent:?}");
    assert!(matches!(&received, Err(ReceiveError::Local(error)) if error.kind() == ErrorKind::StorageFull));
    // What was whole is in place.
    assert_eq!(fs::read_dir(base.path().join("to/from")).unwrap().count(), 12);
    let (sent, received) = transfer(&offer, &target).await;
    assert_eq!(received.unwrap().files, 30);
    assert!(sent.unwrap().bytes_transferred <= 1_800_000);
}

#[test]
fn a_disk_that_is_full_is_told_from_one_that_fails_and_from_one_that_may_not_be_written() {
    for (kind, code) in [
        (ErrorKind::StorageFull, FailureCode::DiskFull),
        (ErrorKind::QuotaExceeded, FailureCode::DiskFull),
        (ErrorKind::FileTooLarge, FailureCode::DiskFull),
        (ErrorKind::PermissionDenied, FailureCode::Permission),
        (ErrorKind::ReadOnlyFilesystem, FailureCode::Permission),
        (ErrorKind::Other, FailureCode::Disk),
    ] {
        assert_eq!(FailureCode::of(&kind.into()), code);
    }
}

#[test]
fn a_state_is_locked_and_remembers_what_is_settled() {
    let base = tempfile::tempdir().unwrap();
    let target = Target::open(base.path()).unwrap();
    let mut state = open_state(&target);
    assert_eq!((state.settled, state.parts.len(), state.made.len()), (0, 0, 0));
    let other = State::open(&target, Hashname::from_bytes([8; 32]), &ID).unwrap();
    assert_eq!(target.leftovers().unwrap().len(), 2, "each peer has its own");
    assert!(!remove_leftover(&target, &target.leftovers().unwrap()[0].name).unwrap(), "it is held");
    let (mut journal, id) = state.journal().unwrap();
    State::note_settled(&mut journal, &id, 5).unwrap();
    State::note_settled(&mut journal, &id, 700).unwrap();
    for index in [3, 300, 70_000] {
        state.note_folder(index).unwrap();
    }
    state.folder.make_file("part-699").unwrap();
    state.folder.make_file("part-700").unwrap();
    state.folder.make_file("part-x").unwrap();
    // A record that was torn, of either kind.
    journal.write_all(&[1, 2, 3]).unwrap();
    let torn = path_of(base.path(), "folders");
    fs::OpenOptions::new().append(true).open(&torn).unwrap().write_all(&[0x80]).unwrap();
    drop((state, journal, other));

    let mut state = open_state(&target);
    assert_eq!((state.settled, &*state.parts, &*state.made), (700, &[700][..], &[3, 300, 70_000][..]));
    // Both go on behind what was torn.
    let (mut journal, id) = state.journal().unwrap();
    State::note_settled(&mut journal, &id, 800).unwrap();
    state.note_folder(80_000).unwrap();
    drop((state, journal));
    let state = open_state(&target);
    assert_eq!((state.settled, &*state.made), (800, &[3, 300, 70_000, 80_000][..]));
    state.remove().unwrap();
    assert_eq!(target.leftovers().unwrap().len(), 1, "the other peer's");
}

/// A file in the state folder that has one.
fn path_of(base: &Path, name: &str) -> std::path::PathBuf {
    let states = fs::read_dir(base.join(crate::STATE_FOLDER)).unwrap();
    let found = states
        .map(|state| state.unwrap().path().join(name))
        .max_by_key(|path| path.metadata().unwrap().len());
    found.unwrap()
}

#[test]
fn records_of_another_transfer_or_made_up_ones_count_for_nothing() {
    let base = tempfile::tempdir().unwrap();
    let target = Target::open(base.path()).unwrap();
    let state = open_state(&target);
    let (mut journal, _) = state.journal().unwrap();
    State::note_settled(&mut journal, &[1; 32], 50).unwrap();
    journal.write_all(&[0xff; 48]).unwrap();
    drop((state, journal));
    assert_eq!(open_state(&target).settled, 0);
}

#[test]
fn a_second_attempt_waits_a_while_and_is_busy_then() {
    let base = tempfile::tempdir().unwrap();
    let target = Target::open(base.path()).unwrap();
    let first = open_state(&target);
    let second = State::open(&target, Hashname::from_bytes(PEER), &ID);
    assert!(matches!(second, Err(StateError::Busy)));
    // One that ends meanwhile is waited for.
    let waiting = std::thread::spawn({
        let target = target.clone();
        move || State::open(&target, Hashname::from_bytes(PEER), &ID).is_ok()
    });
    first.remove().unwrap();
    assert!(waiting.join().unwrap());
}

#[test]
fn names_that_collide_are_refused_where_case_is_ignored() {
    let base = tempfile::tempdir().unwrap();
    let target = Target::open(base.path()).unwrap();
    let mut state = open_state(&target);
    state.ignores_case = true;
    let mut decider = Decider::new(&target, &state);
    let mut decide = |index, entry: &Entry| decider.decide(&mut state, index, entry).unwrap();
    assert!(matches!(decide(0, &file("README", 1)), (Decision::Send, Fate::Wanted(_))));
    assert!(matches!(decide(1, &folder("Straße")), (Decision::Skip, Fate::Folder { made: true })));
    let inside = Entry { depth: 1, ..file("readme", 1) };
    assert!(matches!(decide(2, &inside), (Decision::Send, _)), "another folder");
    for (index, entry) in [(3, file("Readme", 1)), (4, folder("straße"))] {
        assert_eq!(decide(index, &entry).0, Decision::Refuse(Reason::NameCollides));
    }
    let inside = Entry { depth: 1, ..file("x", 1) };
    assert_eq!(decide(5, &inside).0, Decision::Refuse(Reason::Folder), "its folder was refused");
    assert!(matches!(decide(6, &file("zzz", 1)), (Decision::Send, _)));
}

#[test]
fn names_that_windows_does_not_allow_are_refused_there() {
    let base = tempfile::tempdir().unwrap();
    let target = Target::open(base.path()).unwrap();
    let mut state = open_state(&target);
    let mut decider = Decider::new(&target, &state).with_rules(NameRules::Windows);
    for (index, name) in ["C:", "CON", "a:stream", "nul.txt", "trailing.", "what?"].into_iter().enumerate() {
        let decided = decider.decide(&mut state, index as u64, &file(name, 1)).unwrap();
        assert_eq!(decided.0, Decision::Refuse(Reason::Name), "{name}");
    }
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "the state folder only");
}

#[test]
fn a_part_is_copied_where_the_folder_is_on_another_file_system() {
    let shared_memory = Path::new("/dev/shm");
    let base = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in(shared_memory) else { return };
    if other.path().metadata().unwrap().dev() == base.path().metadata().unwrap().dev() {
        return; // Nothing to see on this machine.
    }
    let parts = Arc::new(Dir::open_path(base.path()).unwrap());
    let parent = Dir::open_path(other.path()).unwrap();
    let hash = *blake3::hash(b"hello").as_bytes();
    let put = |existing, name: &str| {
        let mut part = parts.make_file("part-0").unwrap();
        part.write_all(b"hello").unwrap();
        Dir::set_file_meta(&part, 0o640, modified()).unwrap();
        let places = Places::new(existing, Arc::clone(&parts));
        places.put(&parent, &file(name, 5), Some(("part-0", hash))).unwrap()
    };
    assert_eq!(put(Existing::Refuse, "file"), Ok(Placed::New));
    let (_, meta) = parent.open_file("file").unwrap();
    assert_eq!((meta.size, meta.mode, meta.modified), (5, 0o640, modified()));
    assert_eq!(put(Existing::Refuse, "file"), Ok(Placed::There));
    fs::write(other.path().join("file"), "other").unwrap();
    assert_eq!(put(Existing::Rename, "file"), Ok(Placed::Renamed("file (1)".to_owned())));
    assert_eq!(put(Existing::Overwrite, "file"), Ok(Placed::New));
    assert_eq!(fs::read_to_string(other.path().join("file")).unwrap(), "hello");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 2, "nothing is left beside them");
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "no part is left");
}

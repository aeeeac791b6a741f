//! What is saved is there again, for its owner and for one process at a time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy does not see that helpers in here belong to tests"
)]

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use telemesh_hashname::Hashname;
use telemesh_keys::KeySet;
use telemesh_mesh::{
    Change, Contact, Grants, LinkInfo, MAX_REMEMBERED_PATHS, PeerRecord, PeerStore as _, Remembered,
    StoredInvite,
};
use telemesh_store::{FileStore, OpenError};
use telemesh_wire::InviteSecret;

fn contact(seed: u8, name: Option<&str>) -> Contact {
    let keys = KeySet::generate(&mut StdRng::from_seed([seed; 32]));
    let address: telemesh_mesh::PathAddress = "udp:192.0.2.1:42424".parse().unwrap();
    let info = LinkInfo::new(keys.public().clone()).unwrap().with_path(address).unwrap();
    let mut grants = Grants::link();
    grants.insert("sock:10.0.0.1:22".parse().unwrap()).unwrap();
    Contact::new(info).with_name(name.map(|name| name.parse().unwrap())).with_grants(grants)
}

fn invite(id: &str) -> StoredInvite {
    StoredInvite {
        id: id.to_owned(),
        secret: Arc::new(InviteSecret::from_bytes([9; 32])),
        uses: 3,
        expires: Some(1_700_000_000_000_000),
        name: Some("bob".parse().unwrap()),
        grants: Grants::link(),
        used: vec![Hashname::from_bytes([4; 32])],
    }
}

fn record(highest_at: u64) -> PeerRecord {
    let mut bytes = PeerRecord::default().to_bytes();
    // The layout is the link's: version, sent_at, highest_at.
    bytes[9..17].copy_from_slice(&highest_at.to_le_bytes());
    PeerRecord::from_bytes(&bytes).unwrap()
}

#[test]
fn what_was_saved_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (alice, bob, peer) = (contact(1, Some("alice")), contact(2, None), Hashname::from_bytes([7; 32]));
    let unresolved = Contact::new(LinkInfo::unresolved(peer)).with_grants(Grants::none());
    let paths: Vec<_> = (1..=MAX_REMEMBERED_PATHS)
        .map(|number| format!("udp:[2001:db8::{number}]:1").parse().unwrap())
        .collect();
    {
        let store = FileStore::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), telemesh_mesh::Stored::default());
        assert_eq!(store.peer(&peer).unwrap(), Remembered::default());
        let changes = [
            Change::Contact(alice.clone()),
            Change::Contact(bob.clone()),
            Change::Contact(unresolved.clone()),
            Change::Record(peer, record(1)),
            Change::Record(peer, record(2)),
            Change::Paths(peer, paths.clone()),
            Change::Invite(invite("a")),
            Change::Invite(invite("b")),
        ];
        store.save(&changes).unwrap();
        store.save(&[Change::Forgotten(bob.hashname()), Change::InviteClosed("b".into())]).unwrap();
    }
    let store = FileStore::open(&path).unwrap();
    let stored = store.load().unwrap();
    assert_eq!(stored.contacts.len(), 2);
    assert!(stored.contacts.contains(&alice) && stored.contacts.contains(&unresolved));
    assert_eq!(stored.invites, [invite("a")]);
    assert_eq!(stored.invites[0].secret.as_bytes(), &[9; 32]);
    assert_eq!(store.peer(&peer).unwrap(), Remembered { record: record(2), paths });
}

#[test]
fn one_process_at_a_time_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = FileStore::open(&path).unwrap();
    let error = FileStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(first);
    FileStore::open(&path).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let refused = |path: &std::path::Path| match FileStore::open(path) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", path.display()),
    };
    assert!(matches!(refused(folder.path()), OpenError::NotAFile { .. }));
    assert!(matches!(refused(&folder.path().join("missing/store")), OpenError::Io { .. }));
    write_private(&path, &[7; 8192]);
    let error = refused(&path);
    assert!(matches!(error, OpenError::Content { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), [7; 8192]);
}

#[test]
fn every_cut_of_the_file_gives_an_error_or_a_whole_state_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let alice = contact(1, Some("alice"));
    FileStore::open(&path).unwrap().save(&[Change::Contact(alice.clone())]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.redb");
    for length in (0..whole.len()).step_by(whole.len() / 50 + 1) {
        write_private(&cut, &whole[..length]);
        if let Ok(store) = FileStore::open(&cut)
            && let Ok(stored) = store.load()
        {
            assert!(stored.contacts.is_empty() || stored.contacts == [alice.clone()], "cut at {length}");
        }
        std::fs::remove_file(&cut).unwrap();
    }
}

fn write_private(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_or_a_link_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(FileStore::open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = FileStore::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Permissions { .. }), "{mode:o}: {error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.redb");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(FileStore::open(&link).unwrap_err(), OpenError::NotAFile { .. }));
}

//! The list of a transfer as both sides see it pass by: its order, its paths and its id. It holds one name per folder that
//! is open, never the list.

use std::fmt;

use crate::limits::{MAX_DEPTH, MAX_PATH};
use crate::names::escaped;
use crate::wire::{Content, Entry, Hash, Hello, Malformed};

/// What a transfer is known by: a hash over its list (every name, size, mode and time). The same offer made again has the
/// same id as long as nothing in it changed, and that is how a half-received one is found again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub(crate) Hash);

impl fmt::Display for TransferId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TransferId({self})")
    }
}

/// Keeps the hash of a list apart from any other hash.
const LIST_CONTEXT: &str = "telemesh files 1: the list of a transfer";

/// Follows a list entry by entry: order, limits, totals, id.
#[derive(Debug)]
pub(crate) struct ListCheck {
    tree: Tree,
    hasher: blake3::Hasher,
    encoded: Vec<u8>,
    pub(crate) entries: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl ListCheck {
    pub(crate) fn new() -> Self {
        Self {
            tree: Tree::default(),
            hasher: blake3::Hasher::new_derive_key(LIST_CONTEXT),
            encoded: Vec::new(),
            entries: 0,
            files: 0,
            bytes: 0,
        }
    }

    /// Takes the next entry.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<(), Malformed> {
        self.tree.step(entry)?;
        self.encoded.clear();
        entry.encode(&mut self.encoded);
        self.hasher.update(&self.encoded);
        self.entries += 1;
        if let Content::File { size, .. } = entry.content {
            self.files += 1;
            self.bytes = self.bytes.checked_add(size).ok_or(Malformed("more bytes than can be counted"))?;
        }
        Ok(())
    }

    /// The encoding of the entry that was added last.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Whether the list may still be the claimed one.
    pub(crate) fn is_within(&self, claim: &Hello) -> bool {
        self.entries <= claim.entries && self.files <= claim.files && self.bytes <= claim.bytes
    }

    /// Whether the whole list is the claimed one.
    pub(crate) fn is_all_of(&self, claim: &Hello) -> bool {
        (self.entries, self.files, self.bytes) == (claim.entries, claim.files, claim.bytes)
            && self.id().0 == claim.id
    }

    pub(crate) fn id(&self) -> TransferId {
        TransferId(*self.hasher.finalize().as_bytes())
    }
}

/// Where in the tree a walk through the list is.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The open folders, the outermost first.
    folders: Vec<Box<str>>,
    /// The last name seen in the target folder and in each open one.
    last: Vec<Box<str>>,
    /// Bytes of the path of the innermost open folder, with a separator at its end.
    path_length: usize,
}

impl Tree {
    /// Goes on to the next entry: it lies in an open folder, behind everything that came before there.
    pub(crate) fn step(&mut self, entry: &Entry) -> Result<(), Malformed> {
        if entry.depth > self.folders.len() {
            return Err(Malformed("an entry in a folder that was not listed"));
        }
        while self.folders.len() > entry.depth {
            let left = self.folders.pop().map_or(0, |name| name.len() + 1);
            self.path_length = self.path_length.saturating_sub(left);
        }
        self.last.truncate(entry.depth + 1);
        match self.last.get_mut(entry.depth) {
            Some(last) if last.as_bytes() >= entry.name.as_bytes() => {
                return Err(Malformed("entries out of order, or one of them twice"));
            }
            Some(last) => last.clone_from(&entry.name),
            None => self.last.push(entry.name.clone()),
        }
        if self.path_length + entry.name.len() > MAX_PATH {
            return Err(Malformed("a path over its limit"));
        }
        if let Content::Folder { .. } = entry.content {
            if self.folders.len() >= MAX_DEPTH {
                return Err(Malformed("folders too deep inside each other"));
            }
            self.path_length += entry.name.len() + 1;
            self.folders.push(entry.name.clone());
        }
        Ok(())
    }

    /// The path of an entry that was just stepped to.
    pub(crate) fn path(&self, entry: &Entry) -> String {
        self.path_in(entry.depth, &entry.name)
    }

    /// The path of a name in the open folder of that depth.
    pub(crate) fn path_in(&self, depth: usize, name: &str) -> String {
        let mut path = String::with_capacity(self.path_length + name.len());
        for folder in self.folders.iter().take(depth) {
            path.push_str(folder);
            path.push('/');
        }
        path.push_str(name);
        path
    }

    /// Whether an entry would have too long a path, or lie too deep, for a list.
    pub(crate) fn has_room_for(&self, depth: usize, name: &str) -> bool {
        let above: usize = self.folders.iter().take(depth).map(|folder| folder.len() + 1).sum();
        depth < MAX_DEPTH && above + name.len() <= MAX_PATH
    }
}

/// For logs: who and what, in few characters.
pub(crate) fn label(hello: &Hello) -> String {
    let id = TransferId(hello.id).to_string();
    format!("{} ({})", escaped(&hello.name), id.get(..8).unwrap_or_default())
}

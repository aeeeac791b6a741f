//! The thread behind a transfer that is sent. It lists ahead, and sends what the receiver asks for in the list's order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answers::{Answers, NoMore, Settled};
use super::outbox::Outbox;
use super::source::{Source, is_unchanged};
use crate::disk::hash_next;
use crate::limits::{LIST_AHEAD, PIECE};
use crate::list::Tree;
use crate::offer::{Entries, List};
use crate::progress::Progress;
use crate::report::{Problem, Problems, Reason, Report};
use crate::wire::{Content, Decision, Entry, FromSender, Hash, Prefix};

/// Bytes of list in one message: the receiver starts to decide when the first arrives.
const LIST_MESSAGE: usize = 16 * 1024;

/// Why the worker ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The other side of the channel, or its user, ended it; [`Answers`] knows why.
    Ended,
    /// The receiver's decision makes no sense for its entry.
    Protocol(&'static str),
    /// The list cannot be read back.
    Here(io::Error),
}

impl From<NoMore> for Stopped {
    fn from(_: NoMore) -> Self {
        Self::Ended
    }
}

pub(super) struct Worker {
    list: Arc<List>,
    entries: Entries,
    list_complete: bool,
    listed: u64,
    /// Entries that were listed and are not dealt with.
    queue: VecDeque<Entry>,
    /// The number of the first of them.
    next: u64,
    tree: Tree,
    source: Source,
    outbox: Outbox,
    answers: Arc<Answers>,
    progress: Progress,
    report: Report,
    problems: Problems,
}

/// What became of a file.
enum Sent {
    /// The receiver has all of it; the bytes that went there now, if it needed any.
    Whole {
        transferred: Option<u64>,
    },
    LeftOut(Reason),
}

impl Worker {
    pub(super) fn new(
        list: Arc<List>,
        pieces: mpsc::Sender<Bytes>,
        answers: Arc<Answers>,
        progress: Progress,
    ) -> Self {
        Self {
            entries: Entries::of(Arc::clone(&list)),
            source: Source::new(Arc::clone(&list)),
            list,
            list_complete: false,
            listed: 0,
            queue: VecDeque::new(),
            next: 0,
            tree: Tree::default(),
            outbox: Outbox::new(pieces),
            answers,
            progress,
            report: Report::default(),
            problems: Problems::default(),
        }
    }

    /// Runs the transfer to its end.
    pub(super) fn run(mut self) -> Result<Report, Stopped> {
        loop {
            if !self.list_complete && self.queue.len() <= LIST_AHEAD / 2 {
                self.list_ahead()?;
            }
            let Some(entry) = self.queue.pop_front() else { break };
            let decision = match self.answers.try_decision()? {
                Some(decision) => decision,
                None => {
                    self.outbox.flush()?;
                    self.answers.decision()?
                }
            };
            self.deal_with(&entry, decision)?;
            self.next += 1;
        }
        self.answers.all_sent();
        self.outbox.put(&FromSender::End)?;
        self.outbox.flush()?;
        let progress = self.progress.clone();
        let settled = self.answers.done(|entries| progress.settled(entries))?;
        self.add_refused(settled).map_err(Stopped::Here)?;
        self.problems.report_to(&mut self.report);
        Ok(self.report)
    }

    /// Lists entries until enough wait for their turn.
    fn list_ahead(&mut self) -> Result<(), Stopped> {
        let mut message = Vec::with_capacity(LIST_MESSAGE + Entry::MAX_ENCODED);
        while self.queue.len() < LIST_AHEAD {
            let Some(entry) = self.entries.next().map_err(Stopped::Here)? else {
                self.list_complete = true;
                break;
            };
            entry.encode(&mut message);
            self.queue.push_back(entry);
            self.listed += 1;
            if message.len() >= LIST_MESSAGE {
                self.put_entries(&mut message)?;
            }
        }
        self.put_entries(&mut message)?;
        if self.list_complete {
            self.outbox.put(&FromSender::ListEnd)?;
        }
        Ok(())
    }

    fn put_entries(&mut self, message: &mut Vec<u8>) -> Result<(), NoMore> {
        if message.is_empty() {
            return Ok(());
        }
        self.answers.listed(self.listed);
        self.outbox.put(&FromSender::Entries(message))?;
        message.clear();
        Ok(())
    }

    fn deal_with(&mut self, entry: &Entry, decision: Decision) -> Result<(), Stopped> {
        // The list is our own, and in order.
        let _ = self.tree.step(entry);
        self.source.step(entry);
        self.progress.settled(self.answers.settled());
        if let Decision::Refuse(reason) = decision {
            self.problem(entry, reason);
            return Ok(());
        }
        let Content::File { size, .. } = entry.content else {
            if decision != Decision::Skip {
                return Err(Stopped::Protocol("it wants the data of what is no file"));
            }
            match entry.content {
                Content::Folder { .. } => self.report.folders += 1,
                _ => self.report.links += 1,
            }
            return Ok(());
        };
        let sent = match decision {
            Decision::Skip => {
                self.progress.add_bytes(size);
                self.progress.file_through();
                Sent::Whole { transferred: None }
            }
            decision => self.file(entry, size, &decision)?,
        };
        match sent {
            Sent::Whole { transferred } => {
                self.report.files += 1;
                self.report.bytes += size;
                match transferred {
                    Some(bytes) => self.report.bytes_transferred += bytes,
                    None => self.report.files_already_there += 1,
                }
            }
            Sent::LeftOut(reason) => {
                self.outbox.put(&FromSender::LeftOut { index: self.next, reason })?;
                self.problem(entry, reason);
            }
        }
        Ok(())
    }

    /// Sends one file, as far as the receiver needs it.
    fn file(&mut self, entry: &Entry, size: u64, decision: &Decision) -> Result<Sent, Stopped> {
        let mut file = match self.source.open(entry) {
            Ok(file) => file,
            Err(reason) => return Ok(Sent::LeftOut(reason)),
        };
        let (from, mut hasher) = match decision {
            Decision::Compare(hash) => return self.compare(entry, &file, size, hash),
            Decision::Resume(prefixes) => match self.find_prefix(&file, size, prefixes)? {
                Ok(found) => found,
                Err(reason) => return Ok(Sent::LeftOut(reason)),
            },
            _ => (0, blake3::Hasher::new()),
        };
        // Looking for the prefix has moved it, also when none was right.
        if matches!(decision, Decision::Resume(_)) && file.seek(SeekFrom::Start(from)).is_err() {
            return Ok(Sent::LeftOut(Reason::Unreadable));
        }
        let path = self.tree.path(entry);
        self.progress.started(&path, size, from);
        self.outbox.put(&FromSender::File { index: self.next, offset: from })?;
        let mut left = size - from;
        while left > 0 {
            let read = self.outbox.put_data(&file, left, |data| {
                hasher.update(data);
            })?;
            match read {
                Ok(0) => break,
                Ok(read) => {
                    left -= (read as u64).min(left);
                    self.progress.transferred(read as u64);
                }
                Err(_) => {
                    self.progress.take_back(size - left);
                    return Ok(Sent::LeftOut(Reason::Unreadable));
                }
            }
        }
        if left > 0 || !is_unchanged(&file, entry) {
            self.progress.take_back(size - left);
            return Ok(Sent::LeftOut(Reason::Changed));
        }
        self.outbox.put(&FromSender::FileEnd(*hasher.finalize().as_bytes()))?;
        self.progress.finished(&path);
        Ok(Sent::Whole { transferred: (from == 0 || from < size).then_some(size - from) })
    }

    /// Tells the receiver whether what it has there is the same.
    fn compare(&mut self, entry: &Entry, file: &File, size: u64, theirs: &Hash) -> Result<Sent, Stopped> {
        let mut hasher = blake3::Hasher::new();
        let whole = self.hash_up_to(file, &mut hasher, size)?;
        if !whole || !is_unchanged(file, entry) {
            return Ok(Sent::LeftOut(Reason::Changed));
        }
        let hash = *hasher.finalize().as_bytes();
        if hash != *theirs {
            return Ok(Sent::LeftOut(Reason::Exists));
        }
        self.outbox.put(&FromSender::File { index: self.next, offset: size })?;
        self.outbox.put(&FromSender::FileEnd(hash))?;
        self.progress.add_bytes(size);
        self.progress.file_through();
        Ok(Sent::Whole { transferred: None })
    }

    /// The longest part of the file that the receiver has, and the hash up to there.
    fn find_prefix(
        &mut self,
        file: &File,
        size: u64,
        prefixes: &[Prefix],
    ) -> Result<Result<(u64, blake3::Hasher), Reason>, Stopped> {
        if prefixes.last().is_some_and(|last| last.length > size) {
            return Err(Stopped::Protocol("it has more of a file than there is"));
        }
        let mut found = (0, blake3::Hasher::new());
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        for prefix in prefixes {
            if !self.hash_up_to(file, &mut hasher, prefix.length - at)? {
                return Ok(Err(Reason::Changed));
            }
            at = prefix.length;
            if *hasher.finalize().as_bytes() != prefix.hash {
                break;
            }
            found = (at, hasher.clone());
        }
        Ok(Ok(found))
    }

    /// Hashes the next bytes of a file; whether there were so many.
    fn hash_up_to(&mut self, file: &File, hasher: &mut blake3::Hasher, bytes: u64) -> Result<bool, Stopped> {
        if bytes > PIECE as u64 {
            // It takes a while, so the receiver should have what was said before.
            self.outbox.flush()?;
        }
        let answers = &self.answers;
        let hashed = hash_next(file, hasher, bytes, || !answers.is_over());
        if self.answers.is_over() {
            Err(Stopped::Ended)
        } else {
            Ok(hashed.is_ok_and(|hashed| hashed == bytes))
        }
    }

    fn problem(&mut self, entry: &Entry, reason: Reason) {
        if let Content::File { size, .. } = entry.content {
            self.progress.add_bytes(size);
            self.progress.file_through();
        }
        let problem = Problem { path: self.tree.path(entry), reason };
        self.progress.problem(&problem);
        self.problems.add(self.next, problem);
    }

    /// Counts files as not there that the receiver took at first. Their paths are found in our own list.
    fn add_refused(&mut self, settled: Settled) -> io::Result<()> {
        let Settled { mut refused, refused_count } = settled;
        if refused_count == 0 {
            return Ok(());
        }
        // Beyond those that are kept only their number is known; nearly all are files.
        let more = refused_count.saturating_sub(refused.len() as u64);
        self.problems.count_more(more);
        self.report.files = self.report.files.saturating_sub(more);
        refused.sort_unstable_by_key(|(index, _)| *index);
        refused.dedup_by_key(|(index, _)| *index);
        let mut entries = Entries::of(Arc::clone(&self.list));
        let mut tree = Tree::default();
        let mut refused = refused.into_iter().peekable();
        let mut index = 0;
        while refused.peek().is_some() {
            let Some(entry) = entries.next()? else { break };
            let _ = tree.step(&entry);
            if let Some((_, reason)) = refused.next_if(|(refused, _)| *refused == index) {
                match entry.content {
                    Content::File { size, .. } => {
                        self.report.files = self.report.files.saturating_sub(1);
                        self.report.bytes = self.report.bytes.saturating_sub(size);
                    }
                    Content::Folder { .. } => self.report.folders = self.report.folders.saturating_sub(1),
                    Content::Link { .. } => self.report.links = self.report.links.saturating_sub(1),
                }
                let problem = Problem { path: tree.path(&entry), reason };
                self.progress.problem(&problem);
                self.problems.add(index, problem);
            }
            index += 1;
        }
        Ok(())
    }
}

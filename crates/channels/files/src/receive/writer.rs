//! The first thread behind a transfer that is received: takes the stream apart, decides on entries, writes data to parts.
//!
//! The sender is held to its own claims at each step. What it breaks ends the transfer; what was right before stays.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::collect::{Collect, Unheard};
use super::decide::{Decider, Fate, Have, writing};
use super::incoming_file::{BeginError, IncomingFile, Whole};
use super::placer::{Batch, Item, Job};
use super::state::State;
use super::target::Target;
use crate::disk::Dir;
use crate::limits::{BATCH_BYTES, BATCH_FILES, LIST_AHEAD, MAX_MESSAGE};
use crate::list::{ListCheck, Tree};
use crate::report::Reason;
use crate::wire::{
    Content, Decision, Entry, FromReceiver, FromSender, Hash, Hello, MAX_DECISION, Malformed, Parsed, Parser,
    Reader, encode_decision,
};

/// Why the transfer cannot go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The sender's.
    Protocol(&'static str),
    /// The disk's.
    Io(io::Error),
    /// The channel is gone, or the placer has ended with a fault of its own.
    Ended,
}

impl From<Malformed> for Fault {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Protocol(what)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unheard> for Fault {
    fn from(_: Unheard) -> Self {
        Self::Ended
    }
}

/// An entry that was listed and whose turn has not come.
#[derive(Debug)]
struct Listed {
    index: u64,
    entry: Entry,
    fate: Fate,
}

pub(super) struct Writer {
    hello: Hello,
    state: State,
    decider: Decider,
    parser: Parser,
    list: ListCheck,
    list_complete: bool,
    queue: VecDeque<Listed>,
    current: Option<(Listed, IncomingFile)>,
    /// The place of the entries whose turn has come, for their paths.
    tree: Tree,
    batch: Batch,
    batch_bytes: u64,
    batch_files: usize,
    placer: SyncSender<Job>,
    collect: Arc<Collect>,
    #[cfg(test)]
    disk_limit: Option<u64>,
}

impl Writer {
    pub(super) fn new(
        target: &Target,
        hello: Hello,
        state: State,
        placer: SyncSender<Job>,
        collect: Arc<Collect>,
    ) -> Self {
        Self {
            hello,
            decider: Decider::new(target, &state),
            state,
            parser: Parser::with_data(),
            list: ListCheck::new(),
            list_complete: false,
            queue: VecDeque::new(),
            current: None,
            tree: Tree::default(),
            batch: Batch::default(),
            batch_bytes: 0,
            batch_files: 0,
            placer,
            collect,
            #[cfg(test)]
            disk_limit: target.disk_limit,
        }
    }

    /// Takes the next piece of the stream; whether it was the last.
    pub(super) fn take_in(&mut self, mut input: &[u8]) -> Result<bool, Fault> {
        // Out of `self`, since what it gives borrows from it.
        let mut parser = std::mem::take(&mut self.parser);
        let result = loop {
            match parser.next(&mut input) {
                Ok(Some(Parsed::Data(data))) => {
                    if let Err(fault) = self.data(data) {
                        break Err(fault);
                    }
                }
                Ok(Some(Parsed::Message(kind, body))) => match self.message(kind, body) {
                    Ok(true) if input.is_empty() => break Ok(true),
                    Ok(true) => break Err(Fault::Protocol("bytes after the end")),
                    Ok(false) => {}
                    Err(fault) => break Err(fault),
                },
                Ok(None) => break Ok(false),
                Err(malformed) => break Err(malformed.into()),
            }
        };
        self.parser = parser;
        result
    }

    /// Hands over what is whole, when no more comes: it is put in place, and the next attempt starts behind it.
    pub(super) fn give_up(mut self) {
        let _ = self.hand_over(false);
    }

    /// The transfer's state, when all of it was handed over.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> Result<bool, Fault> {
        match FromSender::decode(kind, body)? {
            FromSender::Entries(entries) => self.entries(entries)?,
            FromSender::ListEnd => {
                if self.list_complete || !self.list.is_all_of(&self.hello) {
                    return Err(Fault::Protocol("the list is not the one that was claimed"));
                }
                self.list_complete = true;
            }
            FromSender::File { index, offset } => self.begin_file(index, offset)?,
            FromSender::Zeros(zeros) => self.zeros(zeros)?,
            FromSender::FileEnd(hash) => self.end_file(hash)?,
            FromSender::LeftOut { index, reason } => self.left_out(index, reason)?,
            FromSender::End => {
                if !self.list_complete || !self.queue.is_empty() || self.current.is_some() {
                    return Err(Fault::Protocol("an end before the end"));
                }
                self.hand_over(true)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decides on a piece of the list.
    fn entries(&mut self, body: &[u8]) -> Result<(), Fault> {
        if self.list_complete || body.is_empty() {
            return Err(Fault::Protocol("a list after its end"));
        }
        let mut reader = Reader::new(body);
        let mut answer = Decisions::new(Arc::clone(&self.collect));
        while !reader.is_empty() {
            let entry = Entry::decode(&mut reader)?;
            let index = self.list.entries;
            self.list.add(&entry)?;
            if !self.list.is_within(&self.hello) {
                return Err(Fault::Protocol("more entries or bytes than were claimed"));
            }
            if self.queue.len() >= LIST_AHEAD {
                return Err(Fault::Protocol("a list too far ahead of the files"));
            }
            let (decision, fate) = self.decider.decide(&mut self.state, index, &entry)?;
            answer.add(&decision)?;
            self.queue.push_back(Listed { index, entry, fate });
        }
        answer.finish()?;
        self.pass_on()
    }

    /// Passes on the entries at the front whose data is not waited for.
    fn pass_on(&mut self) -> Result<(), Fault> {
        while self.current.is_none()
            && let Some(listed) = self.queue.pop_front_if(|listed| !matches!(listed.fate, Fate::Wanted(_)))
        {
            self.tree.step(&listed.entry)?;
            if let Content::File { size, .. } = listed.entry.content {
                self.collect.progress.add_bytes(size);
                self.collect.progress.file_through();
            }
            self.put_into_batch(listed)?;
        }
        Ok(())
    }

    fn put_into_batch(&mut self, listed: Listed) -> Result<(), Fault> {
        let Listed { index, entry, fate } = listed;
        self.batch.items.push(Item { index, entry, fate });
        if self.batch_files >= BATCH_FILES
            || self.batch_bytes >= BATCH_BYTES
            || self.batch.items.len() >= LIST_AHEAD
        {
            self.hand_over(false)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, last: bool) -> Result<(), Fault> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.last = last;
        (self.batch_bytes, self.batch_files) = (0, 0);
        self.placer.send(Job::Batch(batch)).map_err(|_| Fault::Ended)
    }

    /// The entry whose data is to come now, which must be the one that the sender means.
    fn next_wanted(&mut self, index: u64) -> Result<(Listed, Have, u64), Fault> {
        if self.current.is_some() {
            return Err(Fault::Protocol("a file inside another"));
        }
        let Some(mut listed) = self.queue.pop_front_if(|listed| listed.index == index) else {
            return Err(Fault::Protocol("a file that is not the next one wanted"));
        };
        let Content::File { size, .. } = listed.entry.content else {
            return Err(Fault::Protocol("data of what is no file"));
        };
        let Fate::Wanted(have) = std::mem::replace(&mut listed.fate, Fate::There) else {
            return Err(Fault::Protocol("a file that is not wanted"));
        };
        self.tree.step(&listed.entry)?;
        Ok((listed, have, size))
    }

    fn begin_file(&mut self, index: u64, offset: u64) -> Result<(), Fault> {
        let (listed, have, size) = self.next_wanted(index)?;
        let file = match IncomingFile::begin(&self.state.folder, index, size, offset, have) {
            Ok(file) => file,
            Err(BeginError::Offset) => return Err(Fault::Protocol("a file from where nobody asked")),
            Err(BeginError::Io(error)) => return Err(error.into()),
        };
        if file.is_in_place() {
            self.collect.progress.add_bytes(size);
        } else {
            self.collect.progress.started(&self.tree.path(&listed.entry), size, offset);
        }
        self.current = Some((listed, file));
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<(), Fault> {
        #[cfg(test)]
        self.spend(data.len())?;
        let file = self.current_with_room(data.len() as u64)?;
        file.write(data)?;
        let writeback = file.writeback();
        self.collect.progress.transferred(data.len() as u64);
        if let Some(file) = writeback {
            // Only an early start: when the placer is busy, the disk is too.
            let _ = self.placer.try_send(Job::Writeback(file));
        }
        Ok(())
    }

    fn zeros(&mut self, zeros: u64) -> Result<(), Fault> {
        self.current_with_room(zeros)?.skip(zeros)?;
        self.collect.progress.transferred(zeros);
        Ok(())
    }

    fn current_with_room(&mut self, bytes: u64) -> Result<&mut IncomingFile, Fault> {
        match &mut self.current {
            Some((_, file)) if file.left() >= bytes => Ok(file),
            Some(_) => Err(Fault::Protocol("a file longer than was listed")),
            None => Err(Fault::Protocol("data of no file")),
        }
    }

    fn end_file(&mut self, hash: Hash) -> Result<(), Fault> {
        let Some((mut listed, file)) = self.current.take() else {
            return Err(Fault::Protocol("an end of no file"));
        };
        if file.left() > 0 {
            return Err(Fault::Protocol("a file shorter than was listed"));
        }
        let Whole { hash: ours, file, in_place } = file.finish()?;
        if ours != hash {
            if !in_place {
                self.state.folder.remove_file(&*State::part(listed.index))?;
            }
            self.collect.progress.file_through();
            self.collect
                .say_one(&FromReceiver::Refused { index: listed.index, reason: Reason::WrongHash })?;
            listed.fate = Fate::Refused(Reason::WrongHash);
        } else {
            listed.fate = if in_place { Fate::There } else { Fate::Arrived(hash) };
            if in_place {
                self.collect.progress.file_through();
            } else {
                self.collect.progress.finished(&self.tree.path(&listed.entry));
            }
            if let (Some(file), Content::File { mode, modified, size }) = (file, &listed.entry.content) {
                Dir::set_file_meta(&file, mode & !self.state.umask, *modified)?;
                self.batch.arrived.add_file(file)?;
                self.batch_files += 1;
                self.batch_bytes = self.batch_bytes.saturating_add(*size);
            }
        }
        self.put_into_batch(listed)?;
        self.pass_on()
    }

    /// The sender does not send this file, or not to its end.
    fn left_out(&mut self, index: u64, reason: Reason) -> Result<(), Fault> {
        let mut listed = match self.current.take_if(|(listed, _)| listed.index == index) {
            Some((listed, file)) => {
                self.collect.progress.take_back(listed.entry.size() - file.left());
                listed
            }
            None => self.next_wanted(index)?.0,
        };
        // What there is of it is of no use: it is not what the file is now.
        match self.state.folder.remove_file(&*State::part(index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                writing(error)?;
            }
            _ => {}
        }
        self.collect.progress.add_bytes(listed.entry.size());
        self.collect.progress.file_through();
        listed.fate = Fate::Refused(reason);
        self.put_into_batch(listed)?;
        self.pass_on()
    }

    /// Plays a disk that fills up.
    #[cfg(test)]
    fn spend(&mut self, bytes: usize) -> io::Result<()> {
        if let Some(limit) = &mut self.disk_limit {
            *limit = limit.checked_sub(bytes as u64).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }
}

/// The answer to a piece of list, in as few messages as it fits in.
struct Decisions {
    collect: Arc<Collect>,
    body: Vec<u8>,
    /// A decision that repeats, and how often.
    run: Option<(Decision, u64)>,
}

impl Decisions {
    fn new(collect: Arc<Collect>) -> Self {
        Self { collect, body: Vec::new(), run: None }
    }

    fn add(&mut self, decision: &Decision) -> Result<(), Unheard> {
        if let Some((run, count)) = &mut self.run
            && run == decision
        {
            *count += 1;
            return Ok(());
        }
        self.end_run();
        match decision {
            Decision::Skip | Decision::Send => self.run = Some((decision.clone(), 1)),
            other => encode_decision(&mut self.body, other, 1),
        }
        if self.body.len() + 2 * MAX_DECISION > MAX_MESSAGE { self.flush() } else { Ok(()) }
    }

    fn end_run(&mut self) {
        if let Some((decision, count)) = self.run.take() {
            encode_decision(&mut self.body, &decision, count);
        }
    }

    fn flush(&mut self) -> Result<(), Unheard> {
        self.end_run();
        if self.body.is_empty() {
            return Ok(());
        }
        let said = self.collect.say_one(&FromReceiver::Decisions(&self.body));
        self.body.clear();
        said
    }

    fn finish(mut self) -> Result<(), Unheard> {
        self.flush()
    }
}

//! The task that owns all rooms.
//!
//! It takes what has happened, a number of things at a time, and then settles the rooms that were touched: stores what they
//! want stored, tells what has happened, makes frames for channels with room, opens channels that are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemesh_channel::{Incoming, LinkEvent, LinkEvents, Network, Refusal, RefusalCode};
use telemesh_hashname::Hashname;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::bus::Bus;
use super::handles::{ChatInfo, Config, Member, StartError};
use super::inbound::{self, Inbound};
use super::links::{self, Line, Moved};
use super::{Events, Invitations};
use crate::CHAT;
use crate::content::{Profile, Text};
use crate::error::ChatError;
use crate::event::{Event, Invitation};
use crate::id::{ChatId, EntryId};
use crate::key::ChatKey;
use crate::limits::{MAX_CHATS, MAX_INVITATIONS};
use crate::log::Message;
use crate::mailbox::Mail;
use crate::name::Name;
use crate::room::{Counters, Delivery, Room, invitation};

mod commands;
mod settle;

/// Things that have happened and that the driver takes before it settles: one write to the store for all of them.
const AT_ONCE: usize = 64;

/// Commands and frames that may wait for the driver.
const QUEUE: usize = 256;

/// What applications ask for.
pub(super) enum Command {
    Create { name: Name, reply: oneshot::Sender<Result<ChatId, ChatError>> },
    List { reply: oneshot::Sender<Vec<ChatInfo>> },
    Invitations { reply: oneshot::Sender<Invitations> },
    Accept { chat: ChatId, reply: oneshot::Sender<Result<(), ChatError>> },
    Decline { chat: ChatId, reply: oneshot::Sender<()> },
    Forget { chat: ChatId, reply: oneshot::Sender<Result<(), ChatError>> },
    Mail { reply: oneshot::Sender<()> },
    Room { chat: ChatId, command: RoomCommand },
}

/// What applications ask of one chat.
pub(super) enum RoomCommand {
    Say { text: Text, edit: bool, reply: oneshot::Sender<Result<EntryId, ChatError>> },
    Profile { profile: Profile, reply: oneshot::Sender<Result<(), ChatError>> },
    OwnProfile { reply: oneshot::Sender<Option<Profile>> },
    Invite { hashname: Hashname, reply: oneshot::Sender<Result<(), ChatError>> },
    Read { id: EntryId, reply: oneshot::Sender<Result<(), ChatError>> },
    Typing { typing: bool, reply: oneshot::Sender<()> },
    Events { reply: oneshot::Sender<Events> },
    History { limit: usize, reply: oneshot::Sender<Vec<Message>> },
    Members { reply: oneshot::Sender<Vec<Member>> },
    Delivery { id: EntryId, reply: oneshot::Sender<Vec<Delivery>> },
    Digest { reply: oneshot::Sender<[u8; 32]> },
    Counters { reply: oneshot::Sender<Counters> },
    Info { reply: oneshot::Sender<ChatInfo> },
}

/// An answer that waits until what it is about is stored.
type Answer = Box<dyn FnOnce(Option<ChatError>) + Send>;

/// See the module's page.
pub(super) struct Driver {
    network: Arc<dyn Network>,
    config: Config,
    rooms: BTreeMap<ChatId, Hosted>,
    /// Invitations without an answer, with the leader's first entry, the oldest first.
    invitations: Vec<(Invitation, Bytes)>,
    declined: BTreeSet<ChatId>,
    invited: Bus<Invitation>,
    /// Rooms to be settled.
    touched: BTreeSet<ChatId>,
    linked: BTreeSet<Hashname>,
    inputs: Inputs,
    moved: mpsc::Sender<Moved>,
    tasks: JoinSet<()>,
    /// The number of the last channel.
    lines: u64,
    /// Tasks that put letters into mailboxes, and who waits for them.
    mailing: usize,
    mailed: Vec<oneshot::Sender<()>>,
}

/// Where things come from.
struct Inputs {
    commands: mpsc::Receiver<Command>,
    incoming: mpsc::Receiver<Incoming>,
    moved: mpsc::Receiver<Moved>,
    mail: mpsc::Receiver<Mail>,
    links: LinkEvents,
}

/// A room and its channels.
struct Hosted {
    room: Room,
    events: Bus<Event>,
    out: BTreeMap<Hashname, Out>,
    /// The peers' channels.
    incoming: BTreeMap<Hashname, (u64, AbortHandle)>,
    answers: Vec<Answer>,
    mail: Vec<Mail>,
    /// What could not be stored: nothing more is sent.
    broken: Option<String>,
    /// Participants and invited ones, when channels were last looked after.
    wanted: BTreeSet<Hashname>,
}

/// Our channel to a peer.
enum Out {
    /// None; the next attempt is due at this time, if not earlier for another reason.
    Closed {
        again: Option<Instant>,
        failed: u32,
        as_invitation: bool,
    },
    Opening {
        number: u64,
        task: AbortHandle,
        failed: u32,
        as_invitation: bool,
    },
    Open {
        number: u64,
        task: AbortHandle,
        frames: mpsc::Sender<Bytes>,
    },
}

/// What the driver woke up for.
enum Woken {
    Command(Command),
    Incoming(Incoming),
    Moved(Moved),
    Mail(Mail),
    Link(LinkEvent),
    Time,
    End,
}

impl Driver {
    pub(super) async fn new(
        network: Arc<dyn Network>,
        config: Config,
    ) -> Result<(Self, mpsc::Sender<Command>), StartError> {
        let stored = config.store.load().await?;
        let (commands, to_do) = mpsc::channel(QUEUE);
        let (moved, has_moved) = mpsc::channel(QUEUE);
        let (inbound, incoming) = mpsc::channel(inbound::QUEUE);
        let (letters, mail) = mpsc::channel(1);
        let links = network.link_events();
        network.handle(CHAT, Arc::new(Inbound(inbound)))?;
        let mut tasks = JoinSet::new();
        if let Some(mailbox) = config.mailbox.clone() {
            tasks.spawn(async move {
                while let Some(letter) = mailbox.receive().await {
                    if letters.send(letter).await.is_err() {
                        return;
                    }
                }
            });
        }
        let mut driver = Self {
            linked: network.peers().into_iter().collect(),
            network,
            config,
            rooms: BTreeMap::new(),
            invitations: Vec::new(),
            declined: BTreeSet::new(),
            invited: Bus::new(|_| None),
            touched: BTreeSet::new(),
            inputs: Inputs { commands: to_do, incoming, moved: has_moved, mail, links },
            moved,
            tasks,
            lines: 0,
            mailing: 0,
            mailed: Vec::new(),
        };
        let me = driver.network.hashname();
        for (chat, stored) in stored {
            match Room::restore(chat, stored, me) {
                Ok(room) => driver.host(room),
                Err(error) => tracing::error!(chat = %chat.short(), %error, "a chat was not read"),
            }
        }
        Ok((driver, commands))
    }

    /// Runs until nobody can ask for anything any more.
    pub(super) async fn run(mut self) {
        self.settle().await;
        loop {
            let woken = self.next().await;
            if matches!(woken, Woken::End) {
                return;
            }
            self.handle(woken);
            for _ in 1..AT_ONCE {
                match self.next_now() {
                    Some(woken) => self.handle(woken),
                    None => break,
                }
            }
            self.settle().await;
            if self.mailing == 0 {
                // Whoever has asked may have gone.
                for waiting in self.mailed.drain(..) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    async fn next(&mut self) -> Woken {
        let timer = self.deadline();
        let inputs = &mut self.inputs;
        let link = poll_fn(|cx| inputs.links.as_mut().poll_next(cx));
        tokio::select! {
            command = inputs.commands.recv() => command.map_or(Woken::End, Woken::Command),
            Some(moved) = inputs.moved.recv() => Woken::Moved(moved),
            Some(incoming) = inputs.incoming.recv() => Woken::Incoming(incoming),
            Some(mail) = inputs.mail.recv() => Woken::Mail(mail),
            Some(event) = link => Woken::Link(event),
            () = sleep_until(timer) => Woken::Time,
            // Tasks that have ended leave nothing behind.
            Some(_) = self.tasks.join_next() => Woken::Time,
        }
    }

    /// What is there without waiting.
    fn next_now(&mut self) -> Option<Woken> {
        let inputs = &mut self.inputs;
        if let Ok(moved) = inputs.moved.try_recv() {
            return Some(Woken::Moved(moved));
        }
        inputs.commands.try_recv().ok().map(Woken::Command)
    }

    /// When something is to be done although nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let rooms = self.rooms.values();
        rooms
            .flat_map(|hosted| {
                let retries = hosted.out.iter().filter_map(|(peer, out)| match out {
                    Out::Closed { again, .. } if self.linked.contains(peer) => *again,
                    _ => None,
                });
                retries.chain(hosted.room.poll_timeout().map(Instant::from_std))
            })
            .min()
    }

    fn handle(&mut self, woken: Woken) {
        match woken {
            Woken::Command(command) => self.command(command),
            Woken::Incoming(incoming) => self.incoming(incoming),
            Woken::Moved(moved) => self.moved(moved),
            Woken::Mail(mail) => self.mail(mail),
            Woken::Link(event) => self.link(event),
            Woken::Time => self.touched.extend(self.rooms.keys().copied()),
            Woken::End => {}
        }
    }

    /// Takes a room in.
    fn host(&mut self, mut room: Room) {
        let chat = room.id();
        // What was written before a restart may be in no mailbox yet.
        room.mail_later(Instant::now().into_std());
        let hosted = Hosted {
            room,
            events: Bus::new(|missed| Some(Event::Lagged { missed })),
            out: BTreeMap::new(),
            incoming: BTreeMap::new(),
            answers: Vec::new(),
            mail: Vec::new(),
            broken: None,
            wanted: BTreeSet::new(),
        };
        self.rooms.insert(chat, hosted);
        self.touched.insert(chat);
    }

    /// The room and what it needs to know of the time.
    fn room(&mut self, chat: &ChatId) -> Option<(&mut Hosted, std::time::Instant)> {
        let hosted = self.rooms.get_mut(chat)?;
        hosted.room.set_time((self.config.clock)());
        self.touched.insert(*chat);
        Some((hosted, Instant::now().into_std()))
    }

    fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { peer } => {
                self.linked.insert(peer);
                // Whatever channel there is belongs to a session that has ended.
                self.close_lines(&peer);
            }
            LinkEvent::Down { peer, .. } => {
                self.linked.remove(&peer);
                self.close_lines(&peer);
            }
            // Events were lost, or are of a newer kind.
            _ => {
                let now: BTreeSet<Hashname> = self.network.peers().into_iter().collect();
                let changed: Vec<Hashname> = self.linked.symmetric_difference(&now).copied().collect();
                self.linked = now;
                changed.iter().for_each(|peer| self.close_lines(peer));
            }
        }
        self.touched.extend(self.rooms.keys().copied());
    }

    fn close_lines(&mut self, peer: &Hashname) {
        let now = Instant::now().into_std();
        for hosted in self.rooms.values_mut() {
            if let Some(out) = hosted.out.get_mut(peer) {
                out.close(None);
                hosted.room.handle_link(*peer, false, now);
            }
        }
    }

    fn moved(&mut self, moved: Moved) {
        match moved {
            Moved::Opened(line, frames) => {
                let Some((hosted, now)) = self.room(&line.chat) else { return };
                let Some(out) = hosted.out.get_mut(&line.peer) else { return };
                if let Out::Opening { number, task, .. } = out
                    && *number == line.number
                {
                    *out = Out::Open { number: line.number, task: task.clone(), frames };
                    hosted.room.handle_link(line.peer, true, now);
                }
            }
            Moved::Room(line) => drop(self.touched.insert(line.chat)),
            Moved::Ended(line, refused) => self.line_ended(line, refused),
            Moved::Frame(line, frame) => {
                if let Some((hosted, now)) = self.room(&line.chat)
                    && hosted.incoming.get(&line.peer).is_some_and(|(number, _)| *number == line.number)
                {
                    hosted.room.handle_frame(line.peer, &frame, now);
                }
            }
            Moved::Mailed { chat, to, entries, all_kept } => {
                self.mailing = self.mailing.saturating_sub(1);
                if let (Some((hosted, now)), Some(entries)) = (self.room(&chat), entries) {
                    hosted.room.mailed(to, entries, all_kept, now);
                }
            }
            Moved::Oversized(line) => {
                if let Some((hosted, _)) = self.room(&line.chat) {
                    hosted.room.handle_oversized(line.peer);
                }
            }
        }
    }

    fn line_ended(&mut self, line: Line, refused: bool) {
        let Some((hosted, now)) = self.room(&line.chat) else { return };
        let Some(out) = hosted.out.get_mut(&line.peer) else { return };
        if out.number() != Some(line.number) {
            return;
        }
        let failed = out.failed();
        // An invitation has been delivered when it is refused: whoever accepts it opens a channel of their own.
        let wait = if refused { INVITE_AGAIN } else { RETRY * 2_u32.pow(failed.min(6)) };
        out.close(Some(Instant::now() + wait.min(INVITE_AGAIN)));
        hosted.room.handle_link(line.peer, false, now);
    }

    /// A channel that a peer opens.
    fn incoming(&mut self, incoming: Incoming) {
        let peer = incoming.peer();
        let Some((chat, first)) = inbound::split(&incoming.open().body) else {
            return incoming.refuse(Refusal::new(RefusalCode::NotAllowed, "which chat?"));
        };
        if let Some(hosted) = self.rooms.get_mut(&chat) {
            let Ok(channel) = incoming.accept() else { return };
            self.lines += 1;
            let line = Line { chat, peer, number: self.lines };
            let task = self.tasks.spawn(links::read(channel, line, self.moved.clone()));
            // Only participants and those who are about to become one are heard; the room sees to that. Their channels are
            // few, others' give way to each other.
            if let Some((_, before)) = hosted.incoming.insert(peer, (line.number, task)) {
                before.abort();
            }
            return;
        }
        if self.note_invitation(peer, chat, first) {
            return incoming.refuse(Refusal::new(RefusalCode::Application, "invited, not joined yet"));
        }
        incoming.refuse(Refusal::new(RefusalCode::NotAllowed, "not in this chat"));
    }

    /// Remembers an invitation. Whether it is one.
    fn note_invitation(&mut self, peer: Hashname, chat: ChatId, first: Bytes) -> bool {
        let Ok(entry) = invitation(chat, first) else { return false };
        let crate::Content::Create { name, hashname } = &entry.fields().content else { return false };
        if *hashname != peer {
            return false;
        }
        let known = self.invitations.iter().any(|(invitation, _)| invitation.chat == chat);
        if known || self.declined.contains(&chat) {
            return true;
        }
        let invitation = Invitation { chat, name: name.clone(), leader: peer };
        self.invited.emit(&invitation);
        self.invitations.push((invitation, entry.raw().clone()));
        if self.invitations.len() > MAX_INVITATIONS {
            self.invitations.remove(0);
        }
        true
    }

    fn mail(&mut self, mail: Mail) {
        let Some((chat, rest)) = inbound::split(&mail.message) else { return mail.acknowledge() };
        let Some((kind, rest)) = rest.split_first().map(|(kind, rest)| (*kind, mail.message.slice_ref(rest)))
        else {
            return mail.acknowledge();
        };
        if kind == MAIL_INVITATION && !self.rooms.contains_key(&chat) {
            self.note_invitation(mail.from, chat, rest);
            return mail.acknowledge();
        }
        match self.room(&chat) {
            Some((hosted, now)) if kind == MAIL_FRAME => {
                hosted.room.handle_mail(mail.from, &rest, now);
                // Acknowledged when what it has brought is stored.
                hosted.mail.push(mail);
            }
            _ => mail.acknowledge(),
        }
    }
}

impl Out {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Opening { number, .. } | Self::Open { number, .. } => Some(*number),
            Self::Closed { .. } => None,
        }
    }

    /// Attempts that have failed since it was last open.
    fn failed(&self) -> u32 {
        match self {
            Self::Opening { failed, .. } | Self::Closed { failed, .. } => *failed,
            Self::Open { .. } => 0,
        }
    }

    fn close(&mut self, again: Option<Instant>) {
        let as_invitation = matches!(self, Self::Opening { as_invitation: true, .. });
        if let Self::Opening { task, .. } | Self::Open { task, .. } = self {
            task.abort();
        }
        let failed = if again.is_some() { self.failed().saturating_add(1) } else { 0 };
        *self = Self::Closed { again, failed, as_invitation };
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// How soon a channel that failed is opened again; twice as long after each failure.
const RETRY: Duration = Duration::from_secs(1);

/// How soon an invitation is repeated over a link that stays up.
const INVITE_AGAIN: Duration = Duration::from_secs(60);

/// First byte of a message for a mailbox, after the chat's id: the leader's first entry follows.
const MAIL_INVITATION: u8 = 0;

/// The same: a frame follows.
const MAIL_FRAME: u8 = 1;

//! What the screen shows: messages in their order, who is there, what is typed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::event::{Event, Happened};
use crate::request::Request;

use super::editor::Editor;

/// Typing that nobody has ended is forgotten after so long.
const TYPING: Duration = Duration::from_secs(30);

/// See the module's page.
#[derive(Debug, Default)]
pub(in crate::chat) struct Model {
    chat: Option<String>,
    pub(super) room: String,
    pub(super) joined: bool,
    pub(super) members: Vec<Member>,
    /// By their place in the history.
    pub(super) messages: BTreeMap<String, Message>,
    places: HashMap<String, String>,
    /// The place of the first message that was not read when it came.
    pub(super) unread: Option<String>,
    /// The last message that was told to be read.
    read: Option<String>,
    pub(super) typing: BTreeMap<String, Instant>,
    pub(super) notice: Option<String>,
    pub(super) editor: Editor,
    /// Lines between the end of the history and what is shown last.
    pub(super) scrolled: usize,
    /// Somebody looks elsewhere.
    away: bool,
    /// Columns for messages, as they were drawn last; 0 before that.
    pub(super) width: usize,
}

/// Somebody in the chat.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) hashname: String,
    pub(super) name: String,
    /// `us`, `here`, `away` or `invited`.
    pub(super) state: String,
    pub(super) path: Option<String>,
    pub(super) devices: usize,
    pub(super) liar: bool,
}

/// One message.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) time_ms: u64,
    pub(super) text: String,
    pub(super) edited: bool,
    pub(super) own: bool,
    /// How many have received it, have read it, and how many there are.
    pub(super) delivery: Option<(u64, u64, u64)>,
}

impl Model {
    /// Whether there is a chat to be shown.
    pub(super) fn is_open(&self) -> bool {
        self.chat.is_some()
    }

    pub(super) fn chat(&self) -> Option<&str> {
        self.chat.as_deref()
    }

    /// What to say about an event before there is a chat.
    pub(super) fn before_opening(&self, event: &Event) -> Option<String> {
        match event {
            Event::Happened(Happened::Ready { invite: Some(invite), .. }) => {
                Some(format!("waiting; whoever should chat with you runs:\n  telemesh chat '{invite}'"))
            }
            Event::Happened(Happened::Ready { .. }) => Some("waiting for an invitation to a chat".to_owned()),
            _ => None,
        }
    }

    /// Takes an event in.
    pub(super) fn happened(&mut self, event: &Event) {
        let Event::Happened(happened) = event else { return };
        match happened {
            Happened::Chat { chat, room, joined, .. } => {
                self.chat = Some(chat.clone());
                self.room.clone_from(room);
                self.joined = *joined;
            }
            Happened::Member { hashname, name, state, path, devices, two_versions, .. } => {
                let member = Member {
                    hashname: hashname.clone(),
                    name: name.clone(),
                    state: state.clone(),
                    path: path.clone(),
                    devices: devices.len(),
                    liar: two_versions.is_some(),
                };
                match self.members.iter_mut().find(|known| known.hashname == *hashname) {
                    Some(known) => *known = member,
                    None => self.members.push(member),
                }
            }
            Happened::ChatMessage { id, place, name, time_ms, text, edited, own, new, .. } => {
                let delivery = self.message(id).and_then(|known| known.delivery);
                let known = self.places.insert(id.clone(), place.clone()).is_some();
                self.typing.remove(name);
                let message = Message {
                    id: id.clone(),
                    name: name.clone(),
                    time_ms: *time_ms,
                    text: text.clone(),
                    edited: *edited,
                    own: *own,
                    delivery,
                };
                if self.scrolled > 0 && !known && self.width > 0 {
                    // What is looked at stays where it is.
                    self.scrolled += super::view::rows(&message, self.width);
                }
                self.messages.insert(place.clone(), message);
                let unseen = self.away || self.scrolled > 0 || self.width == 0;
                if *new && !known && unseen && self.unread.as_ref().is_none_or(|unread| place < unread) {
                    // What is looked at stays where it is, although the mark takes a row.
                    self.scrolled += usize::from(self.scrolled > 0 && self.unread.is_none());
                    self.unread = Some(place.clone());
                }
            }
            Happened::Delivery { id, received, read, of } => {
                let place = self.places.get(id);
                if let Some(message) = place.and_then(|place| self.messages.get_mut(place)) {
                    message.delivery = Some((*received, *read, *of));
                }
            }
            Happened::Typing { name, typing: true, .. } => {
                self.typing.insert(name.clone(), Instant::now());
            }
            Happened::Typing { name, typing: false, .. } => drop(self.typing.remove(name)),
            Happened::Warning { text } => self.notice(text.clone()),
            _ => {}
        }
    }

    fn message(&self, id: &str) -> Option<&Message> {
        self.messages.get(self.places.get(id)?)
    }

    /// Says something in the line above the input, until the next thing is said there.
    pub(super) fn notice(&mut self, text: String) {
        self.notice = Some(text);
    }

    /// Somebody looks at the screen, or elsewhere.
    pub(super) fn focus(&mut self, here: bool) {
        self.away = !here;
    }

    /// What is to be told to be read: all that is shown, when somebody looks at the end.
    pub(super) fn read(&mut self) -> Option<Request> {
        if self.away || self.scrolled > 0 {
            return None;
        }
        let last = self.messages.values().rev().find(|message| !message.own)?.id.clone();
        if self.read.as_ref() == Some(&last) {
            return None;
        }
        self.read = Some(last.clone());
        Some(Request::ChatRead { chat: self.chat.clone()?, message: last })
    }

    pub(super) fn ask_typing(&self, typing: bool) -> Option<Request> {
        Some(Request::ChatTyping { chat: self.chat.clone()?, typing })
    }

    pub(super) fn forget_typing(&mut self) {
        self.typing.retain(|_, since| since.elapsed() < TYPING);
    }

    /// Ten lines towards older messages, or towards newer ones.
    pub(super) fn scroll(&mut self, older: bool) {
        self.scrolled =
            if older { self.scrolled.saturating_add(PAGE) } else { self.scrolled.saturating_sub(PAGE) };
    }

    /// Shows the end. What was new has been seen.
    pub(super) fn show_end(&mut self) {
        self.scrolled = 0;
        self.unread = None;
        self.notice = None;
    }

    /// Our last message, to be edited.
    pub(super) fn edit_last(&mut self) {
        if let Some(last) = self.messages.values().rev().find(|message| message.own) {
            self.editor.set(&format!("/edit {}", last.text));
        }
    }

    /// Who is there, in a line.
    pub(super) fn who(&self) -> String {
        let word = |member: &Member| format!("{} {}", member.name, member.state);
        self.members.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    /// Messages of others at or after the mark.
    pub(super) fn new_messages(&self) -> usize {
        let Some(unread) = &self.unread else { return 0 };
        self.messages.range(unread.clone()..).filter(|(_, message)| !message.own).count()
    }
}

const PAGE: usize = 10;

//! What entries say: that the chat begins, who joins, who somebody is, and texts.

use bytes::Bytes;
use telemesh_hashname::Hashname;

use crate::codec::{Reader, Writer};
use crate::error::{ChatError, DecodeError};
use crate::id::{EntryId, ParticipantKey};
use crate::limits::{
    MAX_AKA, MAX_ALTERNATE_BYTES, MAX_ALTERNATES, MAX_CONTENT, MAX_LINK, MAX_MEDIA_TYPE, MAX_NAME, MAX_REFS,
    MAX_TEXT,
};
use crate::name::Name;

/// The content of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The chat begins. The leader's first entry, and nobody else's.
    Create {
        /// The chat's name.
        name: Name,
        /// The leader's endpoint.
        hashname: Hashname,
    },
    /// Somebody is a participant from now on. Only the leader says so.
    Join {
        /// Their endpoint.
        hashname: Hashname,
        /// Their key for this chat.
        key: ParticipantKey,
    },
    /// Who the sender is. The last one counts.
    Profile(Profile),
    /// A text, new or instead of the sender's last one.
    Text(Text),
    /// Of a later version: kept and relayed, not shown.
    Other {
        /// Its kind.
        kind: u8,
        /// Its bytes.
        bytes: Bytes,
    },
}

/// Who a participant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What they call themselves.
    pub name: Name,
    /// Where they can be linked to: a link URI without a secret, or nothing. At most [`MAX_LINK`] bytes.
    pub link: String,
    /// The keys of the same person's other devices. It counts when both name each other.
    pub aka: Vec<ParticipantKey>,
}

/// A text with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// At most [`MAX_TEXT`] bytes, any characters: escape it before it reaches a terminal.
    pub text: String,
    /// The sender's last text, which this one replaces. If it is not the last one, this is a text of its own.
    pub edits: Option<EntryId>,
    /// Earlier messages that it is about.
    pub refs: Vec<EntryId>,
    /// The same in other forms.
    pub alternates: Vec<Alternate>,
}

/// A text in another form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// Which form, as in RFC 6838; at most [`MAX_MEDIA_TYPE`] bytes of visible ASCII.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Text {
    /// That it can be sent.
    ///
    /// # Errors
    /// [`ChatError`]: empty, or larger than it may be.
    pub fn check(&self) -> Result<(), ChatError> {
        if self.text.len() > MAX_TEXT {
            return Err(ChatError::TooLong { length: self.text.len() });
        }
        if self.text.is_empty() && self.alternates.is_empty() {
            return Err(ChatError::Empty);
        }
        let bytes: usize = self.alternates.iter().map(|alternate| alternate.bytes.len()).sum();
        let types = self.alternates.iter().all(|alternate| is_media_type(&alternate.media_type));
        if self.refs.len() > MAX_REFS
            || self.alternates.len() > MAX_ALTERNATES
            || bytes > MAX_ALTERNATE_BYTES
            || !types
        {
            return Err(ChatError::TooMuch);
        }
        Ok(())
    }
}

impl Profile {
    /// One with a name only.
    #[must_use]
    pub fn named(name: Name) -> Self {
        Self { name, link: String::new(), aka: Vec::new() }
    }

    pub(crate) fn is_sendable(&self) -> bool {
        self.link.len() <= MAX_LINK && self.aka.len() <= MAX_AKA
    }
}

fn is_media_type(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_MEDIA_TYPE && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Content {
    pub(crate) fn write(&self, out: &mut Writer) {
        let mut inner = Writer::default();
        let kind = match self {
            Self::Create { name, hashname } => {
                inner.bytes(name.as_str().as_bytes()).raw(hashname.as_bytes());
                CREATE
            }
            Self::Join { hashname, key } => {
                inner.raw(hashname.as_bytes()).raw(key.as_bytes());
                JOIN
            }
            Self::Profile(profile) => {
                inner.bytes(profile.name.as_str().as_bytes()).bytes(profile.link.as_bytes());
                write_list(&mut inner, &profile.aka, ParticipantKey::as_bytes);
                PROFILE
            }
            Self::Text(text) => {
                write_text(&mut inner, text);
                TEXT
            }
            Self::Other { kind, bytes } => {
                inner.raw(bytes);
                *kind
            }
        };
        out.u8(kind).bytes(&inner.finish());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8()?;
        let bytes = reader.bytes("content", MAX_CONTENT)?;
        let mut inner = Reader::new(bytes);
        let content = match kind {
            CREATE => Self::Create {
                name: inner.text("name", MAX_NAME)?.parse()?,
                hashname: Hashname::from_bytes(inner.array()?),
            },
            JOIN => Self::Join {
                hashname: Hashname::from_bytes(inner.array()?),
                key: ParticipantKey::from_bytes(inner.array()?),
            },
            PROFILE => Self::Profile(Profile {
                name: inner.text("name", MAX_NAME)?.parse()?,
                link: inner.text("link", MAX_LINK)?.to_owned(),
                aka: read_list(&mut inner, "aka", MAX_AKA, ParticipantKey::from_bytes)?,
            }),
            TEXT => Self::Text(read_text(&mut inner)?),
            kind => return Ok(Self::Other { kind, bytes: Bytes::copy_from_slice(bytes) }),
        };
        inner.end()?;
        Ok(content)
    }
}

fn write_text(out: &mut Writer, text: &Text) {
    out.bytes(text.text.as_bytes()).u8(u8::from(text.edits.is_some()));
    if let Some(edited) = &text.edits {
        out.raw(edited.as_bytes());
    }
    write_list(out, &text.refs, EntryId::as_bytes);
    out.count(text.alternates.len());
    for alternate in &text.alternates {
        out.bytes(alternate.media_type.as_bytes()).bytes(&alternate.bytes);
    }
}

fn read_text(reader: &mut Reader<'_>) -> Result<Text, DecodeError> {
    let text = reader.text("text", MAX_TEXT)?.to_owned();
    let edits = if reader.flag()? { Some(EntryId::from_bytes(reader.array()?)) } else { None };
    let refs = read_list(reader, "refs", MAX_REFS, EntryId::from_bytes)?;
    let mut alternates = Vec::new();
    let mut room = MAX_ALTERNATE_BYTES;
    for _ in 0..reader.count("alternates", MAX_ALTERNATES)? {
        let media_type = reader.text("media type", MAX_MEDIA_TYPE)?;
        if !is_media_type(media_type) {
            return Err(DecodeError::Malformed);
        }
        let bytes = reader.bytes("alternates", room)?;
        room = room.saturating_sub(bytes.len());
        alternates
            .push(Alternate { media_type: media_type.to_owned(), bytes: Bytes::copy_from_slice(bytes) });
    }
    Ok(Text { text, edits, refs, alternates })
}

fn write_list<T>(out: &mut Writer, list: &[T], bytes: impl Fn(&T) -> &[u8; 32]) {
    out.count(list.len());
    for item in list {
        out.raw(bytes(item));
    }
}

pub(crate) fn read_list<T>(
    reader: &mut Reader<'_>,
    what: &'static str,
    limit: usize,
    make: impl Fn([u8; 32]) -> T,
) -> Result<Vec<T>, DecodeError> {
    (0..reader.count(what, limit)?).map(|_| reader.array().map(&make)).collect()
}

const CREATE: u8 = 1;
const JOIN: u8 = 2;
const PROFILE: u8 = 3;
const TEXT: u8 = 4;

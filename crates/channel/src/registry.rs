//! Which handler answers which channel type, and what a type may be called.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use telemesh_wire::limits::MAX_CHANNEL_TYPE_LENGTH;
use telemesh_wire::{ChannelKind, Open};

use crate::error::{HandleError, OpenError};
use crate::handler::Handler;

/// Longest part between two dots, in bytes, as in DNS (RFC 1035, section 2.3.4).
const MAX_TYPE_LABEL: usize = 63;

/// The types that the project itself defines. Short words are kept for it, so that a later one meets no application's.
const BUILT_IN: &[&str] =
    &["path", "peer", "connect", "stream", "sock", "thtp", "ws", "chat", "box", "outbox", "boxes", "inbox"];

/// Checks the name of a channel type: a built-in word (`stream`, `sock`, …), or a reverse-domain name like
/// `org.example.thing`: two or more parts between dots, each of lower-case letters, digits, hyphens and underscores, not
/// empty and at most 63 bytes, 253 together.
///
/// # Errors
/// The rule that the name breaks.
pub fn check_channel_type(name: &str) -> Result<(), &'static str> {
    if BUILT_IN.contains(&name) {
        return Ok(());
    }
    if name.len() > MAX_CHANNEL_TYPE_LENGTH {
        return Err("a channel type has at most 253 bytes");
    }
    if !name.contains('.') {
        return Err("only built-in types are single words; applications use a reverse-domain name");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("a part between dots is empty");
        }
        if label.len() > MAX_TYPE_LABEL {
            return Err("a part between dots has at most 63 bytes");
        }
        if !label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
        {
            return Err("only lower-case letters, digits, hyphens, underscores and dots");
        }
    }
    Ok(())
}

/// Checks an open message before it is sent, as every carrier does: the type's name, the kind that goes with the call, and
/// the limits of the wire.
///
/// # Errors
/// [`OpenError`] naming what is wrong.
pub fn check_open(open: &Open, kind: ChannelKind) -> Result<(), OpenError> {
    check_channel_type(&open.channel_type).map_err(OpenError::InvalidType)?;
    if open.kind != kind {
        return Err(OpenError::WrongKind(open.kind));
    }
    Ok(open.check()?)
}

/// The handlers of one endpoint, for all its links.
#[derive(Default)]
pub struct Registry {
    /// Read for each channel that is opened, written a handful of times in a program's life.
    handlers: RwLock<HashMap<Arc<str>, Arc<dyn Handler>>>,
}

impl Registry {
    /// No handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the one handler of a type. A retired handler ([`Handler::is_retired`]) gives its place up.
    ///
    /// # Errors
    /// [`HandleError`]: the name breaks the rules, or the type has a handler.
    pub fn insert(&self, channel_type: &str, handler: Arc<dyn Handler>) -> Result<(), HandleError> {
        check_channel_type(channel_type)
            .map_err(|reason| HandleError::InvalidType { name: channel_type.to_owned(), reason })?;
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        match handlers.entry(Arc::from(channel_type)) {
            Entry::Occupied(entry) if !entry.get().is_retired() => {
                Err(HandleError::Taken(channel_type.to_owned()))
            }
            Entry::Occupied(mut entry) => {
                entry.insert(handler);
                Ok(())
            }
            Entry::Vacant(entry) => {
                entry.insert(handler);
                Ok(())
            }
        }
    }

    /// The handler of a type, and the name as it is kept here.
    pub(crate) fn find(&self, channel_type: &str) -> Option<(Arc<str>, Arc<dyn Handler>)> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let (name, handler) = handlers.get_key_value(channel_type)?;
        (!handler.is_retired()).then(|| (Arc::clone(name), Arc::clone(handler)))
    }

    /// The types that have a handler, in alphabetical order.
    pub fn channel_types(&self) -> Vec<Arc<str>> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let mut types: Vec<_> = handlers
            .iter()
            .filter(|(_, handler)| !handler.is_retired())
            .map(|(name, _)| Arc::clone(name))
            .collect();
        types.sort_unstable();
        types
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Registry").field(&self.channel_types()).finish()
    }
}

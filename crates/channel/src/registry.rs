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
const BUILT_IN: &[&str] = &[
    "path", "peer", "connect", "stream", "files", "sock", "thtp", "ws", "chat", "box", "outbox", "boxes",
    "inbox",
];

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

    /// The handler of a type, unless it is retired.
    pub fn get(&self, channel_type: &str) -> Option<Arc<dyn Handler>> {
        self.find(channel_type).map(|(_, handler)| handler)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_core::future::BoxFuture;

    use super::*;
    use crate::incoming::Incoming;

    fn noop() -> Arc<dyn Handler> {
        Arc::new(|_: Incoming| async {})
    }

    #[test]
    fn names_that_are_allowed() {
        let longest_label = format!("org.{}", "a".repeat(63));
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        assert_eq!(longest.len(), MAX_CHANNEL_TYPE_LENGTH);
        for name in ["stream", "box", "org.example", "org.example.my-thing_2", &longest_label, &longest] {
            assert_eq!(check_channel_type(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_are_not_allowed() {
        let label_past = format!("org.{}", "a".repeat(64));
        let past = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62));
        assert_eq!(past.len(), MAX_CHANNEL_TYPE_LENGTH + 1);
        for name in [
            "",
            "thing",
            "Stream",
            ".",
            "org.",
            ".org",
            "org..thing",
            "org.Example",
            "org.exa mple",
            "org.exämple",
            "org.example\n",
            "org.a/b",
            &label_past,
            &past,
        ] {
            assert!(check_channel_type(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_second_handler_of_a_type_is_an_error_and_changes_nothing() {
        let registry = Registry::new();
        let first = noop();
        registry.insert("org.example.thing", Arc::clone(&first)).unwrap();
        let error = registry.insert("org.example.thing", noop()).unwrap_err();
        assert_eq!(error, HandleError::Taken("org.example.thing".to_owned()));
        let (_, found) = registry.find("org.example.thing").unwrap();
        assert!(Arc::ptr_eq(&found, &first));
    }

    #[test]
    fn a_name_that_is_not_allowed_gets_no_handler() {
        let error = Registry::new().insert("thing", noop()).unwrap_err();
        assert!(matches!(error, HandleError::InvalidType { name, .. } if name == "thing"));
    }

    struct Retiring(Arc<AtomicBool>);

    impl Handler for Retiring {
        fn handle(&self, _incoming: Incoming) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }

        fn is_retired(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_retired_handler_is_not_found_and_gives_its_place_up() {
        let registry = Registry::new();
        let retired = Arc::new(AtomicBool::new(false));
        registry.insert("stream", Arc::new(Retiring(Arc::clone(&retired)))).unwrap();
        assert_eq!(registry.channel_types(), [Arc::from("stream")]);
        retired.store(true, Ordering::Relaxed);
        assert!(registry.find("stream").is_none());
        assert!(registry.channel_types().is_empty());
        registry.insert("stream", noop()).unwrap();
        assert!(registry.find("stream").is_some());
    }

    #[test]
    fn a_handler_can_be_looked_into_by_whoever_has_registered_it() {
        let registry = Registry::new();
        assert!(registry.get("stream").is_none());
        let retired = Arc::new(AtomicBool::new(false));
        registry.insert("stream", Arc::new(Retiring(Arc::clone(&retired)))).unwrap();
        let handler = registry.get("stream").unwrap();
        let handler: &dyn std::any::Any = &*handler;
        assert!(handler.downcast_ref::<Retiring>().is_some());
        retired.store(true, Ordering::Relaxed);
        assert!(registry.get("stream").is_none());
    }

    #[test]
    fn an_open_message_of_the_other_kind_or_over_its_size_is_not_sent() {
        let open = Open::reliable("org.example.thing");
        assert_eq!(check_open(&open, ChannelKind::Reliable), Ok(()));
        assert_eq!(
            check_open(&open, ChannelKind::Unreliable),
            Err(OpenError::WrongKind(ChannelKind::Reliable))
        );
        let overhead = open.clone().with_body(vec![0; 60_000]).encoded_length() - 60_000;
        let max = telemesh_wire::limits::MAX_OPEN_LENGTH - overhead;
        assert_eq!(check_open(&open.clone().with_body(vec![0; max]), ChannelKind::Reliable), Ok(()));
        assert!(matches!(
            check_open(&open.with_body(vec![0; max + 1]), ChannelKind::Reliable),
            Err(OpenError::Invalid(_))
        ));
    }
}

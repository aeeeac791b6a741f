//! The `path` channel: the two ends of a link tell each other where they can be reached, and then try it at the same time.
//!
//! One message, nothing comes back: a byte of flags (1: the sender wants to know the same; 2: it has begun to try many ports where
//! the receiver is, and so should the receiver), and the sender's link JSON without keys. What the paths are good for only a probe of the link shows, so a message that is a lie costs a few probes, within the
//! budget of `telemesh-link`.
//!
//! Install [`PathService`] in an endpoint; the facade does.

use std::sync::Arc;

use telemesh_channel::limited;
use telemesh_channel::{
    ChannelKind, Endpoint, HandleError, Incoming, LinkInfo, Need, Open, OpenError, Opener, Service,
};

/// The type of the channel.
pub const PATH: &str = "path";

/// The flag of a message whose sender wants to know where the receiver is.
pub const ASK: u8 = 1;

/// The flag of a message whose sender has begun to try many ports where the receiver is, so that the receiver does the same.
pub const BIRTHDAY: u8 = 2;

/// Messages of one peer that are worked on at a time. Each takes microseconds, so more would be a flood.
const MAX_OPEN: usize = 16;

/// Carries comparisons of paths: see the crate's page.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct PathService;

impl PathService {
    /// A service for any endpoint.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Service for PathService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let own = endpoint.clone();
        let handler = move |incoming: Incoming| {
            received(&*own, &incoming);
            std::future::ready(())
        };
        endpoint.handle(PATH, Arc::new(limited(MAX_OPEN, handler)))
    }

    fn serve(&self, need: &Need) -> bool {
        let Need::Comparison { peer, info, ask, birthday } = need else { return false };
        let flags = if *ask { ASK } else { 0 } | if *birthday { BIRTHDAY } else { 0 };
        tell(&**peer, info.clone(), flags);
        true
    }
}

fn received(endpoint: &dyn Endpoint, incoming: &Incoming) {
    if incoming.kind() != ChannelKind::Unreliable {
        return;
    }
    if let Some((info, flags)) = decode(&incoming.open().body) {
        endpoint.compared(&incoming.peer(), &info, flags & ASK != 0, flags & BIRTHDAY != 0);
    }
}

/// Sends as many paths as fit in a message, those in front first.
fn tell(peer: &dyn Opener, mut info: LinkInfo, flags: u8) {
    loop {
        let open = Open::unreliable(PATH).with_body(encode(&info, flags));
        match peer.notify(open) {
            Err(OpenError::TooLarge { .. }) if !info.paths().is_empty() => info = without_last(&info),
            // What is lost is sent again with the next comparison.
            _ => return,
        }
    }
}

fn without_last(info: &LinkInfo) -> LinkInfo {
    let kept = info.paths().len().saturating_sub(1);
    let shorter = LinkInfo::unresolved(info.hashname());
    info.paths()
        .iter()
        .take(kept)
        .fold(shorter, |info, path| info.clone().with_path(path.clone()).unwrap_or(info))
}

/// The body of a message: its flags are [`ASK`] and [`BIRTHDAY`].
#[must_use]
pub fn encode(info: &LinkInfo, flags: u8) -> Vec<u8> {
    let mut body = vec![flags];
    body.extend_from_slice(info.to_json().as_bytes());
    body
}

/// Reads what [`encode`] wrote; `None` for anything else.
#[must_use]
pub fn decode(body: &[u8]) -> Option<(LinkInfo, u8)> {
    let (&flags, json) = body.split_first().filter(|(flags, _)| **flags <= ASK | BIRTHDAY)?;
    let info = LinkInfo::from_json(std::str::from_utf8(json).ok()?).ok()?;
    Some((info, flags))
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! The `path` channel: the two ends of a link tell each other where they can be reached, and then try it at the same time.
//!
//! One message, nothing comes back: a byte that says whether the sender wants to know the same, and the sender's link JSON without
//! keys. What the paths are good for only a probe of the link shows, so a message that is a lie costs a few probes, within the
//! budget of `telemesh-link`.
//!
//! Install [`PathService`] in an endpoint; the facade does.

use std::sync::{Arc, OnceLock};

use telemesh_channel::limited;
use telemesh_channel::{
    ChannelKind, Endpoint, HandleError, Incoming, LinkInfo, Need, Open, OpenError, Opener, Service,
};

/// The type of the channel.
pub const PATH: &str = "path";

/// Messages of one peer that are worked on at a time. Each takes microseconds, so more would be a flood.
const MAX_OPEN: usize = 16;

/// Carries comparisons of paths: see the crate's page.
#[derive(Default)]
pub struct PathService {
    endpoint: OnceLock<Arc<dyn Endpoint>>,
}

impl PathService {
    /// A service for one endpoint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn received(&self, incoming: &Incoming) {
        if incoming.kind() != ChannelKind::Unreliable {
            return;
        }
        if let (Some(endpoint), Some((info, asks))) = (self.endpoint.get(), decode(&incoming.open().body)) {
            endpoint.compared(&incoming.peer(), &info, asks);
        }
    }
}

impl Service for PathService {
    fn install(self: Arc<Self>, endpoint: Arc<dyn Endpoint>) -> Result<(), HandleError> {
        let service = self.clone();
        let handler = move |incoming: Incoming| {
            service.received(&incoming);
            std::future::ready(())
        };
        endpoint.handle(PATH, Arc::new(limited(MAX_OPEN, handler)))?;
        // A service that is installed twice stays with its first endpoint.
        let _ = self.endpoint.set(endpoint);
        Ok(())
    }

    fn serve(&self, need: &Need) -> bool {
        let Need::Comparison { peer, info, ask } = need else { return false };
        tell(&**peer, info.clone(), *ask);
        true
    }
}

/// Sends as many paths as fit in a message, those in front first.
fn tell(peer: &dyn Opener, mut info: LinkInfo, ask: bool) {
    loop {
        let open = Open::unreliable(PATH).with_body(encode(&info, ask));
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

/// The body of a message.
#[must_use]
pub fn encode(info: &LinkInfo, ask: bool) -> Vec<u8> {
    let mut body = vec![u8::from(ask)];
    body.extend_from_slice(info.to_json().as_bytes());
    body
}

/// Reads what [`encode`] wrote; `None` for anything else.
#[must_use]
pub fn decode(body: &[u8]) -> Option<(LinkInfo, bool)> {
    let (&[ask @ (0 | 1)], json) = body.split_first_chunk()? else { return None };
    let info = LinkInfo::from_json(std::str::from_utf8(json).ok()?).ok()?;
    Some((info, ask == 1))
}

/// The README's program is compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

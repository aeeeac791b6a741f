//! Which endpoints keep our messages for whom.

use std::collections::HashMap;

use telemesh_hashname::Hashname;

/// The endpoints that messages are left with when their recipient is away.
///
/// For each recipient those named for it; else those that it has told to keep its messages, as far as we have links with
/// them and they have not refused; else, and while none of those is up, those named for all, which are ours. An endpoint takes
/// messages if its owner granted us `box`. Ours are told to those we have links with, see
/// [`Builder::tell_caches`](crate::Builder::tell_caches).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    all: Vec<Hashname>,
    named: HashMap<Hashname, Vec<Hashname>>,
}

impl Caches {
    /// None: messages wait here until their recipient comes.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These for every recipient.
    #[must_use]
    pub fn for_all(caches: impl IntoIterator<Item = Hashname>) -> Self {
        Self { all: caches.into_iter().collect(), named: HashMap::new() }
    }

    /// The same, but these for every recipient that has none of its own.
    #[must_use]
    pub fn with_all(mut self, caches: impl IntoIterator<Item = Hashname>) -> Self {
        self.all = caches.into_iter().collect();
        self
    }

    /// The same, but these for this recipient; none of them means that its messages wait here.
    #[must_use]
    pub fn with(mut self, recipient: Hashname, caches: impl IntoIterator<Item = Hashname>) -> Self {
        self.named.insert(recipient, caches.into_iter().collect());
        self
    }

    /// The same, with one more for every recipient that has none of its own.
    #[must_use]
    pub fn and(mut self, cache: Hashname) -> Self {
        if !self.all.contains(&cache) {
            self.all.push(cache);
        }
        self
    }

    /// Those named for a recipient; `None` if it is not said.
    #[must_use]
    pub fn named(&self, recipient: &Hashname) -> Option<&[Hashname]> {
        self.named.get(recipient).map(Vec::as_slice)
    }

    /// Those named for all.
    #[must_use]
    pub fn all(&self) -> &[Hashname] {
        &self.all
    }

    /// Whether this endpoint is one of them for anybody.
    #[must_use]
    pub fn contains(&self, cache: &Hashname) -> bool {
        self.all.contains(cache) || self.named.values().any(|caches| caches.contains(cache))
    }
}

//! Which endpoints keep our messages for whom.

use std::collections::HashMap;

use telemesh_hashname::Hashname;

/// The endpoints that messages are left with when their recipient is away: for each recipient those named for it, else
/// those named for all. Ours, theirs or anybody's: an endpoint takes messages if its owner granted us `box`.
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

    /// Those for a recipient.
    #[must_use]
    pub fn of(&self, recipient: &Hashname) -> &[Hashname] {
        self.named.get(recipient).unwrap_or(&self.all)
    }

    /// Whether this endpoint is one of them for anybody.
    #[must_use]
    pub fn contains(&self, cache: &Hashname) -> bool {
        self.all.contains(cache) || self.named.values().any(|caches| caches.contains(cache))
    }
}

//! What a contact may do: grants, and sets of them.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Bytes of the longest grant: a kind, a colon, and a host name with a port or two.
pub const MAX_GRANT_BYTES: usize = 320;

/// Grants of one contact: more would be a list of rules, and belong in the policy of a service.
pub const MAX_GRANTS: usize = 64;

/// One thing that a contact may do: a kind (`link`, `serve`, `router`, `box`) and, for some, what it may do it to
/// (`sock:10.0.0.1:22`).
///
/// Grants are plain text. The service that a kind belongs to gives it its meaning; unknown kinds are kept.
///
/// ```
/// let grant: telemesh_mesh::Grant = "sock:10.0.0.1:22".parse()?;
/// assert_eq!((grant.kind(), grant.target()), ("sock", Some("10.0.0.1:22")));
/// # Ok::<(), telemesh_mesh::ParseGrantError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant(String);

/// The text is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseGrantError {
    /// The kind is empty or has other characters than a-z, 0-9 and `-`.
    #[error(
        "a grant is a kind of a-z, 0-9 and -, like link, or a kind, a colon and a target, like sock:10.0.0.1:22"
    )]
    Kind,
    /// There is a colon and nothing behind it, or a space or control character in it.
    #[error("the target of a grant is not empty and has no spaces or control characters")]
    Target,
    /// More than [`MAX_GRANT_BYTES`].
    #[error("a grant has at most {MAX_GRANT_BYTES} bytes")]
    TooLong,
}

impl Grant {
    /// To link at all. Every contact is made with it; one without it is known and still meets silence.
    pub const LINK: &str = "link";

    /// What is in front of the colon.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(kind, _)| kind)
    }

    /// What is behind the colon.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, target)| target)
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Grant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_GRANT_BYTES {
            return Err(ParseGrantError::TooLong);
        }
        let (kind, target) = match text.split_once(':') {
            Some((kind, target)) => (kind, Some(target)),
            None => (text, None),
        };
        let in_kind = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.is_empty() || !kind.chars().all(in_kind) {
            return Err(ParseGrantError::Kind);
        }
        let unfit = |c: char| c.is_whitespace() || c.is_control();
        if target.is_some_and(|target| target.is_empty() || target.chars().any(unfit)) {
            return Err(ParseGrantError::Target);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant({})", self.0)
    }
}

impl Borrow<str> for Grant {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// There are [`MAX_GRANTS`] grants already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a contact has at most {MAX_GRANTS} grants")]
pub struct TooManyGrants;

/// All that a contact may do, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Grant>);

impl Grants {
    /// Nothing at all, not even to link.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// To link, and nothing else that needs a grant: what every new contact has.
    #[must_use]
    pub fn link() -> Self {
        Self(BTreeSet::from([Grant(Grant::LINK.to_owned())]))
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`TooManyGrants`].
    pub fn insert(&mut self, grant: Grant) -> Result<(), TooManyGrants> {
        if self.0.len() >= MAX_GRANTS && !self.0.contains(&grant) {
            return Err(TooManyGrants);
        }
        self.0.insert(grant);
        Ok(())
    }

    /// Takes one away. Whether it was there.
    pub fn remove(&mut self, grant: &str) -> bool {
        self.0.remove(grant)
    }

    /// Whether exactly this one is there.
    #[must_use]
    pub fn contains(&self, grant: &str) -> bool {
        self.0.contains(grant)
    }

    /// Those of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Grant> {
        self.0.iter().filter(move |grant| grant.kind() == kind)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of another set, as far as there is room.
    pub(crate) fn extend(&mut self, others: &Self) {
        for grant in &others.0 {
            // Both sets have a few grants: whoever gets to the limit has lost count.
            let _ = self.insert(grant.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_a_kind_with_or_without_a_target() {
        for good in ["link", "sock:10.0.0.1:22", "sock:[::1]:22", "x-2:ü"] {
            let grant: Grant = good.parse().unwrap();
            assert_eq!(grant.to_string(), good);
            assert_eq!(grant.kind().len() + grant.target().map_or(0, |target| target.len() + 1), good.len());
        }
        for bad in ["", ":", ":22", "Link", "li nk", "ünk"] {
            assert_eq!(bad.parse::<Grant>(), Err(ParseGrantError::Kind), "{bad}");
        }
        for bad in ["sock:", "sock:a b", "sock:a\n", "sock:\u{7f}"] {
            assert_eq!(bad.parse::<Grant>(), Err(ParseGrantError::Target), "{bad}");
        }
    }

    #[test]
    fn the_longest_grant_is_one_and_a_longer_one_is_not() {
        let longest = format!("sock:{}", "a".repeat(MAX_GRANT_BYTES - 5));
        assert!(longest.parse::<Grant>().is_ok());
        assert_eq!(format!("{longest}a").parse::<Grant>(), Err(ParseGrantError::TooLong));
    }

    #[test]
    fn a_set_is_full_at_its_limit() {
        let mut grants = Grants::none();
        for number in 0..MAX_GRANTS {
            grants.insert(format!("g{number}").parse().unwrap()).unwrap();
        }
        assert_eq!(grants.insert("one-more".parse().unwrap()), Err(TooManyGrants));
        grants.insert("g0".parse().unwrap()).unwrap();
        assert!(grants.remove("g0") && !grants.remove("g0"));
        grants.insert("one-more".parse().unwrap()).unwrap();
        assert_eq!(grants.len(), MAX_GRANTS);
    }
}

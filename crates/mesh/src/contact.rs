//! Whom an endpoint trusts: who they are, what the application calls them, and what they may do.

use std::fmt;
use std::str::FromStr;

use telemesh_hashname::Hashname;
use telemesh_wire::LinkInfo;

use crate::grant::Grants;

/// Characters of the longest name of a contact: as many as a label of a host name may have (RFC 1035 section 2.3.4), since names
/// become host names.
pub const MAX_NAME: usize = 63;

/// What the application calls a contact. Unlike a hashname it means something only here.
///
/// 1 to [`MAX_NAME`] letters, digits, `-`, `_` and `.`, of which the first is a letter or a digit. A hashname is no name: who is
/// meant must be clear.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactName(String);

/// The text cannot be the name of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNameError {
    /// Empty, or longer than [`MAX_NAME`].
    #[error("a contact's name has 1 to {MAX_NAME} characters")]
    Length,
    /// A character that is none of the permitted ones.
    #[error(
        "a contact's name consists of letters, digits, '-', '_' and '.', and starts with a letter or a digit"
    )]
    Character,
    /// It reads as a hashname.
    #[error("a hashname cannot be the name of a contact")]
    Hashname,
}

impl ContactName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContactName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(1..=MAX_NAME).contains(&text.chars().count()) {
            return Err(ParseNameError::Length);
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.chars().all(fits) || !text.starts_with(char::is_alphanumeric) {
            return Err(ParseNameError::Character);
        }
        if text.parse::<Hashname>().is_ok() {
            return Err(ParseNameError::Hashname);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactName({})", self.0)
    }
}

/// Somebody whom the endpoint trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    info: LinkInfo,
    name: Option<ContactName>,
    grants: Grants,
    /// It is one of our routers.
    router: bool,
}

impl Contact {
    /// A contact without a name that may link, and nothing else that needs a grant.
    #[must_use]
    pub fn new(info: LinkInfo) -> Self {
        Self { info, name: None, grants: Grants::link(), router: false }
    }

    /// Gives it a name, or takes its name away.
    #[must_use]
    pub fn with_name(mut self, name: Option<ContactName>) -> Self {
        self.name = name;
        self
    }

    /// Says all that it may do.
    #[must_use]
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Makes it one of our routers: it is asked to introduce us to others, and others are told that it leads to us.
    #[must_use]
    pub fn with_router(mut self, router: bool) -> Self {
        self.router = router;
        self
    }

    /// Whether it is one of our routers.
    #[must_use]
    pub fn is_router(&self) -> bool {
        self.router
    }

    /// Who it is.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.info.hashname()
    }

    /// Its hashname, keys and paths, as far as they were given.
    #[must_use]
    pub fn info(&self) -> &LinkInfo {
        &self.info
    }

    /// What it is called here.
    #[must_use]
    pub fn name(&self) -> Option<&ContactName> {
        self.name.as_ref()
    }

    /// What it may do.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The same with what `complete` makes of its information.
    pub(crate) fn completed(mut self, complete: impl FnOnce(&LinkInfo) -> LinkInfo) -> Self {
        self.info = complete(&self.info);
        self
    }

    /// Adds what was known about it before: keys that are missing here, and paths behind ours.
    pub(crate) fn learn_older(&mut self, info: &LinkInfo) {
        let newer = std::mem::replace(&mut self.info, info.clone());
        self.learn(&newer);
    }

    /// Takes over what somebody says about it: keys that were missing here, and paths in front of ours.
    pub(crate) fn learn(&mut self, info: &LinkInfo) {
        if info.hashname() != self.info.hashname() || *info == self.info {
            return;
        }
        let keys = if info.keys().is_empty() { self.info.keys() } else { info.keys() };
        let base = LinkInfo::new(keys.clone()).unwrap_or_else(|_| LinkInfo::unresolved(info.hashname()));
        let ours = self.info.paths().iter().filter(|path| !info.paths().contains(path));
        let paths = info.paths().iter().chain(ours);
        self.info = paths.fold(base, |info, path| match info.clone().with_path(path.clone()) {
            Ok(longer) => longer,
            // What was known longest goes when there is no room for all.
            Err(_) => info,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_people_type_and_nothing_that_reads_as_something_else() {
        for good in ["bob", "bob-2", "Zoë", "a.b_c", &"x".repeat(MAX_NAME), "7"] {
            assert_eq!(good.parse::<ContactName>().unwrap().as_str(), good);
        }
        let hashname = Hashname::from_bytes([7; 32]).to_string();
        for (bad, error) in [
            ("", ParseNameError::Length),
            (&*"x".repeat(MAX_NAME + 1), ParseNameError::Length),
            ("-", ParseNameError::Character),
            ("-rf", ParseNameError::Character),
            ("@file", ParseNameError::Character),
            ("a b", ParseNameError::Character),
            ("link://x", ParseNameError::Character),
            ("{}", ParseNameError::Character),
            ("a\u{202e}b", ParseNameError::Character),
            (&*hashname, ParseNameError::Hashname),
        ] {
            assert_eq!(bad.parse::<ContactName>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_contact_keeps_the_paths_that_it_had() {
        let peer = Hashname::from_bytes([7; 32]);
        let info = |paths: &[&str]| {
            paths.iter().fold(LinkInfo::unresolved(peer), |info, path| {
                info.with_path(path.parse::<telemesh_wire::PathAddress>().unwrap()).unwrap()
            })
        };
        let mut contact = Contact::new(info(&["udp:192.0.2.1:1", "udp:192.0.2.2:2"]));
        contact.learn(&info(&["udp:192.0.2.3:3", "udp:192.0.2.2:2"]));
        let expected = info(&["udp:192.0.2.3:3", "udp:192.0.2.2:2", "udp:192.0.2.1:1"]);
        assert_eq!(contact.info(), &expected);
    }
}

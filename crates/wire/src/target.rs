//! Whatever somebody may hand over as "link to this".

use std::fmt;
use std::str::FromStr;

use telemesh_hashname::{Hashname, ParseHashnameError};

use crate::link_info::{LinkInfo, LinkInfoError};
use crate::uri::{LinkUri, ParseLinkUriError};

/// An endpoint to link to, in one of the forms in which people pass it on: a URI, a link JSON, or a bare hashname.
///
/// Parsing tells them apart by how they begin, and ignores white space around them.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkTarget {
    /// Only the hashname: keys and paths must be known already or come from a router.
    Hashname(Hashname),
    /// Link JSON.
    Info(Box<LinkInfo>),
    /// A URI, maybe with an invite.
    Uri(Box<LinkUri>),
}

impl From<Hashname> for LinkTarget {
    fn from(hashname: Hashname) -> Self {
        Self::Hashname(hashname)
    }
}

impl From<LinkInfo> for LinkTarget {
    fn from(info: LinkInfo) -> Self {
        Self::Info(Box::new(info))
    }
}

impl From<LinkUri> for LinkTarget {
    fn from(uri: LinkUri) -> Self {
        Self::Uri(Box::new(uri))
    }
}

/// Why a text is none of the forms of a [`LinkTarget`]. The one is told that it looked most like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLinkTargetError {
    /// Neither a brace at the beginning nor `://` in it, and not a hashname.
    #[error("expected a link uri, link json or a hashname: {0}")]
    Hashname(#[from] ParseHashnameError),
    /// It begins with a brace.
    #[error(transparent)]
    Info(#[from] LinkInfoError),
    /// It has `://` in it.
    #[error(transparent)]
    Uri(#[from] ParseLinkUriError),
}

impl FromStr for LinkTarget {
    type Err = ParseLinkTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.starts_with('{') {
            Ok(LinkInfo::from_json(text)?.into())
        } else if text.contains("://") {
            Ok(text.parse::<LinkUri>()?.into())
        } else {
            Ok(text.parse::<Hashname>()?.into())
        }
    }
}

/// As it is parsed, but without an invite's secret and a router's tickets.
impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashname(hashname) => hashname.fmt(f),
            Self::Info(info) => info.hashname().fmt(f),
            Self::Uri(uri) => uri.fmt(f),
        }
    }
}

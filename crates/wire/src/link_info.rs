//! What somebody needs to know to link to an endpoint: hashname, keys, paths. Its JSON is in `link_json`.

use std::fmt;
use std::net::SocketAddr;

use telemesh_hashname::base32;
use telemesh_hashname::{Hashname, InsertError, ParseCipherSetIdError, ParseHashnameError, PublicKeys};

use crate::address::{ParsePathAddressError, PathAddress};
use crate::credential::Credential;
use crate::error::InvalidValue;
use crate::limits::MAX_PATHS;

/// Hashname, keys and paths of one endpoint.
///
/// The keys, where there are any, are those of the hashname: this is checked when one is made. The paths are hints, which
/// only a handshake proves.
///
/// ```
/// use telemesh_wire::{LinkInfo, PathAddress};
/// # let mut keys = telemesh_hashname::PublicKeys::new();
/// # keys.insert_key(telemesh_hashname::CipherSetId::CS11, &[1; 32])?;
/// # keys.insert_key(telemesh_hashname::CipherSetId::CS21, &[2; 32])?;
///
/// let address: PathAddress = "udp:192.0.2.1:42424".parse()?;
/// let info = LinkInfo::new(keys)?.with_path(address)?;
/// assert_eq!(LinkInfo::from_json(&info.to_json())?, info);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    hashname: Hashname,
    keys: PublicKeys,
    paths: Vec<PathHint>,
}

impl LinkInfo {
    /// The endpoint with these keys, of which digests suffice, as long as all are there.
    ///
    /// # Errors
    /// [`LinkInfoError::NoHashname`] when there are none.
    pub fn new(keys: PublicKeys) -> Result<Self, LinkInfoError> {
        let hashname = keys.hashname().map_err(|_| LinkInfoError::NoHashname)?;
        Ok(Self { hashname, keys, paths: Vec::new() })
    }

    /// An endpoint of which only the hashname is known.
    #[must_use]
    pub const fn unresolved(hashname: Hashname) -> Self {
        Self { hashname, keys: PublicKeys::new(), paths: Vec::new() }
    }

    /// Puts together what came from outside, where parts may be missing or wrong.
    ///
    /// One key without anything beside it is refused: it may be one of several, and would then give another hashname.
    pub(crate) fn assemble(hashname: Option<Hashname>, keys: PublicKeys) -> Result<Self, LinkInfoError> {
        match hashname {
            Some(hashname) if keys.is_empty() => Ok(Self::unresolved(hashname)),
            Some(hashname) => {
                let info = Self::new(keys)?;
                if info.hashname == hashname { Ok(info) } else { Err(LinkInfoError::WrongHashname) }
            }
            None if keys.len() == 1 => Err(LinkInfoError::OneKeyAlone),
            None => Self::new(keys),
        }
    }

    /// The same with one more path.
    ///
    /// # Errors
    /// [`LinkInfoError::TooManyPaths`] above [`MAX_PATHS`], [`LinkInfoError::NestedRouter`] for a router that has
    /// itself a path through a router.
    pub fn with_path(mut self, path: impl Into<PathHint>) -> Result<Self, LinkInfoError> {
        let path = path.into();
        if self.paths.len() >= MAX_PATHS {
            return Err(LinkInfoError::TooManyPaths);
        }
        if matches!(&path, PathHint::Router(hint) if hint.router.has_router()) {
            return Err(LinkInfoError::NestedRouter);
        }
        self.paths.push(path);
        Ok(self)
    }

    /// Whose this is.
    #[must_use]
    pub fn hashname(&self) -> Hashname {
        self.hashname
    }

    /// The keys, or digests of keys. Either all of the endpoint's cipher sets are listed or none is.
    #[must_use]
    pub fn keys(&self) -> &PublicKeys {
        &self.keys
    }

    /// All paths in the order given, also those that this build cannot use.
    #[must_use]
    pub fn paths(&self) -> &[PathHint] {
        &self.paths
    }

    /// The paths that are plain addresses.
    pub fn addresses(&self) -> impl Iterator<Item = PathAddress> + '_ {
        self.paths.iter().filter_map(|path| match path {
            PathHint::Address(address) => Some(*address),
            PathHint::Router(_) | PathHint::Unknown(_) => None,
        })
    }

    fn has_router(&self) -> bool {
        self.paths.iter().any(|path| path.router().is_some())
    }
}

/// One path in a link JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathHint {
    /// An address; of a router, only the hashname.
    Address(PathAddress),
    /// A path through a router, with what somebody needs who has never met it.
    Router(Box<RouterHint>),
    /// A path of a type that this build does not know: kept, so that it is still there when the JSON is passed on.
    Unknown(UnknownPath),
}

impl PathHint {
    /// The router, if the path leads through one.
    #[must_use]
    pub fn router(&self) -> Option<Hashname> {
        match self {
            Self::Address(address) => address.router().copied(),
            Self::Router(hint) => Some(hint.router.hashname()),
            Self::Unknown(_) => None,
        }
    }
}

impl From<PathAddress> for PathHint {
    fn from(address: PathAddress) -> Self {
        Self::Address(address)
    }
}

impl From<RouterHint> for PathHint {
    fn from(hint: RouterHint) -> Self {
        Self::Router(Box::new(hint))
    }
}

/// A router that leads to the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterHint {
    /// How to reach the router. It has no path through a router itself: circuits never lead into circuits.
    pub router: LinkInfo,
    /// What the router gave the endpoint to hand on, so that it helps whoever shows it. May be empty.
    pub ticket: Credential,
}

/// A path of a type that this build does not know. `Debug` prints only the type, since the rest may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownPath {
    pub(crate) kind: String,
    /// The whole object, `type` included.
    pub(crate) object: serde_json::Map<String, serde_json::Value>,
}

impl UnknownPath {
    /// Its `type`. Escape it before it reaches a terminal.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

impl fmt::Debug for UnknownPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownPath({:?})", self.kind)
    }
}

/// Why something is not the link JSON or the URI of an endpoint, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkInfoError {
    /// Not JSON, or a name that is twice in one object.
    #[error("not link json: line {line}, column {column}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// Where in that line, counted from 1.
        column: usize,
    },
    /// A part has another type than it should have, or is missing.
    #[error("{what} is missing or of the wrong type")]
    Structure {
        /// The part.
        what: &'static str,
    },
    /// A value is outside its limits.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// The hashname is not one.
    #[error(transparent)]
    Hashname(#[from] ParseHashnameError),
    /// The name of a key is not a cipher set.
    #[error(transparent)]
    CipherSet(#[from] ParseCipherSetIdError),
    /// A key, digest or ticket is not lower-case base32.
    #[error("{what}: {error}")]
    Encoding {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        error: base32::DecodeError,
    },
    /// The keys cannot be those of one endpoint.
    #[error(transparent)]
    Keys(#[from] InsertError),
    /// There is neither a hashname nor a key.
    #[error("neither a hashname nor keys")]
    NoHashname,
    /// There is one key and nothing that says whether it is the only one.
    #[error("one key alone does not tell whose it is: add the hashname, or the digests of the other keys")]
    OneKeyAlone,
    /// The keys and digests give another hashname than the one beside them.
    #[error("the keys are not those of the hashname, or some are missing")]
    WrongHashname,
    /// More than [`MAX_PATHS`] paths.
    #[error("more than {MAX_PATHS} paths")]
    TooManyPaths,
    /// A path's address is not usable.
    #[error("path {index}: {error}")]
    Path {
        /// Which path, counted from 0.
        index: usize,
        /// What is wrong with it.
        error: ParsePathAddressError,
    },
    /// A router is itself to be reached through a router.
    #[error("the path to a router leads through a router")]
    NestedRouter,
}

/// The IP address and port of a path that is written as such.
pub(crate) fn ip_and_port(address: &PathAddress) -> Option<(String, u16)> {
    address.socket_address().map(|socket: SocketAddr| (socket.ip().to_string(), socket.port()))
}

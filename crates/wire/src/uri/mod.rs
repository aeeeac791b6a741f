//! Link URIs: everything that is needed to link to an endpoint in one line, short enough for a QR code.
//!
//! `link://host:port/?cs11=…&cs21=…&paths=…#check.secret`, or any scheme of the application's. In the query:
//!
//! | name | value |
//! |---|---|
//! | `cs` and a cipher set | the public key, base32 |
//! | `d` and a cipher set | digest of a public key that is not there itself, base32 |
//! | `hn` | the hashname; needed where the keys alone do not give it |
//! | `paths` | path addresses, with commas between them |
//! | `sid` | what a router needs to find the peer that this URI is about; the rest is then about the router |
//!
//! Parameters that this build does not know are skipped, paths of unknown kinds kept. Host and port are a UDP address;
//! a name is for the application's resolver. Nothing is looked up here.

mod authority;
mod parse;
mod percent;

use std::fmt;
use std::str::FromStr;

use telemesh_hashname::base32;
use zeroize::Zeroizing;

use crate::address::PathAddress;
use crate::error::{InvalidValue, at_most};
use crate::invite::{Invite, InviteSecret};
use crate::link_info::{LinkInfo, LinkInfoError};

pub use authority::{Authority, Host};

/// A link URI, taken apart.
///
/// `Display` and `Debug` leave the secret out; [`to_secret_string`](Self::to_secret_string) writes it.
///
/// ```
/// use telemesh_wire::{Authority, InviteSecret, LinkInfo, LinkUri};
/// # let mut keys = telemesh_hashname::PublicKeys::new();
/// # keys.insert_key(telemesh_hashname::CipherSetId::CS11, &[1; 32])?;
/// # keys.insert_key(telemesh_hashname::CipherSetId::CS21, &[2; 32])?;
///
/// let uri = LinkUri::new(LinkInfo::new(keys)?)
///     .with_authority("mesh.example.org:42424".parse::<Authority>()?)
///     .with_invite(InviteSecret::from_bytes([7; 32]));
/// assert!(uri.to_string().starts_with("link://mesh.example.org/?cs11="));
///
/// let read: LinkUri = uri.to_secret_string().parse()?;
/// assert_eq!(read, uri);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct LinkUri {
    scheme: String,
    authority: Option<Authority>,
    link: LinkInfo,
    unknown_paths: Vec<String>,
    session_id: Option<String>,
    invite: Option<Invite>,
}

impl LinkUri {
    /// A URI for this endpoint, of the scheme `link`. Of its paths only plain addresses fit into a URI.
    #[must_use]
    pub fn new(link: LinkInfo) -> Self {
        Self {
            scheme: DEFAULT_SCHEME.to_owned(),
            authority: None,
            link,
            unknown_paths: Vec::new(),
            session_id: None,
            invite: None,
        }
    }

    /// The same with another scheme: 1 to 32 characters as RFC 3986 section 3.1 has them, in lower case.
    ///
    /// # Errors
    /// [`InvalidValue`] for anything else.
    pub fn with_scheme(mut self, scheme: &str) -> Result<Self, InvalidValue> {
        at_most(SCHEME, scheme.len(), MAX_SCHEME_LENGTH)?;
        let first = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = scheme.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
        if !(first && rest) {
            return Err(InvalidValue::Form { what: SCHEME });
        }
        scheme.clone_into(&mut self.scheme);
        Ok(self)
    }

    /// The same with this host and port.
    #[must_use]
    pub fn with_authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// The same with an invite by the endpoint that the URI is about.
    #[must_use]
    pub fn with_invite(mut self, secret: InviteSecret) -> Self {
        self.invite = Some(Invite::new(&self.link.hashname(), secret));
        self
    }

    /// The same as a router's URI for one of its peers: `session_id` is what the router sealed, 1 to 512 unreserved
    /// characters (RFC 3986 section 2.3), and the invite, if there is one, is that peer's.
    ///
    /// # Errors
    /// [`InvalidValue`] when the session id is anything else.
    pub fn with_session(mut self, session_id: &str, invite: Option<Invite>) -> Result<Self, InvalidValue> {
        at_most(SESSION_ID, session_id.len(), MAX_SESSION_ID_LENGTH)?;
        if session_id.is_empty() || !session_id.bytes().all(percent::is_unreserved) {
            return Err(InvalidValue::Form { what: SESSION_ID });
        }
        self.session_id = Some(session_id.to_owned());
        self.invite = invite;
        Ok(self)
    }

    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Hashname, keys and the paths in the query: of the endpoint, or of the router if there is a
    /// [session id](Self::session_id).
    #[must_use]
    pub fn link(&self) -> &LinkInfo {
        &self.link
    }

    /// Where the endpoint (or the router) can be reached without asking anybody: host and port if the host is an IP
    /// address, then the paths in the query.
    pub fn addresses(&self) -> impl Iterator<Item = PathAddress> + '_ {
        let socket = self.authority.as_ref().and_then(Authority::socket_address);
        socket.map(PathAddress::Udp).into_iter().chain(self.link.addresses())
    }

    /// What a router needs to find the peer that this URI is about.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The invite. It is by the endpoint that [`link`](Self::link) describes, which was checked; with a session id it is
    /// by the router's peer, which can be checked only once its hashname is known.
    #[must_use]
    pub fn invite(&self) -> Option<&Invite> {
        self.invite.as_ref()
    }

    /// Takes out the invite, which cannot be cloned, and leaves a URI without one.
    pub fn take_invite(&mut self) -> Option<Invite> {
        self.invite.take()
    }

    /// The whole URI with the invite's secret: for the one it is meant for. Wiped when dropped.
    #[must_use]
    pub fn to_secret_string(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(self.to_string());
        if let Some(invite) = &self.invite {
            invite.write_fragment(&mut text);
        }
        text
    }

    fn write_paths(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.link.addresses().map(|address| address.to_string());
        for (index, path) in known.chain(self.unknown_paths.iter().cloned()).enumerate() {
            f.write_str(if index == 0 { "&paths=" } else { "," })?;
            percent::write(f, &path)?;
        }
        Ok(())
    }
}

/// The URI without the invite.
impl fmt::Display for LinkUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(authority) = &self.authority {
            write!(f, "{authority}")?;
        }
        f.write_str("/?")?;
        let mut separator = "";
        for known in self.link.keys() {
            match known.key() {
                Some(key) => write!(f, "{separator}cs{}={}", known.cipher_set(), base32::encode(key))?,
                None => {
                    let digest = base32::encode(known.digest().as_bytes());
                    write!(f, "{separator}d{}={digest}", known.cipher_set())?;
                }
            }
            separator = "&";
        }
        // Two keys or more give the hashname; one could be one of several.
        if self.link.keys().len() < 2 {
            write!(f, "{separator}hn={}", self.link.hashname())?;
        }
        self.write_paths(f)?;
        match &self.session_id {
            Some(session_id) => write!(f, "&sid={session_id}"),
            None => Ok(()),
        }
    }
}

/// Why a text is not a link URI. None of these repeats the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLinkUriError {
    /// A part is outside its limits.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// A character that no URI contains.
    #[error("a uri has no spaces, control or non-ascii characters")]
    Character,
    /// There is no `://`.
    #[error("no scheme: a link uri begins like link://")]
    NoScheme,
    /// The host is not a name or an IP address, or the port not a number from 1 to 65,535.
    #[error("bad host or port")]
    Authority,
    /// There is a path other than `/`.
    #[error("a link uri has no path but /")]
    Path,
    /// A percent sign without two hex digits, or bytes that are not UTF-8.
    #[error("bad percent-encoding")]
    PercentEncoding,
    /// A parameter is there twice.
    #[error("a parameter is there twice")]
    DuplicateParameter,
    /// Hashname, keys or paths are not usable.
    #[error(transparent)]
    Link(#[from] LinkInfoError),
    /// What follows the `#` is not a check and a secret.
    #[error("bad invite after the #")]
    Invite,
    /// The invite is not by the endpoint with these keys: the URI was mangled or tampered with.
    #[error("the invite is not by the endpoint with these keys")]
    ForeignInvite,
}

impl FromStr for LinkUri {
    type Err = ParseLinkUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::parse(text)
    }
}

const DEFAULT_SCHEME: &str = "link";
const SCHEME: &str = "scheme";
const SESSION_ID: &str = "session id";
/// Longer than any registered scheme.
const MAX_SCHEME_LENGTH: usize = 32;
/// As long as any credential.
const MAX_SESSION_ID_LENGTH: usize = 512;

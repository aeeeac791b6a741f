//! What an endpoint can be asked to do: one line of JSON, whoever asks.
//!
//! The program makes a request out of what was typed. It is carried out by an endpoint in this process, or sent through the
//! control socket to the one that is up; `docs/CONTROL.md` describes the lines for everybody else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The version of requests, events and errors.
pub(crate) const VERSION: u64 = 1;

/// How long a command waits for a link unless it is told otherwise.
pub(crate) const LINK_LIMIT: Duration = Duration::from_secs(30);

/// How long commands of `box` wait for somebody unless they are told otherwise.
pub(crate) const BOX_WAIT: Duration = Duration::from_secs(5);

/// How long a contact is waited for before files are left in its box.
const ABSENT_WAIT: Duration = Duration::from_secs(10);

/// How long an invite is good for unless it is told otherwise.
pub(crate) const INVITE_TIME: Duration = Duration::from_secs(600);

/// How long to look who is there unless it is told otherwise.
const DISCOVER_TIME: Duration = telemesh::mesh::DISCOVER_TIME;

/// A year: what is meant to last longer is no invite, but a contact.
pub(crate) const MAX_VALID: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A day: whoever types more has forgotten the unit.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module's page. `to` is a contact's name, a URI, link JSON or a hashname.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Who we are.
    Id {},
    /// Links, paths, traffic.
    Status {},
    /// Ends the endpoint in order.
    Stop {},
    /// Reads the configuration file again.
    Reload {},
    /// Makes an invite.
    Invite {
        /// What its bearer will be called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What the bearer may do besides linking.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<String>,
        #[serde(default = "invite_uses")]
        uses: u32,
        #[serde(default = "invite_time", rename = "valid_s", with = "whole_seconds")]
        valid: Duration,
        /// The router whose URI it is to be: a contact's name or hashname.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<String>,
    },
    /// The invites that are open.
    Invites {},
    /// Makes an open invite worthless.
    Revoke { id: String },
    /// Links with an invite, and keeps its issuer as a contact.
    Accept {
        uri: Secret,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default = "link_limit", rename = "timeout_s", with = "seconds")]
        timeout: Duration,
    },
    /// Whom we trust: all, or one.
    Contacts {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Trusts somebody under a name.
    AddContact {
        name: String,
        /// URI, link JSON or hashname.
        link: Secret,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<String>,
        /// Makes it one of our routers.
        #[serde(default, skip_serializing_if = "is_false")]
        router: bool,
    },
    /// Trusts somebody no more, from now on.
    RemoveContact { name: String },
    /// Round trips over the link.
    Ping {
        to: Secret,
        #[serde(default = "ping_count")]
        count: u32,
        #[serde(default = "link_limit", rename = "timeout_s", with = "seconds")]
        timeout: Duration,
    },
    /// Which paths were tried, and what came of each.
    Explain {
        to: Secret,
        #[serde(default = "link_limit", rename = "timeout_s", with = "seconds")]
        timeout: Duration,
    },
    /// Who is on the local network.
    Discover {
        /// Also lets others find us, for as long as the command runs.
        #[serde(default, skip_serializing_if = "is_false")]
        announce: bool,
        #[serde(default = "discover_time", rename = "for_s", with = "whole_seconds")]
        time: Duration,
    },
    /// Joins what follows on the connection to a stream; without `to`, to the next one that somebody opens.
    Pipe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Secret>,
        /// Makes an invite that lasts as long as the command waits.
        #[serde(default, skip_serializing_if = "is_false")]
        invite: bool,
    },
    /// What became of a pipe whose connection has carried bytes.
    Result { pipe: u64 },
    /// Sends files and folders. Paths are absolute: the endpoint reads them itself.
    Send {
        to: Secret,
        files: Vec<PathBuf>,
        /// Do not leave them in the box of a contact that is away.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        direct: bool,
        /// How long to wait for a contact before that.
        #[serde(default = "absent_wait", rename = "wait_s", with = "seconds")]
        wait: Duration,
    },
    /// Sends a message to a contact that may be away. Either `text` or `file`, an absolute path.
    BoxSend {
        to: Secret,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<PathBuf>,
        /// Contacts that keep it while its recipient is away, from now on; without any, those that were named before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        via: Vec<Secret>,
        /// How long to wait for somebody to take it.
        #[serde(default = "box_wait", rename = "wait_s", with = "seconds")]
        wait: Duration,
    },
    /// Says what has arrived, and acknowledges it.
    BoxRead {
        /// Ends when nothing has come for so long.
        #[serde(default = "box_wait", rename = "wait_s", with = "seconds")]
        wait: Duration,
    },
    /// What waits, out and in.
    BoxList {},
    /// Takes files into a folder, whose path is absolute, for as long as the command runs.
    Receive {
        folder: PathBuf,
        #[serde(default)]
        existing: Existing,
        /// Ends after the first transfer that has arrived whole.
        #[serde(default, skip_serializing_if = "is_false")]
        once: bool,
        /// As in `pipe`.
        #[serde(default, skip_serializing_if = "is_false")]
        invite: bool,
    },
    /// Joins a local socket to one at the other end, for as long as the command runs.
    Forward {
        to: Secret,
        /// An address here, or only a port.
        local: String,
        /// A target there, or only a port.
        remote: String,
        /// The other end listens.
        #[serde(default, skip_serializing_if = "is_false")]
        reverse: bool,
        /// Datagrams instead of connections.
        #[serde(default, skip_serializing_if = "is_false")]
        udp: bool,
    },
    /// A SOCKS5 server, for as long as the command runs.
    Socks {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Secret>,
        #[serde(default = "socks_listen")]
        listen: SocketAddr,
    },
    /// Everything has been sent that goes into a pipe.
    Sent { pipe: u64 },
    /// Serves HTTP on this machine for browsers and programs, for as long as the command runs.
    Gateway {
        #[serde(default = "gateway_address")]
        listen: SocketAddr,
    },
    /// Sends requests one after the other. What comes back is what the connection carries behind `open`.
    Http {
        to: Secret,
        paths: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
        /// Each is a name, a colon and a value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<HttpBody>,
        /// Heads too, as HTTP/1.1 writes them.
        #[serde(default, skip_serializing_if = "is_false")]
        include: bool,
        /// A status of 400 or more is an error, without its body.
        #[serde(default, skip_serializing_if = "is_false")]
        fail: bool,
    },
    /// Shows a chat for as long as the command runs, and begins it if it is not there.
    Chat {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<Secret>,
        /// A name, or the beginning of an id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<String>,
        /// What we are called there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// As in `pipe`.
        #[serde(default, skip_serializing_if = "is_false")]
        invite: bool,
    },
    /// The chats and invitations.
    Chats {},
    /// Says something in a chat.
    ChatSay { chat: String, text: String },
    /// Replaces what we have said last.
    ChatEdit { chat: String, text: String },
    /// All up to a message was read.
    ChatRead { chat: String, message: String },
    /// Whether we type.
    ChatTyping { chat: String, typing: bool },
    /// Invites somebody into a chat that we lead.
    ChatInvite { chat: String, to: Secret },
    /// Measures a link; without `to`, answers those who measure.
    Perf {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Secret>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<Measure>,
        #[serde(default = "perf_size")]
        size_mib: u64,
        /// As in `pipe`.
        #[serde(default, skip_serializing_if = "is_false")]
        invite: bool,
        /// Also says how far it is.
        #[serde(default, skip_serializing_if = "is_false")]
        progress: bool,
    },
}

/// The body of a request of `http`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpBody {
    Text(String),
    /// An absolute path: the endpoint reads it itself.
    File(PathBuf),
    /// What the connection carries. For one path only.
    Input,
}

/// What `perf` can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measure {
    /// MiB per second through one stream, each way
    Throughput,
    /// Round trips of 64 bytes
    Rtt,
    /// Channels opened, used for 64 bytes there and back, and closed, per second
    Opens,
}

/// What becomes of a file whose name is taken by something else. Equal content is always left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Existing {
    /// What is there stays, and the new file is not taken
    #[default]
    Refuse,
    /// What is there stays, and the new file gets a number
    Rename,
    /// What is there is replaced
    Overwrite,
}

impl From<Existing> for telemesh::files::Existing {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Refuse => Self::Refuse,
            Existing::Rename => Self::Rename,
            Existing::Overwrite => Self::Overwrite,
        }
    }
}

impl Request {
    /// Whether its output is data, beside which words go to standard error.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Self::Pipe { .. } | Self::Http { .. })
    }

    /// The other end, if it has one.
    pub(crate) fn to(&self) -> Option<&Secret> {
        match self {
            Self::Ping { to, .. }
            | Self::Explain { to, .. }
            | Self::Send { to, .. }
            | Self::Forward { to, .. }
            | Self::Http { to, .. }
            | Self::Accept { uri: to, .. } => Some(to),
            Self::Pipe { to, .. } | Self::Perf { to, .. } | Self::Socks { to, .. } => to.as_ref(),
            Self::Chat { to, .. } => to.first(),
            _ => None,
        }
    }

    /// Whether only an endpoint that is up can carry it out.
    pub(crate) fn needs_running(&self) -> bool {
        matches!(
            self,
            Self::Status {}
                | Self::Stop {}
                | Self::Reload {}
                | Self::Result { .. }
                | Self::Sent { .. }
                | Self::Invite { .. }
                | Self::Invites {}
                | Self::Revoke { .. }
        )
    }

    /// Whether it has to be us who carries it out, although somebody else could.
    pub(crate) fn changes_contacts(&self) -> bool {
        matches!(self, Self::Accept { .. })
    }

    /// Whether it needs the chats of the endpoint.
    pub(crate) fn chats(&self) -> bool {
        matches!(
            self,
            Self::Chat { .. }
                | Self::Chats {}
                | Self::ChatSay { .. }
                | Self::ChatEdit { .. }
                | Self::ChatRead { .. }
                | Self::ChatTyping { .. }
                | Self::ChatInvite { .. }
        )
    }

    /// Whether it waits for somebody else to come.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Self::Pipe { to, .. } | Self::Perf { to, .. } => to.is_none(),
            Self::Chat { to, room, .. } => to.is_empty() && room.is_none(),
            Self::Receive { .. } => true,
            _ => false,
        }
    }
}

/// Where the gateway listens unless it is told otherwise.
pub(crate) const GATEWAY_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8117);

/// A tebibyte: as many MiB fit in any counter here.
pub(crate) const MAX_MIB: u64 = 1 << 20;

fn absent_wait() -> Duration {
    ABSENT_WAIT
}

fn box_wait() -> Duration {
    BOX_WAIT
}

fn ping_count() -> u32 {
    4
}

fn invite_uses() -> u32 {
    1
}

fn invite_time() -> Duration {
    INVITE_TIME
}

fn discover_time() -> Duration {
    DISCOVER_TIME
}

fn gateway_address() -> SocketAddr {
    GATEWAY_ADDRESS
}

fn perf_size() -> u64 {
    256
}

/// The port that is usual for SOCKS, where only this machine's programs are.
fn socks_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1080).into()
}

fn link_limit() -> Duration {
    LINK_LIMIT
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A time as a number of seconds, with fractions.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let time = Duration::try_from_secs_f64(f64::deserialize(deserializer)?).ok();
        time.filter(|time| !time.is_zero() && *time <= super::MAX_TIMEOUT)
            .ok_or_else(|| D::Error::custom("a time is more than 0 and at most 86400 seconds"))
    }
}

/// A time as a whole number of seconds.
mod whole_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match u64::deserialize(deserializer)? {
            seconds @ 1.. if seconds <= super::MAX_VALID.as_secs() => Ok(Duration::from_secs(seconds)),
            _ => Err(D::Error::custom("a time is at least 1 second and at most 366 days")),
        }
    }
}

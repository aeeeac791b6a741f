//! What an endpoint says: the JSON objects of `--json` and of the control socket, as types.
//!
//! Whoever carries out a request emits these; [`crate::render`] shows them to people. Each becomes one line with `"v":1` in
//! front. `docs/CONTROL.md` lists the fields for everybody else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telemesh::LinkInfo;

use crate::failure::{Failure, Kind};
use crate::request::VERSION;

/// See the module's page. Tried in this order when a line is read; what all of its fields are optional comes last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Event {
    Happened(Happened),
    Ping(Ping),
    Explain(Explain),
    Status(Status),
    Contact(Contact),
    Invited(Invited),
    OpenInvite(OpenInvite),
    Id(Id),
    Perf(Perf),
}

/// Something that happens while a command runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Happened {
    /// The endpoint, or the command that waits, can be linked to.
    Ready {
        hashname: String,
        uri: String,
        /// With its secret: besides the answer to `invite`, this is the one place that shows it.
        invite: Option<String>,
        addresses: Vec<String>,
    },
    /// A link came up or went down.
    Link {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        state: UpDown,
        path: Option<String>,
        reason: Option<String>,
    },
    /// Somebody opened a channel.
    Channel {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        r#type: String,
        accepted: bool,
        reason: Option<String>,
    },
    /// Somebody was noticed.
    Discovered {
        hashname: String,
        /// Of a contact.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        via: Noticed,
        /// Where it may be. Nothing proves it yet.
        paths: Vec<String>,
        /// All that is known of it.
        link: LinkInfo,
    },
    /// A stream is open: from here on the connection carries its bytes.
    Open { hashname: String, pipe: u64 },
    /// How far something long is.
    Progress {
        what: String,
        bytes: u64,
        total: Option<u64>,
        /// Files that are through, where there are files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files_total: Option<u64>,
    },
    /// A transfer of files begins.
    Transfer {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What its sender calls it.
        transfer: String,
        files: u64,
        bytes: u64,
    },
    /// It has stopped before its end. It goes on where it stopped when it is sent again; `send` does so by itself.
    Interrupted { transfer: String, reason: String },
    /// It has ended: what is there now, and what is not.
    Transferred {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        transfer: String,
        files: u64,
        /// Of these, files that needed no data.
        already_there: u64,
        folders: u64,
        links: u64,
        bytes: u64,
        /// Bytes that crossed the link in the last attempt.
        transferred_bytes: u64,
        ms: u64,
        /// Entries that are not there; `problems` has the first of them.
        missing: u64,
        problems: Vec<Trouble>,
        /// Files that were given another name, which stands in `reason`.
        renamed: Vec<Trouble>,
    },
    /// A socket is joined to one at the other end: what comes to `listen` goes to `target`.
    Forwarding {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// `tcp` or `udp`.
        protocol: String,
        listen: String,
        target: String,
        /// The other end listens.
        reverse: bool,
    },
    /// The SOCKS5 server is there.
    Socks { listen: String },
    /// A connection or a tunnel for datagrams did not come about.
    NotForwarded { target: String, reason: String },
    /// Files wait for a contact that is away.
    LeftFiles {
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        transfer: String,
        files: u64,
        bytes: u64,
        /// As in `boxed`, of the part that has come least far.
        stage: String,
    },
    /// A message that was sent: where it is as far as is known. `kept` here, `cached`, `arrived`, or `read`.
    Boxed {
        id: String,
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        stage: String,
        /// The caches that have it.
        caches: Vec<String>,
        /// Sealed; in lists only, as is the time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        /// Seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<u64>,
    },
    /// A message that has arrived and was not read.
    Unread {
        id: String,
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        bytes: u64,
        sent_at: u64,
    },
    /// A message that is read now: as text, or in base64 if it is none.
    Message {
        id: String,
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// By the sender's clock, in seconds since 1970.
        sent_at: u64,
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    /// The gateway listens.
    Gateway {
        address: String,
        /// Whoever has it may use the gateway.
        token: String,
        /// For each contact the URL that opens a browser's session.
        contacts: Vec<Door>,
    },
    /// A chat, or that we have joined it.
    Chat { chat: String, room: String, hashname: String, leader: String, joined: bool, unread: u64 },
    /// Somebody invites into a chat.
    Invited {
        chat: String,
        room: String,
        hashname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Somebody in a chat, who is new there or has changed: `us`, `here`, `away` or `invited`.
    Member {
        key: Option<String>,
        hashname: String,
        name: String,
        state: String,
        path: Option<String>,
        /// Keys of the same person's other devices.
        devices: Vec<String>,
        /// The number of the first message of which they have told two versions.
        two_versions: Option<u64>,
    },
    /// A message, new or changed. `place` sorts as the history does.
    #[serde(rename = "chat-message")]
    ChatMessage {
        id: String,
        place: String,
        key: String,
        hashname: String,
        name: String,
        time_ms: u64,
        text: String,
        edited: bool,
        own: bool,
        /// It was not read here yet.
        new: bool,
    },
    /// How many have received and read a message of ours, and how many there are.
    Delivery { id: String, received: u64, read: u64, of: u64 },
    /// Somebody types, or has stopped.
    Typing { key: String, name: String, typing: bool },
    /// What was said is stored, and on its way.
    Said { id: String },
    /// Something in a chat is not as it should be.
    Warning { text: String },
    /// The configuration was read again: what has changed, and what of it counts only from the next start on.
    Reloaded { changes: Vec<String>, restart: Vec<String> },
    /// The endpoint has ended.
    Closed { delivered: bool },
    /// The command has ended well.
    Done,
}

/// A way to a contact through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    pub(crate) hashname: String,
    pub(crate) name: Option<String>,
    /// With the token.
    pub(crate) url: String,
}

/// An entry of a transfer that did not go as it was meant to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Its path inside the transfer.
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// How somebody was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Noticed {
    /// It was announced on the local network.
    Network,
    /// It asks for a link.
    Request,
    /// It knows our hashname, and a router has brought its keys.
    Introduction,
}

/// The two states that change while somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UpDown {
    Up,
    Down,
}

/// One ping. `rtt_us` and `path` are null when it was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) seq: u32,
    pub(crate) hashname: String,
    pub(crate) rtt_us: Option<u64>,
    pub(crate) path: Option<String>,
}

/// What was tried to reach an endpoint, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explain {
    pub(crate) hashname: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// `up`, `down` or `unresolved`.
    pub(crate) state: String,
    /// Why it is not up.
    pub(crate) reason: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) paths: Vec<ExplainPath>,
    pub(crate) initiations_sent: u32,
    pub(crate) attempts_failed: u32,
    pub(crate) retry_in_s: Option<f64>,
    /// In a sentence: how it went when many ports were tried, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) birthday: Option<String>,
}

/// One path of [`Explain`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExplainPath {
    pub(crate) path: String,
    /// `candidate`, `proving`, `proven`, `suspect` or `dead`.
    pub(crate) state: String,
    pub(crate) rtt_us: Option<u64>,
    pub(crate) in_use: bool,
    /// In a sentence: why it is used, or why not.
    pub(crate) why: String,
}

/// The running endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) hashname: String,
    pub(crate) process: u32,
    pub(crate) uptime_s: u64,
    pub(crate) addresses: Vec<String>,
    /// What came of asking the gateway for a way in, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mapping: Option<Mapping>,
    pub(crate) links: Vec<StatusLink>,
    /// Packets that were dropped without an answer, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Invites that are open.
    pub(crate) invites: usize,
    /// What it does as a router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<Routing>,
    /// Commands that run at the moment, this one among them.
    pub(crate) commands: usize,
}

/// A way in through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    /// The gateway's address and port that lead here; null while there are none.
    pub(crate) address: Option<String>,
}

/// What an endpoint does for others as a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Routing {
    pub(crate) circuits: usize,
    pub(crate) introductions: u64,
    pub(crate) refused: u64,
    pub(crate) forwarded_packets: u64,
    pub(crate) forwarded_bytes: u64,
}

/// One link of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusLink {
    pub(crate) hashname: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) rtt_us: Option<u64>,
    /// How long it has been up, or down; null if it was never up.
    pub(crate) since_s: Option<u64>,
    /// Bytes in packets on the wire since the endpoint is up.
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
}

/// Somebody whom we trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) contact: Option<String>,
    pub(crate) hashname: String,
    pub(crate) grants: Vec<String>,
    /// It is one of our routers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) router: bool,
    /// `up`, `down` or `unresolved`.
    pub(crate) state: String,
    /// Only when one contact is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<LinkInfo>,
}

/// A new invite. Its URI holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invited {
    pub(crate) invite: String,
    #[serde(flatten)]
    pub(crate) open: OpenInvite,
}

/// An invite that can be used, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenInvite {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) grants: Vec<String>,
    pub(crate) uses: u32,
    /// Null for never.
    pub(crate) expires_s: Option<u64>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Id {
    pub(crate) hashname: String,
    pub(crate) uri: String,
    pub(crate) link: LinkInfo,
}

/// How fast a link is. What was not measured is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Perf {
    /// Both directions together, then each alone.
    pub(crate) throughput_mib_s: Option<f64>,
    pub(crate) up_mib_s: Option<f64>,
    pub(crate) down_mib_s: Option<f64>,
    pub(crate) rtt_p50_us: Option<f64>,
    pub(crate) rtt_p99_us: Option<f64>,
    pub(crate) opens_per_s: Option<f64>,
    pub(crate) path: Option<String>,
}

/// A command that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorObject {
    pub(crate) error: String,
    pub(crate) kind: Kind,
    /// The exit code that goes with the kind.
    pub(crate) code: u8,
}

/// One line of JSON, with the version in front and without its end.
///
/// # Errors
/// Memory that cannot be written to, which does not happen.
pub(crate) fn to_line(body: &impl Serialize) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        v: u64,
        #[serde(flatten)]
        body: &'a T,
    }
    serde_json::to_string(&Versioned { v: VERSION, body })
        .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))
}

/// Microseconds, for scripts.
pub(crate) fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

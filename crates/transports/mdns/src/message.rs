//! Reading a packet: who announces themselves in it, who takes their leave, or what is asked.
//!
//! Everything here came from whoever is on the network. A packet costs work in proportion to its length, which is limited, and
//! nothing in it is believed that cannot be checked.

use std::net::IpAddr;

use simple_dns::rdata::{RData, TXT};
use simple_dns::{Name, Packet, PacketFlag, ResourceRecord};
use telemesh_hashname::{Hashname, KeyDigest, PublicKeys, base32};
use telemesh_transport::{Announcement, PathAddress};

use crate::names::{
    DIGEST_PREFIX, KEY_PREFIX, PATH_KEY, SERVICE, SERVICE_LABEL, VERSION, VERSION_KEY, instance_of,
};

/// Bytes of the longest packet that is read (RFC 6762 section 17).
pub const MAX_PACKET: usize = 9_000;

/// Questions and records in a packet that is read. An announcement of ours has some twenty, and the parser makes room for as many
/// as the packet's header says before it looks for them.
pub const MAX_RECORDS: usize = 256;

/// Endpoints that are taken from one packet. Ours are alone in theirs.
pub const MAX_CLAIMS: usize = 8;

/// Paths that are taken from one announcement: more addresses than an interface of one machine is likely to have.
pub const MAX_CLAIM_PATHS: usize = 16;

/// What a packet says about our service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Somebody looks for endpoints.
    Query {
        /// All endpoints are asked for.
        everybody: bool,
        /// These are asked for by their names.
        endpoints: Vec<Hashname>,
        /// These are known to whoever asks, and need not say that they are there (RFC 6762 section 7.1).
        known: Vec<Hashname>,
    },
    /// Endpoints come and go.
    Response(Vec<Claim>),
}

/// What a response says about one endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Claim {
    /// It is there.
    Present {
        /// Its keys, which belong to the hashname, and its paths, which nothing proves.
        announcement: Announcement,
        /// For how many seconds that may be believed: more than 0.
        ttl: u32,
    },
    /// It says goodbye.
    Gone(Hashname),
}

/// Why a packet was left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is not about our service. Most packets are not.
    #[error("not about {SERVICE}")]
    NotOurs,
    /// Longer than [`MAX_PACKET`], or with more than [`MAX_RECORDS`] records.
    #[error("too long")]
    TooLong,
    /// Not a DNS message.
    #[error("not a DNS message")]
    Malformed,
}

impl Message {
    /// Reads a packet. Paths are taken only if `is_local` says that their address belongs to the network that it came from.
    ///
    /// An endpoint about which something is wrong is left out: keys that are not those of its hashname, no usable path, no key.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn read(packet: &[u8], is_local: impl Fn(IpAddr) -> bool) -> Result<Self, MessageError> {
        if packet.len() > MAX_PACKET {
            return Err(MessageError::TooLong);
        }
        if !names_service(packet) {
            return Err(MessageError::NotOurs);
        }
        if records(packet).ok_or(MessageError::Malformed)? > MAX_RECORDS {
            return Err(MessageError::TooLong);
        }
        let packet = Packet::parse(packet).map_err(|_| MessageError::Malformed)?;
        if packet.has_flags(PacketFlag::RESPONSE) {
            Ok(Self::Response(Reader::new(&packet).claims(&is_local)))
        } else {
            Ok(query(&packet))
        }
    }

    /// Whether this asks for the endpoint, and does not say itself that it knows about it already.
    #[must_use]
    pub fn asks_for(&self, hashname: &Hashname) -> bool {
        match self {
            Self::Query { everybody, endpoints, known } => {
                endpoints.contains(hashname) || (*everybody && !known.contains(hashname))
            }
            Self::Response(_) => false,
        }
    }
}

impl PartialEq for Claim {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gone(one), Self::Gone(other)) => one == other,
            (
                Self::Present { announcement: one, ttl },
                Self::Present { announcement: other, ttl: other_ttl },
            ) => {
                ttl == other_ttl
                    && one.hashname == other.hashname
                    && one.keys == other.keys
                    && one.paths == other.paths
            }
            _ => false,
        }
    }
}

impl Eq for Claim {}

/// One look at the bytes spares the parser everything that printers and televisions say.
pub(crate) fn names_service(packet: &[u8]) -> bool {
    packet.windows(SERVICE_LABEL.len()).any(|window| window.eq_ignore_ascii_case(SERVICE_LABEL))
}

/// How many questions and records the header counts (RFC 1035 section 4.1.1).
fn records(packet: &[u8]) -> Option<usize> {
    let counts = packet.get(4..12)?.as_chunks::<2>().0;
    Some(counts.iter().map(|count| usize::from(u16::from_be_bytes(*count))).sum())
}

fn query(packet: &Packet<'_>) -> Message {
    let service = name(SERVICE);
    let (mut everybody, mut endpoints, mut known) = (false, Vec::new(), Vec::new());
    for question in packet.questions.iter().map(|question| &question.qname) {
        everybody |= *question == service;
        endpoints.extend(instance_of(question, &service));
    }
    for record in packet.answers.iter().filter(|record| record.ttl >= KNOWN_TTL) {
        if let RData::PTR(target) = &record.rdata
            && record.name == service
        {
            known.extend(instance_of(target, &service));
        }
    }
    Message::Query { everybody, endpoints, known }
}

/// A name of ours, which is never too long.
fn name(text: &'static str) -> Name<'static> {
    Name::new_unchecked(text)
}

/// The records of a response, wherever in it they stand.
struct Reader<'a> {
    records: Vec<&'a ResourceRecord<'a>>,
    service: Name<'static>,
}

impl<'a> Reader<'a> {
    fn new(packet: &'a Packet<'a>) -> Self {
        Self {
            records: packet.answers.iter().chain(&packet.additional_records).collect(),
            service: name(SERVICE),
        }
    }

    fn claims(&self, is_local: &impl Fn(IpAddr) -> bool) -> Vec<Claim> {
        let mut claims = Vec::new();
        for hashname in self.endpoints() {
            claims.extend(self.claim(hashname, is_local));
        }
        claims
    }

    /// Whom the response is about: the first few.
    fn endpoints(&self) -> Vec<Hashname> {
        let mut endpoints = Vec::new();
        for record in &self.records {
            let named = match &record.rdata {
                RData::PTR(target) if record.name == self.service => instance_of(target, &self.service),
                RData::SRV(_) | RData::TXT(_) => instance_of(&record.name, &self.service),
                _ => None,
            };
            endpoints.extend(named.filter(|named| !endpoints.contains(named)));
            if endpoints.len() >= MAX_CLAIMS {
                break;
            }
        }
        endpoints
    }

    fn claim(&self, hashname: Hashname, is_local: &impl Fn(IpAddr) -> bool) -> Option<Claim> {
        let is_its = |record: &&&ResourceRecord<'_>| {
            instance_of(&record.name, &self.service) == Some(hashname)
                || matches!(&record.rdata, RData::PTR(target) if record.name == self.service
                    && instance_of(target, &self.service) == Some(hashname))
        };
        let its: Vec<_> = self.records.iter().filter(is_its).copied().collect();
        let ttl = its.iter().map(|record| record.ttl).min()?;
        if ttl == 0 {
            return Some(Claim::Gone(hashname));
        }
        let (srv, txt) = its.iter().fold((None, None), |(srv, txt), record| match &record.rdata {
            RData::SRV(found) => (srv.or(Some(found)), txt),
            RData::TXT(found) => (srv, txt.or(Some(found))),
            _ => (srv, txt),
        });
        let (srv, txt) = (srv?, txt?);
        let keys = keys(txt, &hashname)?;
        let mut paths = Paths { is_local, paths: Vec::new() };
        for record in self.records.iter().filter(|record| record.name == srv.target) {
            let ip = match &record.rdata {
                RData::A(address) => IpAddr::V4(address.address.into()),
                RData::AAAA(address) => IpAddr::V6(address.address.into()),
                _ => continue,
            };
            paths.add(PathAddress::Udp((ip, srv.port).into()));
        }
        strings(txt, PATH_KEY).filter_map(|path| path.parse().ok()).for_each(|path| paths.add(path));
        let announcement = Announcement { hashname, keys, paths: paths.paths };
        (!announcement.paths.is_empty()).then_some(Claim::Present { announcement, ttl })
    }
}

/// The usable paths of an announcement.
struct Paths<'a, F> {
    is_local: &'a F,
    paths: Vec<PathAddress>,
}

impl<F: Fn(IpAddr) -> bool> Paths<'_, F> {
    fn add(&mut self, path: PathAddress) {
        let Some(address) = path.socket_address() else { return };
        // Text and bytes are held to the same rules.
        let usable = path.to_string().parse() == Ok(path);
        if usable
            && self.paths.len() < MAX_CLAIM_PATHS
            && !self.paths.contains(&path)
            && (self.is_local)(address.ip())
        {
            self.paths.push(path);
        }
    }
}

/// The keys in a TXT record, if they are those of the hashname.
fn keys(txt: &TXT<'_>, hashname: &Hashname) -> Option<PublicKeys> {
    let mut keys = PublicKeys::new();
    for (key, value) in txt.iter_raw() {
        let (Ok(key), value) = (std::str::from_utf8(key), value.map(std::str::from_utf8)) else { continue };
        let value = match value {
            Some(Ok(value)) => value,
            _ => continue,
        };
        if key == VERSION_KEY && value != VERSION {
            return None;
        }
        // What does not read as a cipher set is another word, of a later version perhaps.
        if let Some(csid) = key.strip_prefix(KEY_PREFIX).and_then(|csid| csid.parse().ok()) {
            keys.insert_key(csid, &base32::decode(value).ok()?).ok()?;
        } else if let Some(csid) = key.strip_prefix(DIGEST_PREFIX).and_then(|csid| csid.parse().ok()) {
            let digest = base32::decode(value).ok()?.try_into().ok()?;
            keys.insert_digest(csid, KeyDigest::from_bytes(digest)).ok()?;
        }
    }
    (keys.hashname() == Ok(*hashname)).then_some(keys)
}

/// All values of one key in a TXT record that are text.
fn strings<'a>(txt: &'a TXT<'_>, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    txt.iter_raw()
        .filter(move |(key, _)| *key == wanted.as_bytes())
        .filter_map(|(_, value)| std::str::from_utf8(value?).ok())
}

/// A record that is known for at least that long, half of what we announce, is not told again (RFC 6762 section 7.1).
const KNOWN_TTL: u32 = crate::announcement::TTL / 2;

#[cfg(test)]
mod tests;

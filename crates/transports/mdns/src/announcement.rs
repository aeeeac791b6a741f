//! Writing the packets: an announcement, a goodbye, a question.

use std::collections::BTreeSet;
use std::net::IpAddr;

use simple_dns::rdata::{PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE,
};
use telemesh_hashname::{Hashname, PublicKeys, base32};
use telemesh_transport::{Announcement, DiscoveryError, PathAddress};

use crate::message::MAX_CLAIM_PATHS;
use crate::names::{
    DIGEST_PREFIX, KEY_PREFIX, PATH_KEY, SERVICE, VERSION, VERSION_KEY, host_name, instance_name,
};

/// Bytes of the longest announcement: what fits one packet on every IPv6 network (1,280 bytes, RFC 8200 section 5, without the
/// headers of IP and UDP).
pub const MAX_ANNOUNCEMENT: usize = 1_232;

/// Seconds for which an announcement is good: that of host records (RFC 6762 section 10). Discover mode is short, and somebody
/// who went without a goodbye should not be seen for long.
pub(crate) const TTL: u32 = 120;

/// Endpoints that a question names as known.
const MAX_KNOWN: usize = 8;

/// Writes the packet that announces an endpoint on an interface with these addresses, or with `ttl` 0 says goodbye. Paths with
/// other addresses are left out.
///
/// # Errors
/// [`DiscoveryError::NoPath`] if none is left, [`DiscoveryError::TooLong`] for keys of so many cipher sets that they do not fit
/// [`MAX_ANNOUNCEMENT`].
pub fn write_announcement(
    announcement: &Announcement,
    addresses: &[IpAddr],
    ttl: u32,
) -> Result<Vec<u8>, DiscoveryError> {
    let paths: BTreeSet<_> = announcement
        .paths
        .iter()
        .filter(|path| is_at(path, addresses))
        .take(MAX_CLAIM_PATHS)
        .copied()
        .collect();
    if paths.is_empty() {
        return Err(DiscoveryError::NoPath);
    }
    let port = main_port(&announcement.paths, &paths);
    let (plain, others): (Vec<_>, Vec<_>) = paths
        .into_iter()
        .partition(|path| matches!(path, PathAddress::Udp(address) if address.port() == port));

    let (instance, host) = (instance_name(&announcement.hashname), host_name(&announcement.hashname));
    let (service, instance, host) =
        (Name::new_unchecked(SERVICE), Name::new_unchecked(&instance), Name::new_unchecked(&host));
    let record = |name: &Name<'_>, data| ResourceRecord::new(name.clone().into_owned(), CLASS::IN, ttl, data);
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers.push(record(&service, RData::PTR(PTR(instance.clone()))));
    // The others are ours alone, so whatever somebody remembers of them is replaced (RFC 6762 section 10.2).
    let mut own = |name, data| packet.answers.push(record(name, data).with_cache_flush(true));
    own(&instance, RData::SRV(SRV { priority: 0, weight: 0, port, target: host.clone() }));
    own(&instance, RData::TXT(txt(&announcement.keys, &others)?));
    for path in &plain {
        match path.socket_address().map(|address| address.ip()) {
            Some(IpAddr::V4(ip)) => own(&host, RData::A(ip.into())),
            Some(IpAddr::V6(ip)) => own(&host, RData::AAAA(ip.into())),
            None => {}
        }
    }
    finish(&packet)
}

/// Writes the question who is there; whoever is known already need not answer.
pub(crate) fn write_question(known: impl IntoIterator<Item = Hashname>) -> Result<Vec<u8>, DiscoveryError> {
    let service = Name::new_unchecked(SERVICE);
    let mut packet = Packet::new_query(0);
    let question = Question::new(service.clone(), QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(question);
    for hashname in known.into_iter().take(MAX_KNOWN) {
        let instance = instance_name(&hashname);
        let target = Name::new_unchecked(&instance).into_owned();
        packet.answers.push(ResourceRecord::new(service.clone(), CLASS::IN, TTL, RData::PTR(PTR(target))));
    }
    finish(&packet)
}

fn finish(packet: &Packet<'_>) -> Result<Vec<u8>, DiscoveryError> {
    let bytes = packet.build_bytes_vec_compressed().map_err(|_| unwritable())?;
    if bytes.len() > MAX_ANNOUNCEMENT {
        return Err(DiscoveryError::TooLong { length: bytes.len(), limit: MAX_ANNOUNCEMENT });
    }
    Ok(bytes)
}

/// Memory that cannot be written to, which does not happen.
fn unwritable() -> DiscoveryError {
    DiscoveryError::Io(std::io::Error::other("a packet could not be written"))
}

fn is_at(path: &PathAddress, addresses: &[IpAddr]) -> bool {
    path.socket_address().is_some_and(|address| address.port() != 0 && addresses.contains(&address.ip()))
}

/// The UDP port of the first path that is told; other ports are written beside the keys. 0 if no path is for UDP.
fn main_port(in_order: &[PathAddress], told: &BTreeSet<PathAddress>) -> u16 {
    let port = |path: &PathAddress| match path {
        PathAddress::Udp(address) => Some(address.port()),
        _ => None,
    };
    in_order.iter().filter(|path| told.contains(path)).find_map(port).unwrap_or(0)
}

/// Keys, digests where a key is too long for a string of 255 bytes, and paths (RFC 6763 section 6).
fn txt(keys: &PublicKeys, paths: &[PathAddress]) -> Result<TXT<'static>, DiscoveryError> {
    let mut txt = TXT::new();
    let mut add = |key: &str, value: &str| {
        let string = CharacterString::try_from(format!("{key}={value}"));
        string.map(|string| txt.add_char_string(string))
    };
    add(VERSION_KEY, VERSION).map_err(|_| unwritable())?;
    for key in keys {
        let csid = key.cipher_set();
        let whole =
            key.key().and_then(|bytes| add(&format!("{KEY_PREFIX}{csid}"), &base32::encode(bytes)).ok());
        if whole.is_none() {
            let digest = base32::encode(key.digest().as_bytes());
            add(&format!("{DIGEST_PREFIX}{csid}"), &digest).map_err(|_| unwritable())?;
        }
    }
    for path in paths {
        add(PATH_KEY, &path.to_string()).map_err(|_| unwritable())?;
    }
    Ok(txt)
}

#[cfg(test)]
mod tests;

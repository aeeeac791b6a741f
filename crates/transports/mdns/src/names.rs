//! The names, groups and words of the service, as they stand in packets.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::Name;
use telemesh_hashname::Hashname;

/// The service's name (RFC 6763 section 7).
pub const SERVICE: &str = "_telemesh._udp.local";

/// The port of multicast DNS (RFC 6762 section 3).
pub const PORT: u16 = 5353;

/// The multicast groups of multicast DNS (RFC 6762 section 3).
pub(crate) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// The first label of the service, with its length, as it stands in every packet that is about it: compression points back to
/// it, and never replaces its first occurrence.
pub(crate) const SERVICE_LABEL: &[u8] = b"\x09_telemesh";

/// Keys in the TXT record. The version comes first (RFC 6763 section 6.7).
pub(crate) const VERSION_KEY: &str = "txtvers";
pub(crate) const VERSION: &str = "1";
/// Followed by a cipher set: its public key in base32, as in a link URI.
pub(crate) const KEY_PREFIX: &str = "cs";
/// Followed by a cipher set: the digest of its public key in base32, as in a link URI.
pub(crate) const DIGEST_PREFIX: &str = "d";
/// A path beyond those that SRV, A and AAAA records tell.
pub(crate) const PATH_KEY: &str = "path";

/// The name of an endpoint's instance of the service.
pub(crate) fn instance_name(hashname: &Hashname) -> String {
    format!("{hashname}.{SERVICE}")
}

/// The name of the host of an endpoint. It is the endpoint's own, so that nobody has to agree on it with whatever else
/// announces this machine, and nobody learns the machine's name.
pub(crate) fn host_name(hashname: &Hashname) -> String {
    format!("{hashname}.local")
}

/// The endpoint whose instance of the service has this name: the hashname is the one label in front of the service's.
pub(crate) fn instance_of(name: &Name<'_>, service: &Name<'_>) -> Option<Hashname> {
    let [first, others @ ..] = name.get_labels() else { return None };
    if others != service.get_labels() {
        return None;
    }
    std::str::from_utf8(first.as_ref()).ok()?.parse().ok()
}

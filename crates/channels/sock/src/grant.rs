//! Grants of this channel: text that says exactly what a peer may reach or listen on.
//!
//! ```text
//! grant    = action ":" hosts ":" ports
//! action   = "sock" | "sock-udp" | "sock-bind" | "sock-udp-bind"
//! hosts    = IPv4 | "[" IPv6 "]" | IPv4 "/" bits | "[" IPv6 "]/" bits | "localhost" | name
//! ports    = port | first "-" last | "*"
//! ```
//!
//! An address in its usual form, and no other: a grant must say to everybody who reads it what it allows. A network never stands
//! for an address that must be named (loopback and the like), and a name never for one either, whatever it resolves to.
//! `localhost` names `127.0.0.1` and `::1`. Listening is at an address, not at a name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::address::{is_special, meant, normalised};
use crate::targets::{Host, Name, parse_port};

/// What a peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A TCP connection from here to somewhere.
    Connect,
    /// UDP datagrams from here to somewhere, and the answers.
    Udp,
    /// To listen here for TCP connections.
    Bind,
    /// To listen here for UDP datagrams, and to answer them.
    UdpBind,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Udp, Self::Bind, Self::UdpBind];

    /// The kind of grant that it needs.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Connect => "sock",
            Self::Udp => "sock-udp",
            Self::Bind => "sock-bind",
            Self::UdpBind => "sock-udp-bind",
        }
    }

    fn listens(self) -> bool {
        matches!(self, Self::Bind | Self::UdpBind)
    }
}

/// One grant, understood. See the crate's page for its form.
///
/// ```
/// use telemesh_sock::{Action, SockGrant};
///
/// let grant: SockGrant = "sock:10.0.0.0/8:*".parse()?;
/// assert!(grant.allows(Action::Connect, None, "10.1.2.3:22".parse()?));
/// assert!(!grant.allows(Action::Connect, None, "127.0.0.1:22".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SockGrant {
    action: Action,
    hosts: Hosts,
    first_port: u16,
    last_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hosts {
    Address(IpAddr),
    Localhost,
    /// An address of which only so many bits count, and the others are zero.
    Network(IpAddr, u8),
    Name(Name),
}

/// The text is not a grant of this channel, with the form that it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{reason}; it has the form ACTION:HOST:PORT with sock, sock-udp, sock-bind or sock-udp-bind, like sock:10.0.0.1:22, \
     sock:10.0.0.0/8:*, sock:[fd00::]/8:8000-8010, sock:host.name:443 or sock-bind:127.0.0.1:8080"
)]
pub struct ParseSockGrantError {
    reason: String,
}

impl SockGrant {
    /// What it allows.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether it allows this: a name as the peer has asked for it, if it has, and the address that it stands for.
    pub fn allows(&self, action: Action, name: Option<&Name>, address: SocketAddr) -> bool {
        if action != self.action || !self.has_port(address.port()) {
            return false;
        }
        let ip = normalised(address.ip());
        let special = is_special(ip);
        match &self.hosts {
            Hosts::Address(granted) => *granted == ip || (!special && *granted == meant(ip)),
            Hosts::Localhost => ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST,
            Hosts::Network(network, bits) => !special && masked(meant(ip), *bits) == Some(*network),
            Hosts::Name(granted) => !special && name == Some(granted),
        }
    }

    /// Whether it may allow this name, depending on what that resolves to. A name that no grant can allow is not even resolved.
    pub(crate) fn may_allow(&self, action: Action, name: &Name, port: u16) -> bool {
        let names = |granted| !matches!(&self.hosts, Hosts::Name(other) if other != granted);
        action == self.action && self.has_port(port) && names(name)
    }

    fn has_port(&self, port: u16) -> bool {
        port != 0 && (self.first_port..=self.last_port).contains(&port)
    }
}

/// Whether a text is a grant of this channel by its kind, so that it has to be one by its form too.
pub fn is_sock_grant(text: &str) -> bool {
    let kind = text.split(':').next().unwrap_or_default();
    kind == "sock" || kind.starts_with("sock-")
}

impl FromStr for SockGrant {
    type Err = ParseSockGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |reason: &str| ParseSockGrantError { reason: format!("`{}`: {reason}", text.escape_debug()) };
        let (kind, target) = text.split_once(':').ok_or_else(|| wrong("a host and a port are missing"))?;
        let action = Action::ALL.into_iter().find(|action| action.kind() == kind);
        let action = action.ok_or_else(|| wrong("an unknown action"))?;
        let (hosts, ports) = target.rsplit_once(':').ok_or_else(|| wrong("a port is missing"))?;
        let (first_port, last_port) = parse_ports(ports).map_err(wrong)?;
        let hosts = parse_hosts(hosts).map_err(|reason| wrong(&reason))?;
        if action.listens() && matches!(hosts, Hosts::Name(_)) {
            return Err(wrong("listening is at an address, not at a name"));
        }
        Ok(Self { action, hosts, first_port, last_port })
    }
}

fn parse_ports(text: &str) -> Result<(u16, u16), &'static str> {
    if text == "*" {
        return Ok((1, u16::MAX));
    }
    let port = |text| parse_port(text).map_err(|_| "a port is a number from 1 to 65535, 8000-8010 or *");
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => match (port(first)?, port(last)?) {
            (first, last) if first < last => Ok((first, last)),
            _ => Err("a range of ports begins with the lower one"),
        },
    }
}

fn parse_hosts(text: &str) -> Result<Hosts, String> {
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (text, None),
    };
    let address = if let Some(inside) = host.strip_prefix('[') {
        let v6 = inside.strip_suffix(']').and_then(|inside| inside.parse::<Ipv6Addr>().ok());
        Some(IpAddr::V6(v6.ok_or("an IPv6 address stands in brackets, without a zone")?))
    } else if host.contains(':') {
        return Err("an IPv6 address stands in brackets".into());
    } else {
        host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    };
    let Some(address) = address else { return parse_name(host, bits) };
    if normalised(address) != address {
        return Err(format!("write that address as {}", normalised(address)));
    }
    let Some(bits) = bits else { return Ok(Hosts::Address(address)) };
    let all = if address.is_ipv4() { 32 } else { 128 };
    let short = bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = bits.len() > 1 && bits.starts_with('0');
    match bits.parse::<u8>() {
        Ok(bits) if short && !has_zeros && bits < all => match masked(address, bits) {
            Some(network) if network == address => Ok(Hosts::Network(network, bits)),
            Some(network) => Err(format!("the network is {network}/{bits}")),
            None => Err("a network has fewer bits".into()),
        },
        Ok(bits) if bits == all => Err(format!("write one address without /{bits}")),
        _ => Err(format!("behind the / of a network stands a number below {all}")),
    }
}

fn parse_name(host: &str, bits: Option<&str>) -> Result<Hosts, String> {
    if bits.is_some() {
        return Err("a network begins with an address".into());
    }
    match Host::parse(host).map_err(|error| error.to_string())? {
        Host::Localhost if host == "localhost" => Ok(Hosts::Localhost),
        Host::Name(name) if name.as_str() == host => Ok(Hosts::Name(name)),
        other => Err(format!("write that host as {other}")),
    }
}

/// The address with only its first bits; `None` for more bits than it has.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let drop = 32_u32.checked_sub(bits.into())?;
            let mask = u32::MAX.checked_shl(drop).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let drop = 128_u32.checked_sub(bits.into())?;
            let mask = u128::MAX.checked_shl(drop).unwrap_or(0);
            Some(Ipv6Addr::from_bits(v6.to_bits() & mask).into())
        }
    }
}

impl fmt::Display for SockGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.action.kind())?;
        match &self.hosts {
            Hosts::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]")?,
            Hosts::Address(IpAddr::V4(v4)) => v4.fmt(f)?,
            Hosts::Network(IpAddr::V6(v6), bits) => write!(f, "[{v6}]/{bits}")?,
            Hosts::Network(IpAddr::V4(v4), bits) => write!(f, "{v4}/{bits}")?,
            Hosts::Localhost => Host::Localhost.fmt(f)?,
            Hosts::Name(name) => name.fmt(f)?,
        }
        match (self.first_port, self.last_port) {
            (1, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests;

//! Host and port of a URI.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::ParseLinkUriError;
use crate::address::PathAddress;
use crate::limits::DEFAULT_PORT;

/// Host and port of a URI: where the endpoint, or its router, listens for UDP.
///
/// The text form leaves port 42424 out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: Host,
    port: u16,
}

/// The host in a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// An IP address that a packet can be sent to.
    Ip(IpAddr),
    /// A name to look up, in lower case: 1 to 253 letters, digits, dots, hyphens and underscores.
    Name(String),
}

impl Authority {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address to send to, unless the host is a name that has to be looked up first.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl TryFrom<SocketAddr> for Authority {
    type Error = ParseLinkUriError;

    /// Fails for what no packet can be sent to, as a wildcard that a socket is bound to.
    fn try_from(address: SocketAddr) -> Result<Self, Self::Error> {
        let ip = usable(address.ip(), address.port())?;
        Ok(Self { host: Host::Ip(ip), port: address.port() })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Name(name) => f.write_str(name)?,
        }
        if self.port == DEFAULT_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for Authority {
    type Err = ParseLinkUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (ip, port) = rest.split_once(']').ok_or(ParseLinkUriError::Authority)?;
                let ip: Ipv6Addr = ip.parse().map_err(|_| ParseLinkUriError::Authority)?;
                (Host::Ip(ip.into()), parse_port(port)?)
            }
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (parse_host(host)?, parse_port(port)?)
            }
        };
        let host = match host {
            Host::Name(_) => host,
            Host::Ip(ip) => Host::Ip(usable(ip, port)?),
        };
        Ok(Self { host, port })
    }
}

fn parse_host(text: &str) -> Result<Host, ParseLinkUriError> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let valid_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let last_label = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    // A name that ends in a number is some spelling of an IPv4 address (127.1), of which there is one here.
    let like_ipv4 = last_label.bytes().all(|byte| byte.is_ascii_digit());
    let too_long = text.len() > MAX_NAME_LENGTH;
    if like_ipv4 || too_long || !text.bytes().all(valid_byte) || text.split('.').any(str::is_empty) {
        return Err(ParseLinkUriError::Authority);
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

/// The port after a colon, or the default one if nothing is there.
fn parse_port(text: &str) -> Result<u16, ParseLinkUriError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    let digits = text.strip_prefix(':').ok_or(ParseLinkUriError::Authority)?;
    // The standard parser also takes a plus sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseLinkUriError::Authority);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(ParseLinkUriError::Authority),
        Ok(port) => Ok(port),
    }
}

fn usable(ip: IpAddr, port: u16) -> Result<IpAddr, ParseLinkUriError> {
    let address = PathAddress::Udp(SocketAddr::new(ip, port)).usable();
    address
        .ok()
        .and_then(|address| address.socket_address())
        .map(|address| address.ip())
        .ok_or(ParseLinkUriError::Authority)
}

/// Longest name in DNS as text.
const MAX_NAME_LENGTH: usize = 253;

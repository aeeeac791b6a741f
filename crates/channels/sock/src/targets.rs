//! A host and a port, as somebody asks for them. What reads as an address in any of its spellings becomes one here, so that no
//! resolver ever sees it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::address::normalised;

/// Bytes of the longest name, written with dots (RFC 1035 section 2.3.4).
pub(crate) const MAX_NAME: usize = 253;

/// Bytes of the longest label of a name (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// The name that means the endpoint's own machine, and that no resolver is asked about (RFC 6761 section 6.3).
const LOCALHOST: &str = "localhost";

/// A host name in lower case, without a dot at its end. Never something that could be read as an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Where somebody wants to get to: an address, or a name that the endpoint at the other end resolves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address; IPv4 in every disguise is IPv4 here.
    Address(IpAddr),
    /// The endpoint's own machine: `127.0.0.1` and `::1`.
    Localhost,
    /// Any other name.
    Name(Name),
}

/// A host and a port, written `10.0.0.1:22`, `[::1]:22`, `localhost:22` or `host.name:22`. The port is never 0.
///
/// As in every program that asks the system, `127.1`, `0x7f000001` and `2130706433` are spellings of `127.0.0.1`.
///
/// ```
/// let target: telemesh_sock::Target = "127.1:80".parse()?;
/// assert_eq!(target.to_string(), "127.0.0.1:80");
/// # Ok::<(), telemesh_sock::ParseTargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    host: Host,
    port: u16,
}

/// The text is not a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTargetError {
    /// No port behind a colon.
    #[error("a host and a port are needed, like 10.0.0.1:22, [::1]:22 or host.name:22")]
    Form,
    /// Port 0, or none at all.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Brackets around something else than an IPv6 address, or one without brackets.
    #[error("an IPv6 address stands in brackets, without a zone, like [::1]:22")]
    Bracket,
    /// It ends in a number, as only addresses do, and is none.
    #[error("not an IPv4 address, although it reads like one")]
    Address,
    /// Not a host name.
    #[error("a host name has letters, digits, '-' and '_' in parts of 1 to 63 between dots, 253 in all")]
    Name,
}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name in any case, with or without a dot at its end.
    pub(crate) fn new(text: &str) -> Result<Self, ParseTargetError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let byte_fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let label_fits = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(byte_fits);
        if text.len() > MAX_NAME || !text.split('.').all(label_fits) || text.starts_with('-') {
            return Err(ParseTargetError::Name);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl Host {
    /// A host as text: an address without brackets, or a name.
    ///
    /// # Errors
    /// [`ParseTargetError`].
    pub fn parse(text: &str) -> Result<Self, ParseTargetError> {
        if text.contains(':') {
            return text.parse::<Ipv6Addr>().map(|v6| v6.into()).map_err(|_| ParseTargetError::Bracket);
        }
        if ends_in_a_number(text) {
            return classic_v4(text).map(Self::from).ok_or(ParseTargetError::Address);
        }
        let name = Name::new(text)?;
        // Subdomains are the same machine too.
        let local =
            name.as_str().strip_suffix(LOCALHOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        Ok(if local { Self::Localhost } else { Self::Name(name) })
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Address(normalised(address))
    }
}

impl From<Ipv4Addr> for Host {
    fn from(address: Ipv4Addr) -> Self {
        IpAddr::V4(address).into()
    }
}

impl From<Ipv6Addr> for Host {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::V6(address).into()
    }
}

impl Target {
    /// A host and a port.
    ///
    /// # Errors
    /// [`ParseTargetError::Port`] for port 0.
    pub fn new(host: impl Into<Host>, port: u16) -> Result<Self, ParseTargetError> {
        if port == 0 { Err(ParseTargetError::Port) } else { Ok(Self { host: host.into(), port }) }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port)),
            _ => None,
        }
    }
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseTargetError::Form)?;
        let port = parse_port(port)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inside = rest.strip_suffix(']').ok_or(ParseTargetError::Bracket)?;
                inside.parse::<Ipv6Addr>().map_err(|_| ParseTargetError::Bracket)?.into()
            }
            None if host.contains(':') => return Err(ParseTargetError::Bracket),
            None => Host::parse(host)?,
        };
        Ok(Self { host, port })
    }
}

/// A port in decimal digits, without a sign or zeros in front.
pub(crate) fn parse_port(text: &str) -> Result<u16, ParseTargetError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if digits { text.parse().map_err(|_| ParseTargetError::Port) } else { Err(ParseTargetError::Port) }
}

/// Whether the last part is a number, so that this is an address or nothing (WHATWG URL, "ends in a number checker").
fn ends_in_a_number(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let last = text.rsplit('.').next().unwrap_or_default();
    let decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    decimal || number(last).is_some()
}

/// One to four numbers, of which the last fills what is left: the form that `inet_aton` reads.
fn classic_v4(text: &str) -> Option<Ipv4Addr> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let parts = text.split('.').map(number).collect::<Option<Vec<_>>>()?;
    let (last, front) = parts.split_last()?;
    let free = 4_u32.checked_sub(u32::try_from(front.len()).ok()?)?;
    if u64::from(*last) >= 1_u64.checked_shl(8 * free)? {
        return None;
    }
    front
        .iter()
        .zip([24, 16, 8])
        .try_fold(*last, |address, (part, shift)| (*part <= 0xff).then(|| address | part << shift))
        .map(Ipv4Addr::from_bits)
}

/// Decimal, octal behind a 0, or hexadecimal behind 0x.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None => match text.strip_prefix('0') {
            Some("") => return Some(0),
            Some(digits) => (digits, 8),
            None => (text, 10),
        },
    };
    if digits.starts_with(['+', '-']) { None } else { u32::from_str_radix(digits, radix).ok() }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost => f.write_str(LOCALHOST),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl TryFrom<SocketAddr> for Target {
    type Error = ParseTargetError;

    fn try_from(address: SocketAddr) -> Result<Self, Self::Error> {
        Self::new(address.ip(), address.port())
    }
}

#[cfg(test)]
mod tests;

//! Where to listen, as people write it: `0.0.0.0:42424` or `udp:0.0.0.0:42424` for UDP, `quic:0.0.0.0:443` for QUIC.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::failure::Failure;

/// A local address and what is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    Udp(SocketAddr),
    Quic(SocketAddr),
}

impl ListenAddress {
    /// Without what is spoken there. Both take a UDP socket.
    pub(crate) fn socket(self) -> SocketAddr {
        match self {
            Self::Udp(address) | Self::Quic(address) => address,
        }
    }

    fn is_quic(self) -> bool {
        matches!(self, Self::Quic(_))
    }
}

/// Only who is public by choice may listen for QUIC.
///
/// # Errors
/// What to do about it.
pub(crate) fn check(listen: &[ListenAddress], public: bool) -> Result<(), Failure> {
    match listen.iter().find(|address| address.is_quic()) {
        Some(address) if !public => Err(Failure::Usage(format!(
            "{address} would answer everybody who knows our public key, so it is only for endpoints that are public \
             by choice: run `telemesh up --public` (or `--router`), or set `public = true` in the configuration, or leave it out. \
             Dialling others through QUIC needs none of this"
        ))),
        _ => Ok(()),
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address): (fn(SocketAddr) -> Self, _) = match text.split_once(':') {
            Some(("udp", address)) => (Self::Udp, address),
            Some(("quic", address)) => (Self::Quic, address),
            _ => (Self::Udp, text),
        };
        address.parse().map(kind).map_err(|_| {
            "an IP address and a port are needed, like 0.0.0.0:42424 or [::]:42424, or quic:0.0.0.0:443 for QUIC"
                .to_owned()
        })
    }
}

/// UDP, which is what nearly everybody means, without its name.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "{address}"),
            Self::Quic(address) => write!(f, "quic:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        text.parse().map(|address: ListenAddress| address.to_string())
    }

    #[test]
    fn an_address_may_say_what_is_spoken_there() {
        for (text, shown) in [
            ("0.0.0.0:42424", "0.0.0.0:42424"),
            ("udp:[::]:42424", "[::]:42424"),
            ("quic:[::]:443", "quic:[::]:443"),
            ("quic:192.0.2.1:443", "quic:192.0.2.1:443"),
        ] {
            assert_eq!(parsed(text).unwrap(), shown);
        }
        for wrong in ["tcp:0.0.0.0:1", "quic:443", "quic:", "udp:udp:0.0.0.0:1", "QUIC:0.0.0.0:1", "", "::"] {
            assert!(parsed(wrong).unwrap_err().contains("an IP address and a port are needed"), "{wrong}");
        }
    }

    #[test]
    fn quic_is_for_those_who_are_public_by_choice() {
        let udp: ListenAddress = "0.0.0.0:1".parse().unwrap();
        let quic = "quic:0.0.0.0:443".parse().unwrap();
        assert!(check(&[udp], false).is_ok() && check(&[udp, quic], true).is_ok());
        let Err(Failure::Usage(text)) = check(&[udp, quic], false) else { panic!("refused") };
        assert!(
            text.starts_with("quic:0.0.0.0:443 would") && text.contains("telemesh up --public"),
            "{text}"
        );
    }
}

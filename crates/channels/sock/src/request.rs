//! What a `sock` channel is for, as its open message says it.

use std::net::SocketAddr;

use telemesh_wire::{ChannelKind, Open};

use crate::SOCK;
use crate::targets::{Host, Target};

/// A request, from the headers of an open message. Reliable channels carry TCP, unreliable ones UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Connect to this; the channel carries the connection's bytes.
    Connect(Target),
    /// Listen at this address for as long as the channel is open; the number comes back with each connection.
    Bind { at: Target, number: u64 },
    /// A connection to the address that was bound with this number; the channel carries its bytes.
    Accept { number: u64, from: SocketAddr },
    /// Send datagrams, to this unless they say something else.
    Udp(Option<Target>),
    /// Listen for datagrams at this address.
    UdpBind(Target),
}

/// The header that says what to do.
const DO: &str = "do";

/// The header with the target.
const TO: &str = "to";

/// The header with the number of a listener.
const NUMBER: &str = "number";

/// The header with the address that a connection comes from.
const FROM: &str = "from";

impl Request {
    /// The open message.
    pub(crate) fn open(&self) -> Open {
        let with = |open: Open, what: &str| open.with_header(DO, what.to_owned());
        let reliable = |what| with(Open::reliable(SOCK), what);
        let unreliable = |what| with(Open::unreliable(SOCK), what);
        let number = |number: u64| number.to_be_bytes().to_vec();
        match self {
            Self::Connect(target) => reliable("connect").with_header(TO, target.to_string()),
            Self::Bind { at, number: own } => {
                reliable("bind").with_header(TO, at.to_string()).with_header(NUMBER, number(*own))
            }
            Self::Accept { number: own, from } => {
                reliable("accept").with_header(NUMBER, number(*own)).with_header(FROM, from.to_string())
            }
            Self::Udp(None) => unreliable("udp"),
            Self::Udp(Some(target)) => unreliable("udp").with_header(TO, target.to_string()),
            Self::UdpBind(at) => unreliable("udp-bind").with_header(TO, at.to_string()),
        }
    }

    /// Reads an open message that came over a channel of this kind.
    ///
    /// # Errors
    /// What is wrong with it, for the opener.
    pub(crate) fn read(kind: ChannelKind, open: &Open) -> Result<Self, &'static str> {
        let text =
            |name| open.header(name).map(std::str::from_utf8).transpose().map_err(|_| "a header is not text");
        let target = || match text(TO)? {
            Some(target) => target.parse::<Target>().map(Some).map_err(|_| "the target cannot be read"),
            None => Ok(None),
        };
        let needed = || target()?.ok_or("a target is missing");
        let listening = || match needed()? {
            at if matches!(at.host(), Host::Name(_)) => Err("listening is at an address"),
            at => Ok(at),
        };
        let number = || {
            let bytes = open.header(NUMBER).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_be_bytes).ok_or("a number is missing")
        };
        match (kind, text(DO)?) {
            (ChannelKind::Reliable, Some("connect")) => Ok(Self::Connect(needed()?)),
            (ChannelKind::Reliable, Some("bind")) => Ok(Self::Bind { at: listening()?, number: number()? }),
            (ChannelKind::Reliable, Some("accept")) => {
                let from = text(FROM)?.and_then(|from| from.parse().ok()).ok_or("an address is missing")?;
                Ok(Self::Accept { number: number()?, from })
            }
            (ChannelKind::Unreliable, Some("udp")) => Ok(Self::Udp(target()?)),
            (ChannelKind::Unreliable, Some("udp-bind")) => Ok(Self::UdpBind(listening()?)),
            _ => Err("an unknown request"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(open: &Open) -> Result<Request, &'static str> {
        Request::read(open.kind, open)
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let target: Target = "host.name:22".parse().unwrap();
        let at: Target = "[::1]:8080".parse().unwrap();
        let from: SocketAddr = "192.0.2.1:50000".parse().unwrap();
        for request in [
            Request::Connect(target.clone()),
            Request::Bind { at: at.clone(), number: u64::MAX },
            Request::Accept { number: 7, from },
            Request::Udp(None),
            Request::Udp(Some(target)),
            Request::UdpBind(at),
        ] {
            assert_eq!(read(&request.open()).as_ref(), Ok(&request));
            request.open().check().unwrap();
        }
    }

    #[test]
    fn what_is_incomplete_or_of_the_other_kind_is_refused() {
        let reliable = |what: &str| Open::reliable(SOCK).with_header(DO, what.to_owned());
        for (open, reason) in [
            (Open::reliable(SOCK), "an unknown request"),
            (reliable("CONNECT"), "an unknown request"),
            (reliable("udp"), "an unknown request"),
            (Open::unreliable(SOCK).with_header(DO, "connect"), "an unknown request"),
            (reliable("connect"), "a target is missing"),
            (reliable("connect").with_header(TO, "10.0.0.1:0"), "the target cannot be read"),
            (reliable("connect").with_header(TO, "10.0.0.1"), "the target cannot be read"),
            (reliable("connect").with_header(TO, vec![0xff]), "a header is not text"),
            (reliable("bind").with_header(TO, "host.name:1"), "listening is at an address"),
            (reliable("bind").with_header(TO, "[::1]:1"), "a number is missing"),
            (
                reliable("bind").with_header(TO, "[::1]:1").with_header(NUMBER, vec![1; 7]),
                "a number is missing",
            ),
            (reliable("accept").with_header(NUMBER, vec![1; 8]), "an address is missing"),
        ] {
            assert_eq!(read(&open), Err(reason), "{open:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_read_can_be_written(headers in proptest::collection::vec(("do|to|number|from", any::<Vec<u8>>()), 0..4)) {
            for kind in [ChannelKind::Reliable, ChannelKind::Unreliable] {
                let open = headers.iter().fold(Open::new(SOCK, kind), |open, (name, value)| {
                    open.with_header(name.clone(), value.clone())
                });
                if let Ok(request) = Request::read(kind, &open) {
                    prop_assert_eq!(read(&request.open()), Ok(request));
                }
            }
        }
    }
}

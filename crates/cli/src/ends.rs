//! The two ends of `forward`, as somebody has typed them.

use std::net::{Ipv4Addr, SocketAddr};

use telemesh::sock::{Host, Target};

/// What listens, and where what comes there goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Here.
    Local { listen: SocketAddr, target: Target },
    /// At the other end, and the target is here.
    Remote { listen: Target, target: Target },
}

impl Ends {
    /// Reads both. A port alone is at the loopback address of its end.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn read(local: &str, remote: &str, reverse: bool) -> Result<Self, String> {
        if !reverse {
            return Ok(Self::Local { listen: local_address(local)?, target: target("REMOTE", remote)? });
        }
        let listen = match target("REMOTE", remote)? {
            target if matches!(target.host(), Host::Name(_)) => {
                return Err(format!("REMOTE: listening is at an address, not at {}", target.host()));
            }
            target => target,
        };
        Ok(Self::Remote { listen, target: target("LOCAL", local)? })
    }
}

fn local_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().map(|port| (Ipv4Addr::LOCALHOST, port).into());
    port.or_else(|_| text.replace("localhost:", "127.0.0.1:").parse()).map_err(|_| {
        "LOCAL: a port or an address with one is needed, like 8080, 127.0.0.1:8080 or [::1]:8080".to_owned()
    })
}

fn target(which: &str, text: &str) -> Result<Target, String> {
    let alone = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = if alone { format!("localhost:{text}") } else { text.to_owned() };
    whole.parse().map_err(|error| format!("{which}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_the_machine_itself() {
        let ends = |local, remote, reverse| Ends::read(local, remote, reverse).unwrap();
        let target = |text: &str| text.parse().unwrap();
        let listen = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(ends("8080", "22", false), Ends::Local { listen, target: target("localhost:22") });
        assert_eq!(
            ends("localhost:8080", "22", false),
            Ends::Local { listen, target: target("localhost:22") }
        );
        let listen = "[::1]:0".parse().unwrap();
        assert_eq!(
            ends("[::1]:0", "db.example:22", false),
            Ends::Local { listen, target: target("db.example:22") }
        );
        let (listen, target) = (target("0.0.0.0:80"), target("localhost:8080"));
        assert_eq!(ends("8080", "0.0.0.0:80", true), Ends::Remote { listen, target });
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_side_it_is_on() {
        for (local, remote, reverse, side) in [
            ("x", "22", false, "LOCAL"),
            ("host.name:80", "22", false, "LOCAL"),
            ("70000", "22", false, "LOCAL"),
            ("80", "0", false, "REMOTE"),
            ("80", "host", false, "REMOTE"),
            ("80", "host.name:80", true, "REMOTE"),
            ("0", "80", true, "LOCAL"),
        ] {
            let error = Ends::read(local, remote, reverse).unwrap_err();
            assert!(error.starts_with(side), "{error}");
        }
    }
}

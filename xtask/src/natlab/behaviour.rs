//! What a NAT does, in the terms of RFC 4787, and a probe that finds it out from both sides. The probe knows nothing of
//! what it runs on, so that the lab's boxes and simnet's models are asked the same questions.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};

/// On what of the other end a behaviour depends (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependence {
    Endpoint,
    Address,
    AddressAndPort,
}

/// What a probe finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// For what of the destination there is a mapping of its own.
    pub(super) mapping: Dependence,
    /// By what of the source a mapping lets in.
    pub(super) filtering: Dependence,
    /// The external port is the internal one where that is free.
    pub(super) port_preserved: bool,
    /// Something comes in although nobody inside has sent anything.
    pub(super) unsolicited: bool,
    /// Who is inside reaches somebody else inside over the external address (section 6).
    pub(super) hairpin: bool,
    /// A mapping is still there after the NAT was restarted.
    pub(super) survives_reboot: bool,
}

/// Where a probe's sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Behind the NAT.
    Inside,
    /// Beside it, behind the same NAT.
    Neighbour,
    /// A server in the open.
    Server,
    /// The same server, another port.
    ServerOtherPort,
    /// Another server.
    OtherServer,
}

impl Spot {
    pub(super) const ALL: [Self; 5] =
        [Self::Inside, Self::Neighbour, Self::Server, Self::ServerOtherPort, Self::OtherServer];
}

/// What a probe runs on: five sockets and a NAT.
pub(super) trait Ground {
    /// Where the socket of this spot is bound.
    fn address(&self, spot: Spot) -> SocketAddr;

    /// The NAT's external address.
    fn external(&self) -> IpAddr;

    /// Sends a datagram that can be told from others.
    fn send(&mut self, from: Spot, to: SocketAddr, word: u32) -> Result<()>;

    /// Everything that has arrived here since it was asked last, and from where, once nothing more is on its way.
    fn arrived(&mut self, at: Spot) -> Result<Vec<(SocketAddr, u32)>>;

    /// Restarts the NAT.
    fn reboot(&mut self) -> Result<()>;
}

/// Finds out how the NAT of `ground` behaves.
///
/// # Errors
/// When the ground does not carry datagrams, or the NAT does something that no NAT should: the answer to what was sent from
/// inside does not come back, or one destination sees another port each time.
pub(super) fn probe(ground: &mut impl Ground) -> Result<Behaviour> {
    let mut probe = Probe { ground, word: 0 };
    let (server, other_port) = (probe.at(Spot::Server), probe.at(Spot::ServerOtherPort));
    let other_server = probe.at(Spot::OtherServer);
    let inside = probe.at(Spot::Inside);

    // Before anything was sent from inside. If this left a trace, the port would not be preserved.
    let untouched = SocketAddr::new(probe.ground.external(), inside.port());
    let unsolicited = probe.passes(Spot::OtherServer, untouched)?;

    let seen = probe.seen(server)?;
    ensure!(seen.ip() == probe.ground.external(), "the server saw {seen}");
    ensure!(probe.passes(Spot::Server, seen)?, "the answer does not come back to {seen}");
    let from_other_port = probe.passes(Spot::ServerOtherPort, seen)?;
    let from_other_server = probe.passes(Spot::OtherServer, seen)?;
    let filtering = dependence(from_other_port, from_other_server);

    let seen_at_other_port = probe.seen(other_port)?;
    let seen_at_other_server = probe.seen(other_server)?;
    let mapping = dependence(seen_at_other_port == seen, seen_at_other_server == seen);
    for (to, from, before) in [
        (server, Spot::Server, seen),
        (other_port, Spot::ServerOtherPort, seen_at_other_port),
        (other_server, Spot::OtherServer, seen_at_other_server),
    ] {
        ensure!(probe.passes(from, before)?, "the answer of {to} does not come back to {before}");
        let again = probe.seen(to)?;
        ensure!(again == before, "{to} saw {before}, and then {again}");
    }

    let hairpin = probe.passes(Spot::Neighbour, seen)?;
    probe.ground.reboot()?;
    let survives_reboot = probe.passes(Spot::Server, seen)?;
    let after = probe.seen(server)?;
    ensure!(probe.passes(Spot::Server, after)?, "after a restart the answer does not come back to {after}");
    let port_preserved = seen.port() == inside.port();
    ensure!(!port_preserved || after == seen, "preserved at first, and not after a restart: {after}");
    Ok(Behaviour { mapping, filtering, port_preserved, unsolicited, hairpin, survives_reboot })
}

/// What somebody depends on who treats another port, or another address, alike.
fn dependence(other_port_alike: bool, other_address_alike: bool) -> Dependence {
    match (other_port_alike, other_address_alike) {
        (true, true) => Dependence::Endpoint,
        (true, false) => Dependence::Address,
        (false, _) => Dependence::AddressAndPort,
    }
}

struct Probe<'a, G> {
    ground: &'a mut G,
    word: u32,
}

impl<G: Ground> Probe<'_, G> {
    fn at(&self, spot: Spot) -> SocketAddr {
        self.ground.address(spot)
    }

    /// Sends from inside, and says from where it came.
    fn seen(&mut self, to: SocketAddr) -> Result<SocketAddr> {
        self.word += 1;
        self.ground.send(Spot::Inside, to, self.word)?;
        let spot = Spot::ALL.into_iter().find(|spot| self.at(*spot) == to);
        let arrived = self.ground.arrived(spot.context("nobody is there")?)?;
        let found = arrived.into_iter().find(|(_, word)| *word == self.word);
        Ok(found.with_context(|| format!("nothing arrives from inside at {to}"))?.0)
    }

    /// Whether a datagram to an external address arrives inside.
    fn passes(&mut self, from: Spot, to: SocketAddr) -> Result<bool> {
        self.word += 1;
        self.ground.send(from, to, self.word)?;
        let arrived = self.ground.arrived(Spot::Inside)?;
        Ok(arrived.iter().any(|(_, word)| *word == self.word))
    }
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Endpoint => "endpoint",
            Self::Address => "address",
            Self::AddressAndPort => "address+port",
        })
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |yes| if yes { "yes" } else { "no" };
        write!(
            f,
            "mapping by {:<12}  filtering by {:<12}  port preserved {:<3}  unsolicited in {:<3}  hairpin {:<3}  \
             survives a restart {}",
            self.mapping,
            self.filtering,
            word(self.port_preserved),
            word(self.unsolicited),
            word(self.hairpin),
            word(self.survives_reboot)
        )
    }
}

#[cfg(test)]
mod tests;

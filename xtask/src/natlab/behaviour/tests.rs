//! The same probe on simnet's models: they must behave as the lab's boxes do, which `cargo xtask natlab` asks.

use std::time::Duration;

use telemesh_simnet::{NatConfig, NatId, Network, Realm, SocketId};

use super::*;
use crate::natlab::kinds::Kind;

/// A NAT of simnet's, a host and its neighbour inside, two servers outside.
struct Simulated {
    network: Network,
    nat: Option<NatId>,
    external: IpAddr,
    /// In the order of [`Spot::ALL`].
    sockets: Vec<(SocketId, SocketAddr)>,
    arrived: Vec<(SocketId, SocketAddr, u32)>,
}

const PORT: u16 = 5_000;

impl Simulated {
    fn new(config: Option<NatConfig>, ipv6: bool) -> Self {
        let mut network = Network::new(1);
        let ip = |v4: &str, v6: &str| -> IpAddr { if ipv6 { v6 } else { v4 }.parse().unwrap() };
        let wan = ip("203.0.113.1", "2001:db8:2::2");
        // Over IPv6 nothing is translated: the NAT has no address of that family, and those inside are known outside.
        let nat = config.map(|config| {
            let external = if ipv6 { vec![] } else { vec![wan] };
            network.add_nat(Realm::INTERNET, external, config).unwrap()
        });
        let inside = ip(if nat.is_some() { "192.168.1.2" } else { "203.0.113.1" }, "2001:db8:2::2");
        let realm = nat.map_or(Realm::INTERNET, NatId::inside);
        let neighbour = ip(if nat.is_some() { "192.168.1.3" } else { "203.0.113.9" }, "2001:db8:2::3");
        let mut bind = |realm, address: IpAddr, ports: &[u16]| {
            let host = network.add_host(realm, [address]).unwrap();
            let bind = |port: &u16| {
                let address = SocketAddr::new(address, *port);
                (network.bind(host, address).unwrap(), address)
            };
            ports.iter().map(bind).collect::<Vec<_>>()
        };
        let mut sockets = bind(realm, inside, &[PORT]);
        sockets.extend(bind(realm, neighbour, &[PORT + 1]));
        sockets.extend(bind(Realm::INTERNET, ip("192.0.2.1", "2001:db8:1::1"), &[PORT, PORT + 1]));
        sockets.extend(bind(Realm::INTERNET, ip("192.0.2.2", "2001:db8:1::2"), &[PORT]));
        Self { network, nat, external: wan, sockets, arrived: Vec::new() }
    }

    fn socket(&self, spot: Spot) -> (SocketId, SocketAddr) {
        self.sockets[Spot::ALL.iter().position(|other| *other == spot).unwrap()]
    }
}

impl Ground for Simulated {
    fn address(&self, spot: Spot) -> SocketAddr {
        self.socket(spot).1
    }

    fn external(&self) -> IpAddr {
        self.external
    }

    fn send(&mut self, from: Spot, to: SocketAddr, word: u32) -> Result<()> {
        let now = self.network.time() + Duration::from_millis(1);
        Ok(self.network.send(now, self.socket(from).0, to, &word.to_be_bytes())?)
    }

    fn arrived(&mut self, at: Spot) -> Result<Vec<(SocketAddr, u32)>> {
        while let Some(now) = self.network.next_delivery_at() {
            while let Some(delivery) = self.network.deliver(now) {
                let word = u32::from_be_bytes(delivery.payload.as_slice().try_into()?);
                self.arrived.push((delivery.socket, delivery.from, word));
            }
        }
        let socket = self.socket(at).0;
        let here = self.arrived.extract_if(.., |(other, ..)| *other == socket);
        Ok(here.map(|(_, from, word)| (from, word)).collect())
    }

    fn reboot(&mut self) -> Result<()> {
        self.nat.map_or(Ok(()), |nat| Ok(self.network.reboot_nat(nat)?))
    }
}

fn model(kind: Kind) -> Option<NatConfig> {
    match kind {
        Kind::None => None,
        Kind::FullCone => Some(NatConfig::full_cone()),
        Kind::AddressRestricted => Some(NatConfig::address_restricted()),
        Kind::PortRestricted => Some(NatConfig::port_restricted()),
        Kind::Symmetric => Some(NatConfig::symmetric()),
    }
}

#[test]
fn simnets_models_behave_as_the_labs_boxes() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::None) {
        let found = probe(&mut Simulated::new(model(kind), false)).unwrap();
        assert_eq!(found, kind.behaviour(), "{kind}");
    }
}

#[test]
fn simnets_ipv6_firewall_behaves_as_the_labs() {
    let found = probe(&mut Simulated::new(model(Kind::PortRestricted), true)).unwrap();
    assert_eq!(found, Kind::ipv6_behaviour());
}

#[test]
fn a_host_without_a_nat_is_open() {
    let found = probe(&mut Simulated::new(None, false)).unwrap();
    // Its neighbour is just another host, which reaches it as everybody does.
    assert_eq!(found, Behaviour { hairpin: true, ..Kind::None.behaviour() });
}

#[test]
fn a_probe_tells_what_differs() {
    let hairpin = NatConfig::full_cone().hairpin(true);
    assert!(probe(&mut Simulated::new(Some(hairpin), false)).unwrap().hairpin);
    let sequential = NatConfig::port_restricted().port_choice(telemesh_simnet::PortChoice::Sequential);
    assert!(!probe(&mut Simulated::new(Some(sequential), false)).unwrap().port_preserved);
    let by_address = NatConfig::new(
        telemesh_simnet::Dependence::AddressDependent,
        telemesh_simnet::Dependence::AddressDependent,
    );
    assert_eq!(probe(&mut Simulated::new(Some(by_address), false)).unwrap().mapping, Dependence::Address);
}

//! An internet of namespaces: one in the middle that routes, places in the open around it, and homes behind boxes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};

use super::kinds::Kind;
use super::namespace::Namespace;

/// More places than this have no addresses in the lab.
const MOST_PLACES: u8 = 16;

/// Distinguishes the worlds of one run.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// Everything that is connected with everything else.
#[derive(Debug)]
pub(super) struct World {
    prefix: String,
    /// Routes between all places.
    internet: Namespace,
    places: u8,
}

/// Something that has a public address: a router, a server, a host, or the box of a home.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) namespace: Namespace,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
    /// The name of its interface in the internet, by which it can be cut off.
    pub(super) line: String,
    number: u8,
}

/// A home: a box with a network behind it. Without a NAT there is no box, and hosts are in the open.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) kind: Kind,
    /// The box, in the open as every place is.
    pub(super) outside: Place,
    name: String,
    hosts: u8,
}

/// A host in a home.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) namespace: Namespace,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

impl World {
    /// Only the middle.
    pub(super) fn new() -> Result<Self> {
        let prefix = format!("tm{}-{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let internet = Namespace::new(format!("{prefix}-internet"))?;
        route_packets(&internet)?;
        Ok(Self { prefix, internet, places: 0 })
    }

    /// A new place in the open.
    pub(super) fn place(&mut self, name: &str) -> Result<Place> {
        ensure!(self.places < MOST_PLACES, "too many places for one lab");
        let number = self.places;
        self.places += 1;
        let namespace = Namespace::new(format!("{}-{name}", self.prefix))?;
        let (ipv4, ipv6) = (public(number, 2), public_v6(number, 2));
        let (gateway, gateway_v6) = (public(number, 1), public_v6(number, 1));
        let line = format!("to-{name}");
        self.internet.ip(&format!(
            "link add {line} type veth peer name wan netns {there}
             address add {gateway}/28 dev {line}
             address add {gateway_v6}/64 dev {line} nodad
             link set {line} up",
            there = namespace.name()
        ))?;
        namespace.ip(&format!(
            "address add {ipv4}/28 dev wan
             address add {ipv6}/64 dev wan nodad
             link set wan up
             route add default via {gateway}
             route add default via {gateway_v6}"
        ))?;
        Ok(Place { namespace, ipv4, ipv6, line, number })
    }

    /// A home behind a box of this kind.
    pub(super) fn home(&mut self, name: &str, kind: Kind) -> Result<Home> {
        ensure!(kind != Kind::None, "without a NAT there is no home, only a place");
        let outside = self.place(&format!("{name}-box"))?;
        let lan = &outside.namespace;
        route_packets(lan)?;
        lan.ip(&format!(
            "link add lan type bridge
             address add 192.168.1.1/24 dev lan
             address add {}/64 dev lan nodad
             link set lan up",
            inner_v6(outside.number, 1)
        ))?;
        lan.nft(&kind.rules())?;
        // The provider knows whose network that is.
        self.internet.ip(&format!("route add {}/64 via {}", inner_v6(outside.number, 0), outside.ipv6))?;
        Ok(Home { kind, outside, name: name.to_owned(), hosts: 0 })
    }

    /// A new host in a home.
    pub(super) fn host(&self, home: &mut Home) -> Result<Host> {
        home.hosts += 1;
        let number = home.hosts + 1;
        let namespace = Namespace::new(format!("{}-{}{}", self.prefix, home.name, home.hosts))?;
        let (ipv4, ipv6) = (Ipv4Addr::new(192, 168, 1, number), inner_v6(home.outside.number, number));
        home.outside.namespace.ip(&format!(
            "link add port{number} type veth peer name eth netns {there}
             link set port{number} master lan up",
            there = namespace.name()
        ))?;
        namespace.ip(&format!(
            "address add {ipv4}/24 dev eth
             address add {ipv6}/64 dev eth nodad
             link set eth up
             route add default via 192.168.1.1
             route add default via {}",
            inner_v6(home.outside.number, 1)
        ))?;
        Ok(Host { namespace, ipv4, ipv6 })
    }

    /// Nothing of UDP passes between these two any more, in either direction.
    pub(super) fn block_udp(&self, one: &Place, other: &Place) -> Result<()> {
        let (one, other) = (&one.line, &other.line);
        self.internet.nft(&format!(
            "table inet cut {{ chain forward {{ type filter hook forward priority filter; policy accept;
               iifname {one} oifname {other} meta l4proto udp drop
               iifname {other} oifname {one} meta l4proto udp drop
             }}
             }}"
        ))
    }

    /// Nothing of UDP passes to and from these places any more, but with this port at the other end.
    pub(super) fn only_port(&self, places: [&Place; 2], port: u16) -> Result<()> {
        let lines = places.map(|place| place.line.as_str()).join(", ");
        self.internet.nft(&format!(
            "table inet strict {{
               chain forward {{
                 type filter hook forward priority filter; policy accept;
                 iifname {{ {lines} }} udp dport != {port} drop
                 oifname {{ {lines} }} udp sport != {port} drop
               }}
             }}"
        ))
    }

    /// The largest packet that a line carries, either way.
    pub(super) fn set_mtu(&self, place: &Place, bytes: u16) -> Result<()> {
        self.internet.ip(&format!("link set {} mtu {bytes}", place.line))?;
        place.namespace.ip(&format!("link set wan mtu {bytes}"))
    }

    /// Larger packets vanish between all places, and nobody is told.
    pub(super) fn swallow_over(&self, bytes: u16) -> Result<()> {
        self.internet.nft(&format!(
            "table inet hole {{
               chain forward {{
                 type filter hook forward priority filter; policy accept;
                 meta length > {bytes} drop
               }}
             }}"
        ))
    }

    /// A second line to a place, of the same width, which its packets take when the first one has gone.
    pub(super) fn second_line(&mut self, place: &Place) -> Result<()> {
        ensure!(self.places < MOST_PLACES, "too many lines for one lab");
        let number = self.places;
        self.places += 1;
        let (ipv4, gateway, line) = (public(number, 2), public(number, 1), format!("{}-2", place.line));
        self.internet.ip(&format!(
            "link add {line} type veth peer name wan2 netns {there}
             address add {gateway}/28 dev {line}
             link set {line} up",
            there = place.namespace.name()
        ))?;
        place.namespace.ip(&format!(
            "address add {ipv4}/28 dev wan2
             link set wan2 up
             route add default via {gateway} metric 500"
        ))
    }
}

impl Place {
    /// Another address of its network, from 1 to 12.
    pub(super) fn spare(&self, nth: u8) -> Ipv4Addr {
        public(self.number, 2 + nth)
    }

    /// The internet's address on its line.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        public(self.number, 1)
    }
}

impl Home {
    /// Restarts the box: it forgets every mapping and every permission.
    pub(super) fn reboot(&self) -> Result<()> {
        let namespace = &self.outside.namespace;
        namespace.nft(&format!("delete table ip nat\ndelete table inet guard\n{}", self.kind.rules()))?;
        namespace.forget_connections()
    }

    pub(super) fn external(&self) -> IpAddr {
        self.outside.ipv4.into()
    }
}

/// Makes a namespace pass packets on between its interfaces.
fn route_packets(namespace: &Namespace) -> Result<()> {
    namespace.set(&[
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
    ])
}

/// Addresses for documentation (RFC 5737): each place has a network of sixteen, the internet the first of it.
fn public(place: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, place * 16 + host)
}

/// The same of RFC 3849.
fn public_v6(place: u8, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, place.into(), 0, 0, 0, host)
}

/// A home's network, which is public too: IPv6 is not translated.
fn inner_v6(place: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 2, place.into(), 0, 0, 0, host.into())
}

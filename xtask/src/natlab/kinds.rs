//! The kinds of NAT under their older names, what they are in RFC 4787's terms, and the rules that make the kernel
//! behave so.

use std::fmt;

use super::behaviour::{Behaviour, Dependence};

/// How a home is joined to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// A public address and nothing in between.
    None,
    /// One mapping for all, and everybody may send to it.
    FullCone,
    /// One mapping for all; addresses that were sent to may send back, from any port.
    AddressRestricted,
    /// One mapping for all; only what was sent to may send back, address and port.
    PortRestricted,
    /// A random port for each destination, which alone may send back.
    Symmetric,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::None, Self::FullCone, Self::AddressRestricted, Self::PortRestricted, Self::Symmetric];

    /// What a probe must find out about it over IPv4.
    pub(super) fn behaviour(self) -> Behaviour {
        use Dependence::{Address, AddressAndPort, Endpoint};
        let (mapping, filtering) = match self {
            Self::None | Self::FullCone => (Endpoint, Endpoint),
            Self::AddressRestricted => (Endpoint, Address),
            Self::PortRestricted => (Endpoint, AddressAndPort),
            Self::Symmetric => (AddressAndPort, AddressAndPort),
        };
        Behaviour {
            mapping,
            filtering,
            port_preserved: self != Self::Symmetric,
            unsolicited: self == Self::None,
            hairpin: false,
            survives_reboot: self == Self::None,
        }
    }

    /// What a probe must find out about any of them over IPv6: no translation, and a firewall that lets in what was asked.
    pub(super) fn ipv6_behaviour() -> Behaviour {
        // A firewall translates nothing, so a host inside is reached at its own address by its neighbour.
        Behaviour { hairpin: true, ..Self::PortRestricted.behaviour() }
    }

    /// Rules for a box whose interfaces are `wan` and `lan`.
    ///
    /// Masquerade alone keeps the port where it is free and filters by address and port, since the kernel knows
    /// connections by both: that is a port-restricted NAT. The two softer kinds learn in a map which external port is
    /// whose, as the translated packet leaves, and translate what comes in unasked by that map. The input chain drops
    /// what nobody asked for. Otherwise the box itself would take such a packet for the begin of a connection with it,
    /// and a mapping made later would have to move to another port.
    pub(super) fn rules(self) -> String {
        let masquerade =
            if self == Self::Symmetric { "masquerade random,fully-random" } else { "masquerade" };
        let asked = match self {
            Self::FullCone => "udp dport @mapped",
            Self::AddressRestricted => "udp dport . ip saddr @asked",
            _ => "",
        };
        let (learn, translate) = if asked.is_empty() {
            (String::new(), String::new())
        } else {
            let learn = "
    oifname \"wan\" udp sport != 0 update @mappings { udp sport : ct original ip saddr . ct original proto-src }
    oifname \"wan\" udp sport != 0 update @mapped { udp sport }
    oifname \"wan\" udp sport != 0 update @asked { udp sport . ip daddr }";
            let translate = format!("iifname \"wan\" {asked} dnat to udp dport map @mappings");
            (learn.to_owned(), translate)
        };
        format!(
            "table ip nat {{
  map mappings {{ type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; size 65535; timeout 120s; }}
  set mapped {{ type inet_service; flags dynamic,timeout; size 65535; timeout 120s; }}
  set asked {{ type inet_service . ipv4_addr; flags dynamic,timeout; size 65535; timeout 120s; }}
  chain translate_in {{ type nat hook prerouting priority dstnat; policy accept;
    {translate}
  }}
  chain translate_out {{ type nat hook postrouting priority srcnat; policy accept;
    oifname \"wan\" {masquerade}
  }}
  chain learn {{ type filter hook postrouting priority srcnat + 10; policy accept;{learn}
  }}
}}
table inet guard {{
  chain input {{ type filter hook input priority filter; policy drop;
    iifname \"lo\" accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    ct state established,related accept
  }}
  chain forward {{ type filter hook forward priority filter; policy drop;
    iifname \"lan\" accept
    ct state established,related accept
    ct status dnat accept
  }}
}}
"
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::FullCone => "full-cone",
            Self::AddressRestricted => "address-restricted",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
        })
    }
}

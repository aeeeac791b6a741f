//! What is different between two configurations, and what of that a running endpoint can take over.

use std::fmt;

use telemesh::ContactName;

use super::Config;

/// A setting that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// `listen`.
    Listen,
    /// `public`.
    Public,
    /// `router`.
    Router,
    /// `log`.
    Log,
    /// `max_links`.
    MaxLinks,
    /// `survive_down`.
    SurviveDown,
    /// `discover`.
    Discover,
    /// `mdns`.
    Mdns,
    /// `network.port_mapping`.
    PortMapping,
    /// `box`.
    Cache,
    /// One of the quotas of `box`.
    Quotas,
    /// `box_tell`.
    BoxTell,
    /// `box_via`.
    BoxVia,
    /// `serve`.
    Serve,
    /// A contact that was not there before.
    ContactAdded(ContactName),
    /// A contact with another link or other grants. Another hashname under the same name is one too.
    ContactChanged(ContactName),
    /// A contact that is not there any more, and whose links end.
    ContactRemoved(ContactName),
}

impl Change {
    /// Whether it counts only from the next start on: sockets and tables are made at the start.
    pub(crate) fn needs_restart(&self) -> bool {
        match self {
            Self::Listen
            | Self::Public
            | Self::Router
            | Self::MaxLinks
            | Self::SurviveDown
            | Self::Cache
            | Self::Quotas
            | Self::BoxTell
            | Self::Mdns
            | Self::PortMapping
            | Self::Serve => true,
            Self::Log
            | Self::Discover
            | Self::BoxVia
            | Self::ContactAdded(_)
            | Self::ContactChanged(_)
            | Self::ContactRemoved(_) => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen => f.write_str("listen"),
            Self::Public => f.write_str("public"),
            Self::Router => f.write_str("router"),
            Self::Log => f.write_str("log"),
            Self::MaxLinks => f.write_str("max_links"),
            Self::SurviveDown => f.write_str("survive_down"),
            Self::Discover => f.write_str("discover"),
            Self::Mdns => f.write_str("mdns"),
            Self::PortMapping => f.write_str("network.port_mapping"),
            Self::Cache => f.write_str("box"),
            Self::Quotas => f.write_str("quotas of box"),
            Self::BoxTell => f.write_str("box_tell"),
            Self::BoxVia => f.write_str("box_via"),
            Self::Serve => f.write_str("serve"),
            Self::ContactAdded(name) => write!(f, "contact {name} added"),
            Self::ContactChanged(name) => write!(f, "contact {name} changed"),
            Self::ContactRemoved(name) => write!(f, "contact {name} removed"),
        }
    }
}

impl Config {
    /// All that is different in a newer configuration.
    pub(crate) fn changes(&self, new: &Self) -> Vec<Change> {
        // Taken apart, so that a new setting cannot be forgotten here.
        let Self {
            listen,
            public,
            router,
            log,
            max_links,
            survive_down,
            discover,
            mdns,
            port_mapping,
            cache,
            quotas,
            box_tell,
            box_via,
            serve,
            contacts,
        } = self;
        let settings = [
            (*listen != new.listen, Change::Listen),
            (*public != new.public, Change::Public),
            (*router != new.router, Change::Router),
            (*log != new.log, Change::Log),
            (*max_links != new.max_links, Change::MaxLinks),
            (*survive_down != new.survive_down, Change::SurviveDown),
            (*discover != new.discover, Change::Discover),
            (*mdns != new.mdns, Change::Mdns),
            (*port_mapping != new.port_mapping, Change::PortMapping),
            (*cache != new.cache, Change::Cache),
            (*quotas != new.quotas, Change::Quotas),
            (*box_tell != new.box_tell, Change::BoxTell),
            (*box_via != new.box_via, Change::BoxVia),
            (*serve != new.serve, Change::Serve),
        ];
        let mut changes: Vec<Change> =
            settings.into_iter().filter_map(|(differs, change)| differs.then_some(change)).collect();
        for (name, contact) in contacts {
            match new.contacts.get(name) {
                None => changes.push(Change::ContactRemoved(name.clone())),
                Some(other) if other != contact => changes.push(Change::ContactChanged(name.clone())),
                Some(_) => {}
            }
        }
        let added = new.contacts.keys().filter(|name| !contacts.contains_key(*name));
        changes.extend(added.map(|name| Change::ContactAdded(name.clone())));
        changes
    }
}

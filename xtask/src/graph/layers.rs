//! The layers of the project: the one table that `graph` checks the manifests against. A dependency points downward;
//! what else is allowed is declared here, with its reason.

/// Crates of the same height, which do not know each other.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) crates: &'static [&'static str],
    /// Crates further down that these must not depend on all the same.
    pub(super) never: &'static [&'static str],
}

/// All layers, the highest first.
pub(super) const LAYERS: &[Layer] = &[
    Layer { name: "program", crates: &["telemesh-cli", "telemesh-notes", "telemesh-testkit"], never: &[] },
    Layer { name: "facade", crates: &["telemesh"], never: &[] },
    // A channel works over any Opener and Acceptor, so it is usable and testable without the runtime.
    Layer {
        name: "channels",
        crates: &[
            "telemesh-box",
            "telemesh-chat",
            "telemesh-connect",
            "telemesh-files",
            "telemesh-path",
            "telemesh-peer",
            "telemesh-sock",
            "telemesh-stream",
            "telemesh-thtp",
            "telemesh-ws",
        ],
        never: &[
            "telemesh-engine",
            "telemesh-link",
            "telemesh-mdns",
            "telemesh-mesh",
            "telemesh-portmap",
            "telemesh-quic",
            "telemesh-transport",
            "telemesh-udp",
            "telemesh-watch",
        ],
    },
    // What an endpoint keeps on a disk, for whoever wants it there: mesh knows only the trait.
    Layer {
        name: "stores",
        crates: &["telemesh-store"],
        never: &["telemesh-engine", "telemesh-link", "telemesh-transport"],
    },
    // Above mesh, so that an arrow from mesh to a transport is an upward one. They carry packets without knowing
    // what is inside, or tell what the network is like, for whoever uses the traits.
    Layer {
        name: "transports",
        crates: &["telemesh-mdns", "telemesh-portmap", "telemesh-quic", "telemesh-udp", "telemesh-watch"],
        never: &["telemesh-channel", "telemesh-engine", "telemesh-link", "telemesh-mesh"],
    },
    Layer { name: "mesh", crates: &["telemesh-mesh"], never: &[] },
    // What people hold in their hands; how the bytes travel is mesh's business.
    Layer {
        name: "channel",
        crates: &["telemesh-channel"],
        never: &["telemesh-engine", "telemesh-link", "telemesh-transport"],
    },
    Layer {
        name: "protocol",
        crates: &["telemesh-engine", "telemesh-link", "telemesh-transport"],
        never: &[],
    },
    Layer { name: "formats", crates: &["telemesh-keys", "telemesh-wire"], never: &[] },
    // Real sockets around the simulated network, and the chores, which know none of what they look after.
    Layer { name: "tools", crates: &["telemesh-wan", "xtask"], never: &["telemesh-hashname"] },
    // The simulated network knows none of ours either, so any arrow from it is a wrong one. The database knows files only.
    Layer {
        name: "base",
        crates: &["telemesh-database", "telemesh-hashname", "telemesh-simnet"],
        never: &[],
    },
];

/// Arrows within one layer that are wanted.
pub(super) const DECLARED: &[(&str, &str)] = &[
    // A WebSocket starts as an HTTP request.
    ("telemesh-ws", "telemesh-thtp"),
    // One of the chores is a bad network.
    ("xtask", "telemesh-wan"),
];

/// Crates that only tests use, and each other. Every crate's dev-dependencies may name them, whatever the layer.
pub(super) const TEST_ONLY: &[&str] = &["telemesh-simnet", "telemesh-testkit", "telemesh-wan", "xtask"];

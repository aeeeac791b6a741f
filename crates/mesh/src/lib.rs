//! The runtime: an endpoint, its links, trust and events.

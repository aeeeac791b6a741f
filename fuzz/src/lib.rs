//! What is fuzzed, as functions of the fuzzer's bytes. Each panics when something is wrong and returns when nothing is.
//!
//! The files in `fuzz_targets/` only call these, so that the tests here can put the checked-in seeds through them with an
//! ordinary compiler. Most take bytes from outside and assert that what was decoded can be encoded and means the same
//! then. Three have a state: [`engine`] and [`link`] are pairs of endpoints whose packets, times and owners the fuzzer
//! plays, [`router`] whole meshes around a router. [README](https://github.com/telemesh/telemesh/blob/main/fuzz/README.md) says how to run and extend them.

mod address;
mod boxes;
mod chat;
mod engine;
mod files;
mod framing;
mod http;
mod identity;
mod input;
mod link;
mod mdns;
mod packet;
mod quic;
mod router;
pub mod seeds;
mod sock;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use address::{link_json, link_target, link_uri, path_address};
pub use boxes::boxes;
pub use chat::chat;
pub use engine::engine;
pub use files::files;
pub use framing::messages;
pub use http::thtp;
pub use identity::{hashname, key_file, rollup_of_keys as rollup, sealed};
pub use link::link;
pub use mdns::mdns;
pub use packet::{packet, record};
pub use quic::quic;
pub use router::router;
pub use sock::sock;
pub use stream::stream;
pub use wire::{answer, control, frame, hello, introduction, open};

/// A target's function.
pub type Target = fn(&[u8]);

/// All targets by name. `cargo xtask fuzz` takes theirs from the manifest; a test compares the two.
pub const TARGETS: [(&str, Target); 28] = [
    ("hashname", hashname),
    ("rollup", rollup),
    ("key_file", key_file),
    ("sealed", sealed),
    ("hello", hello),
    ("open", open),
    ("answer", answer),
    ("control", control),
    ("frame", frame),
    ("introduction", introduction),
    ("path_address", path_address),
    ("link_json", link_json),
    ("link_uri", link_uri),
    ("link_target", link_target),
    ("mdns", mdns),
    ("packet", packet),
    ("record", record),
    ("quic", quic),
    ("messages", messages),
    ("stream", stream),
    ("boxes", boxes),
    ("files", files),
    ("sock", sock),
    ("thtp", thtp),
    ("chat", chat),
    ("engine", engine),
    ("link", link),
    ("router", router),
];

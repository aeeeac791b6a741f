//! Scenarios: gates and links joined by a small simulated network under virtual time.

mod golden;
mod handshake;
mod harness;
mod hostile;
mod paths;
mod protocol_page;
mod sessions;
mod simulation;

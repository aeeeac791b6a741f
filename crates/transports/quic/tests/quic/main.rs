//! Real sockets on loopback: packets over QUIC, and strangers who get nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod connections;
mod nobody;
mod packets;
mod silence;
mod support;

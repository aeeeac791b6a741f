//! Scenarios between two endpoints in memory, as one program: linking it once is cheaper than once per file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bodies;
mod ends;
mod folders;
mod gateway;
mod proxies;
mod requests;
mod run;
mod upgrades;

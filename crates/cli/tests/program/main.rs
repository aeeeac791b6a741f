//! The real program, run as people and scripts run it: processes on this machine, linked over loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, their helpers too"
)]

#[cfg(unix)]
mod boxes;
mod chat;
mod config;
mod contacts;
#[cfg(unix)]
mod control;
mod demo;
mod describing;
mod discover;
mod doctor;
mod errors;
#[cfg(unix)]
mod http;
mod identity;
mod install;
mod key;
mod measuring;
#[cfg(unix)]
mod mortality;
mod pipe;
#[cfg(target_os = "linux")]
mod secrecy;
mod support;
#[cfg(unix)]
mod transfers;
#[cfg(unix)]
mod tunnels;
mod up;

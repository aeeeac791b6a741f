//! Scenarios: gates and links joined by a small simulated network under virtual time.

mod golden;
mod handshake;
mod harness;
mod hostile;
mod load;
mod paths;
mod protocol_page;
mod restarts;
mod returning;
mod sessions;
mod simulation;

/// Some instant from which virtual time goes on.
pub(crate) fn start() -> std::time::Instant {
    #[allow(clippy::disallowed_methods, reason = "virtual time has to start from some instant")]
    std::time::Instant::now()
}

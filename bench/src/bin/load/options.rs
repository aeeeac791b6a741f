//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures what one endpoint stands. Needs Linux and two cores, better alone.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Thousands of idle links: memory, CPU, time until all are up, and again after a restart
    Links(Links),
    /// Initiations that are not wanted: CPU for each, and what a transfer notices of them
    Flood(Flood),
    /// Requests beside a stalled reader, panicking handlers and a peer that opens channels as fast as it can
    Neighbours(Neighbours),
    /// Time from the wish for a link to its first byte: known address, through a router, by hashname; then until it is direct
    FirstByte(FirstByte),
    /// Time from process start to ready, size of the program, time to build the facade
    Start(Start),
    /// The measured endpoint
    #[command(hide = true)]
    Endpoint(Endpoint),
    /// An endpoint that links to the measured one
    #[command(hide = true)]
    Client(Client),
    /// Keeps a core from sleeping
    #[command(hide = true)]
    Spin(Spin),
}

#[derive(Debug, Args)]
pub(crate) struct Links {
    /// Links to the measured endpoint
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) count: u32,
    /// Sockets of the peers, each with an address of its own
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) sockets: u16,
    /// Seconds in which nothing happens
    #[arg(long, default_value_t = 60)]
    pub(crate) idle: u64,
    /// The measured endpoint is a router, and all peers are led by it: when it starts again it initiates to them
    #[arg(long)]
    pub(crate) router: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FirstByte {
    /// Links of each kind, each with an endpoint that nobody has met
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) runs: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Flood {
    /// Packets per second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=200_000))]
    pub(crate) rate: u32,
    /// Addresses that they come from
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) sockets: u16,
    /// Seconds of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// MiB of each transfer
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) size_mib: u64,
    /// Transfers with each kind and without
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Neighbours {
    /// Runs with and without each disturbance; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Requests per run on each link, one about every millisecond
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub(crate) requests: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Starts of the program
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Leave out building the facade, which takes minutes
    #[arg(long)]
    pub(crate) no_build: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Endpoint {
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Joins its peers by circuits, and keeps its links up
    #[arg(long)]
    pub(crate) router: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Client {
    /// URI with an invite of the measured endpoint
    #[arg(long)]
    pub(crate) invite: String,
    /// Goes before other clients
    #[arg(long)]
    pub(crate) first: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Spin {
    #[arg(long)]
    pub(crate) core: usize,
}

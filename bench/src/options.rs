//! The command line, and the names of workloads and peers that it shares with the samples.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Measures telemesh, its peers and this machine's floor with the same work for each of them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Only these workloads, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Workload>,
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<PeerName>,
    /// How often each peer is measured; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// How much work one measurement does.
    #[command(flatten)]
    pub(crate) amounts: Amounts,
    /// Wait until other programs are quiet before each measurement, and repeat what they disturbed nevertheless
    #[arg(long)]
    pub(crate) quiet_machine: bool,
    /// Print one JSON object per sample and per summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the tables as markdown (the default without `--json`)
    #[arg(long)]
    pub(crate) markdown: bool,
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// How much work one measurement does.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Amounts {
    /// MiB that `throughput` sends over its stream
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) size_mib: u64,
    /// Requests that `rtt` measures after its warm-up
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) requests: u32,
    /// Connections that `connect` makes one after the other
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
    /// Connections that `memory` holds open at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) links: u32,
}

/// Another measurement, or what the drivers ask their own child processes to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// One stream over bad lines: loss, delay and a rate, through `telemesh-wan`
    Wan(WanOptions),
    /// One measurement over one line; prints one sample
    #[command(hide = true)]
    MeasureWan(WanTask),
    /// What it costs to stand in the middle: a router, a plain forwarder, iroh's relay; and the round trip through them
    Forwarding(ForwardingOptions),
    /// One measurement of one way; prints one sample
    #[command(hide = true)]
    MeasureForwarding(ForwardingTask),
    /// What stands in the middle
    #[command(hide = true)]
    Middle(MiddleTask),
    /// One TCP connection through a tunnel: `forward`, iroh with a copy loop, `ssh -L`, and without one
    Tunnel(TunnelOptions),
    /// One end of a tunnel
    #[command(hide = true)]
    TunnelEnd(TunnelEndTask),
    /// One measurement; prints one sample
    #[command(hide = true)]
    Measure(MeasureTask),
    /// A server that reports its memory when asked
    #[command(hide = true)]
    Serve(ServeTask),
}

/// Over which lines whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct WanOptions {
    /// Only these peers, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<PeerName>,
    /// Percent of the packets that are lost at random, each way; several are separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1.0, 5.0, 12.0, 25.0])]
    pub(crate) loss: Vec<f64>,
    /// Round trips in milliseconds
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100, 200, 600])]
    pub(crate) rtt: Vec<u64>,
    /// Rate of the line in Mbit/s; its queue holds a tenth of a second of it
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) mbit: u64,
    /// Seconds that each stream has, from its first byte
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// How often each peer is measured on each line, with other losses each time; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
}

/// One measurement of one peer over one line.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WanTask {
    #[arg(long)]
    pub(crate) peer: PeerName,
    #[arg(long)]
    pub(crate) loss: f64,
    #[arg(long)]
    pub(crate) rtt: u64,
    #[arg(long)]
    pub(crate) mbit: u64,
    #[arg(long)]
    pub(crate) seconds: u64,
    /// Decides which packets are lost.
    #[arg(long)]
    pub(crate) seed: u64,
}

/// Which ways, and how much goes through each.
#[derive(Clone, Debug, Args)]
pub(crate) struct ForwardingOptions {
    /// Only these ways, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) ways: Vec<Way>,
    /// MiB that one stream sends through the middle
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) size_mib: u64,
    /// Round trips through the middle after its warm-up
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub(crate) requests: u32,
    /// How often each way is measured; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Let the kernel place the ends and the middle on all cores, for the throughput of the whole; CPU is compared without this
    #[arg(long)]
    pub(crate) unpinned: bool,
}

/// One measurement of one way.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ForwardingTask {
    #[command(flatten)]
    pub(crate) middle: MiddleTask,
    #[arg(long)]
    pub(crate) size_mib: u64,
    #[arg(long)]
    pub(crate) requests: u32,
}

/// What stands in the middle, and whether it has a core of its own.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MiddleTask {
    #[arg(long)]
    pub(crate) way: Way,
    #[arg(long)]
    pub(crate) unpinned: bool,
}

impl MiddleTask {
    /// As the command line of a child process has it.
    pub(crate) fn arguments(self) -> Vec<String> {
        let unpinned = self.unpinned.then(|| "--unpinned".to_owned());
        ["--way".to_owned(), name_of(self.way)].into_iter().chain(unpinned).collect()
    }

    /// `core`, unless the kernel is to choose.
    pub(crate) fn core(self, core: usize) -> Option<usize> {
        (!self.unpinned).then_some(core)
    }
}

/// Through what two endpoints reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// A forwarder that makes the same socket calls as a router, and nothing else
    Plain,
    /// A router of ours
    Router,
    /// iroh's relay, over plain HTTP
    #[cfg(feature = "iroh")]
    IrohRelay,
}

/// Which tunnels, and how much goes through each.
#[derive(Clone, Debug, Args)]
pub(crate) struct TunnelOptions {
    /// Only these ways, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) ways: Vec<TunnelWay>,
    /// MiB that go there, and then back
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) size_mib: u64,
    /// Round trips of one byte, after a tenth as many that are not measured
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub(crate) requests: u32,
    /// How often each way is measured; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Threads that tokio has in each end of telemesh and iroh
    #[arg(long, default_value_t = 1, value_parser = threads)]
    pub(crate) threads: usize,
}

/// One end of a tunnel: the far one has a target, the near one is told the rest.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TunnelEndTask {
    #[arg(long)]
    pub(crate) way: TunnelWay,
    #[arg(long, value_parser = threads)]
    pub(crate) threads: usize,
    #[arg(long)]
    pub(crate) target: Option<SocketAddr>,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=64) => Ok(threads),
        _ => Err("a number from 1 to 64 is wanted".to_owned()),
    }
}

/// Through what a TCP connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum TunnelWay {
    /// Nothing: client and server are connected to each other
    None,
    /// Two endpoints of ours, as `telemesh forward` joins them
    Telemesh,
    /// Two endpoints of iroh, a stream for each connection, tokio's copy loop with its buffers of 8 KiB
    #[cfg(feature = "iroh")]
    Iroh,
    /// The same with buffers of 64 KiB
    #[cfg(feature = "iroh")]
    IrohWide,
    /// `ssh -L` to a server of ours; left out where there is none
    Ssh,
}

/// One measurement of one peer.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct MeasureTask {
    #[arg(long)]
    pub(crate) workload: Workload,
    #[arg(long)]
    pub(crate) peer: PeerName,
    #[arg(long)]
    pub(crate) run: u32,
    #[command(flatten)]
    pub(crate) amounts: Amounts,
}

/// A server in a process of its own.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ServeTask {
    #[arg(long)]
    pub(crate) peer: PeerName,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// One stream, one direction, as fast as it goes
    Throughput,
    /// 64-byte requests and answers on one open stream
    Rtt,
    /// New connections, each with a first 64-byte echo
    Connect,
    /// Memory of a server process per inbound connection
    Memory,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerName {
    /// The machine itself: bare UDP sockets, sealed datagrams without reliability, bare Noise handshakes
    Floor,
    /// telemesh, links over UDP
    Telemesh,
    /// quinn, QUIC with TLS certificates
    Quinn,
    /// iroh without relay or discovery
    #[cfg(feature = "iroh")]
    Iroh,
    /// rust-libp2p over QUIC
    #[cfg(feature = "libp2p")]
    Libp2pQuic,
    /// rust-libp2p over TCP with Noise and yamux
    #[cfg(feature = "libp2p")]
    Libp2pTcp,
}

impl PeerName {
    /// Whether this peer has something to measure under `workload`.
    pub(crate) fn takes_part_in(self, workload: Workload) -> bool {
        // Memory has no floor worth a name: without state a connection costs nothing.
        !(self == Self::Floor && workload == Workload::Memory)
    }
}

/// The name that the command line knows `value` by.
pub(crate) fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

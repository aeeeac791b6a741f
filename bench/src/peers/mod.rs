//! Who is measured, one module per implementation.

#[cfg(feature = "iroh")]
pub(crate) mod iroh;
#[cfg(feature = "libp2p")]
mod libp2p;
mod quinn;
pub(crate) mod telemesh;

use std::{
    io::{BufRead as _, Write as _, stdin, stdout},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use anyhow::{Result, bail};

use crate::{
    cores::{self, SERVER_CORE},
    floor, machine,
    options::{MeasureTask, PeerName, WanTask},
    peer::{Host, Peer},
    sample::Findings,
    workloads::{self, memory::Status},
};

/// Where everybody binds: nothing of a benchmark leaves the machine.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Bytes of UDP payload per datagram that all peers on UDP use: what fits an Ethernet frame with IPv6's header. Without
/// one size for all, loopback's large frames would decide the comparison.
pub(crate) const UDP_PAYLOAD: u16 = 1452;

/// Measures the peer that the task names.
pub(crate) fn measure(task: MeasureTask) -> Result<Findings> {
    match task.peer {
        PeerName::Floor => floor::measure(task),
        PeerName::Telemesh => workloads::measure::<telemesh::Telemesh>(task),
        PeerName::Quinn => workloads::measure::<quinn::Quinn>(task),
        #[cfg(feature = "iroh")]
        PeerName::Iroh => workloads::measure::<iroh::Iroh>(task),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pQuic => workloads::measure::<libp2p::OverQuic>(task),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pTcp => workloads::measure::<libp2p::OverTcp>(task),
    }
}

/// Measures the peer that the task names over a bad line.
pub(crate) fn measure_wan(task: WanTask) -> Result<Findings> {
    match task.peer {
        PeerName::Floor => bail!("the floor has no streams"),
        PeerName::Telemesh => workloads::wan::measure::<telemesh::Telemesh>(task),
        PeerName::Quinn => workloads::wan::measure::<quinn::Quinn>(task),
        #[cfg(feature = "iroh")]
        PeerName::Iroh => workloads::wan::measure::<iroh::Iroh>(task),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pQuic => workloads::wan::measure::<libp2p::OverQuic>(task),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pTcp => bail!("only UDP goes over the line"),
    }
}

/// Runs a server of `peer` until standard input ends, and answers each line there with the process's [`Status`].
pub(crate) fn serve(peer: PeerName) -> Result<()> {
    match peer {
        PeerName::Floor => bail!("the floor has no server of its own"),
        PeerName::Telemesh => serve_until_input_ends::<telemesh::Telemesh>(),
        PeerName::Quinn => serve_until_input_ends::<quinn::Quinn>(),
        #[cfg(feature = "iroh")]
        PeerName::Iroh => serve_until_input_ends::<iroh::Iroh>(),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pQuic => serve_until_input_ends::<libp2p::OverQuic>(),
        #[cfg(feature = "libp2p")]
        PeerName::Libp2pTcp => serve_until_input_ends::<libp2p::OverTcp>(),
    }
}

fn serve_until_input_ends<P: Peer>() -> Result<()> {
    machine::raise_file_limit();
    let (host, address) = Host::new();
    let counted = host.clone();
    let server = cores::spawn("server", SERVER_CORE, move || P::serve(host))?;
    let Ok(address) = address.recv() else {
        return server.join();
    };
    let mut output = stdout().lock();
    writeln!(output, "{address}")?;
    output.flush()?;
    for line in stdin().lock().lines() {
        line?;
        let status = Status { connections: counted.connections(), resident_kib: machine::resident_kib()? };
        writeln!(output, "{}", serde_json::to_string(&status)?)?;
        output.flush()?;
    }
    Ok(())
}

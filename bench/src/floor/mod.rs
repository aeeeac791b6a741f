//! The machine's own limits, which no peer can beat: sealed datagrams in batches without any reliability, two bare UDP
//! sockets, and bare Noise handshakes without a network.

mod datagrams;
mod handshake;
mod sealed;

use anyhow::{Result, bail};

use crate::{
    options::{MeasureTask, Workload},
    sample::Findings,
};

/// Measures the machine under the task's workload.
pub(crate) fn measure(task: MeasureTask) -> Result<Findings> {
    let amounts = task.amounts;
    match task.workload {
        Workload::Throughput => sealed::transfer(amounts.size_mib),
        Workload::Rtt => datagrams::rtt(amounts.requests),
        Workload::Connect => handshake::connect(amounts.connections),
        Workload::Memory => bail!("the floor has no memory per connection"),
    }
}

//! What is measured, written once for all peers.

pub(crate) mod connect;
pub(crate) mod memory;
pub(crate) mod rtt;
pub(crate) mod throughput;
pub(crate) mod wan;

use std::future::Future;

use anyhow::{Result, anyhow};
use tokio::sync::oneshot;

use crate::{
    cores::{self, CLIENT_CORE, SERVER_CORE},
    options::{MeasureTask, Workload},
    peer::{Host, Peer},
    sample::Findings,
};

/// Measures `P` under the task's workload.
///
/// # Errors
/// Whatever goes wrong in the peer; a measurement with an error has no figures.
pub(crate) fn measure<P: Peer>(task: MeasureTask) -> Result<Findings> {
    let amounts = task.amounts;
    match task.workload {
        Workload::Throughput => {
            pair::<P, _, _>(move |address| throughput::client::<P>(address, amounts.size_mib))
        }
        Workload::Rtt => pair::<P, _, _>(move |address| rtt::client::<P>(address, amounts.requests)),
        Workload::Connect => {
            pair::<P, _, _>(move |address| connect::client::<P>(address, amounts.connections))
        }
        Workload::Memory => memory::measure::<P>(task.peer, amounts.links),
    }
}

/// Runs a server of `P` on one core and `client` on the other, until the client is done.
fn pair<P, C, F>(client: C) -> Result<Findings>
where
    P: Peer,
    C: FnOnce(String) -> F + Send + 'static,
    F: Future<Output = Result<Findings>>,
{
    pair_on::<P, C, F>(Some(SERVER_CORE), Some(CLIENT_CORE), client)
}

/// Runs a server of `P` and `client` on these cores, or wherever the kernel puts them, until the client is done.
pub(crate) fn pair_on<P, C, F>(servers: Option<usize>, clients: Option<usize>, client: C) -> Result<Findings>
where
    P: Peer,
    C: FnOnce(String) -> F + Send + 'static,
    F: Future<Output = Result<Findings>>,
{
    let (host, address) = Host::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = cores::spawn("server", servers, move || async move {
        tokio::select! {
            outcome = P::serve(host) => outcome.and_then(|()| Err(anyhow!("the server ended too early"))),
            _ = stopped => Ok(()),
        }
    })?;
    let Ok(address) = address.recv() else {
        server.join()?;
        return Err(anyhow!("the server never listened"));
    };
    let outcome = cores::spawn("client", clients, move || client(address))?.join();
    drop(stop);
    let served = server.join();
    // The client's error comes first: the server usually fails because of it.
    let findings = outcome?;
    served?;
    Ok(findings)
}

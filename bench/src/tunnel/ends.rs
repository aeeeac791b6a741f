//! The ends of a tunnel that are libraries: ours and iroh, each end a process of its own.
//!
//! The *far* end is started with what it leads to, and says how to dial it; the *near* end is told that, and says where it listens.

use std::{net::SocketAddr, sync::Arc, thread};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use telemesh::{
    Invite, Link, Mesh, SockNetwork as _,
    sock::{Over, forward},
};
use telemesh_bench::child::{self, Process};
use tokio::runtime::{Builder, Handle};

#[cfg(feature = "iroh")]
use super::through_iroh;
use crate::{
    options::{TunnelEndTask, TunnelWay, name_of},
    peer::Peer as _,
    peers::{
        LOOPBACK,
        telemesh::{Telemesh, endpoint},
    },
};

/// Both ends, for whoever measures.
pub(super) struct Tunnel {
    entrance: SocketAddr,
    roots: [u32; 2],
    near: Process,
    _far: Process,
}

/// What the near end is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Question {
    /// To dial the far end and to listen for what goes to the target; it answers where.
    Dial { place: String, target: SocketAddr },
    /// Bytes of the tunnel's datagrams.
    Payload,
}

impl Tunnel {
    /// Starts both ends and joins them.
    pub(super) fn start(way: TunnelWay, threads: usize, target: SocketAddr) -> Result<Self> {
        let (way, threads, leads_to) = (name_of(way), threads.to_string(), target.to_string());
        let task = ["tunnel-end", "--way", &way, "--threads", &threads];
        let (far, place) = Process::start::<String>(&[&task[..], &["--target", &leads_to]].concat(), true)?;
        let (mut near, _) = Process::start::<String>(&task, true)?;
        let entrance = near.ask::<String>(&Question::Dial { place, target })?.parse()?;
        Ok(Self { entrance, roots: [near.id(), far.id()], near, _far: far })
    }

    /// Where connections come in.
    pub(super) fn entrance(&self) -> SocketAddr {
        self.entrance
    }

    /// The two processes.
    pub(super) fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Bytes of the tunnel's datagrams now.
    pub(super) fn payload(&mut self) -> Result<String> {
        self.near.ask(&Question::Payload)
    }
}

/// Runs one end until its input ends.
///
/// # Errors
/// Whatever goes wrong in the library; the near end says its errors in its answers.
pub(crate) fn run(task: &TunnelEndTask) -> Result<()> {
    let mut builder = match task.threads {
        // As `telemesh up` has it.
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if task.threads > 1 {
        builder.worker_threads(task.threads);
    }
    let runtime = builder.enable_all().build()?;
    let handle = runtime.handle().clone();
    // What was spawned runs there, and this thread answers.
    thread::Builder::new()
        .name("tunnel".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    match task.target {
        Some(target) => far(task.way, &handle, target),
        None => near(task.way, &handle),
    }
}

fn far(way: TunnelWay, handle: &Handle, target: SocketAddr) -> Result<()> {
    let never = |_: Question| -> Result<String> { bail!("only the near end answers") };
    match way {
        TunnelWay::Telemesh => {
            let (mesh, invite) = handle.block_on(async {
                let mesh = endpoint().await?;
                mesh.on_sock_granted()?;
                let invite = mesh.invite(Invite::once().grant(format!("sock:{target}").parse()?))?;
                anyhow::Ok((mesh, invite.to_secret_string().to_string()))
            })?;
            child::serve(invite, never)?;
            drop(mesh);
        }
        #[cfg(feature = "iroh")]
        TunnelWay::Iroh | TunnelWay::IrohWide => {
            let place = handle.block_on(through_iroh::far(target, through_iroh::buffer(way)))?;
            child::serve(place, never)?;
        }
        TunnelWay::None | TunnelWay::Ssh => bail!("no end of ours"),
    }
    Ok(())
}

/// What the near end holds while it is up.
enum Near {
    Telemesh(#[allow(dead_code, reason = "the endpoint ends with it")] Mesh, Link),
    #[cfg(feature = "iroh")]
    Iroh(through_iroh::Near),
}

fn near(way: TunnelWay, handle: &Handle) -> Result<()> {
    let mut joined = None;
    child::serve("", |question| match question {
        Question::Dial { place, target } => {
            let (near, entrance) = handle.block_on(dial(way, &place, target))?;
            joined = Some(near);
            Ok(entrance.to_string())
        }
        Question::Payload => {
            let settings = match joined.as_ref().context("it has not dialled yet")? {
                Near::Telemesh(_, link) => Telemesh::settings(link),
                #[cfg(feature = "iroh")]
                Near::Iroh(near) => near.settings(),
            };
            Ok(settings.get("udp_payload").cloned().unwrap_or_default())
        }
    })
}

async fn dial(way: TunnelWay, place: &str, target: SocketAddr) -> Result<(Near, SocketAddr)> {
    match way {
        TunnelWay::Telemesh => {
            let mesh = endpoint().await?;
            let link = mesh.link(place).await?;
            let listener = forward::listen(LOOPBACK)?;
            let entrance = listener.local_addr()?;
            tokio::spawn(forward::tcp(listener, Arc::new(Over(Arc::new(link.clone()))), target.try_into()?));
            Ok((Near::Telemesh(mesh, link), entrance))
        }
        #[cfg(feature = "iroh")]
        TunnelWay::Iroh | TunnelWay::IrohWide => {
            let (near, entrance) = through_iroh::near(place, through_iroh::buffer(way)).await?;
            Ok((Near::Iroh(near), entrance))
        }
        TunnelWay::None | TunnelWay::Ssh => bail!("no end of ours"),
    }
}

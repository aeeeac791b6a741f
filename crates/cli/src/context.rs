//! What a command works with: the global options, the output, and the endpoint, which is ended in order whatever happens.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use telemesh::wire::Host;
use telemesh::{KeySet, Link, LinkError, LinkTarget, Mesh, PathAddress, State};
use tokio::runtime::Runtime;

use crate::args::{Args, Command, Global, KeyCommand};
use crate::commands;
use crate::failure::Failure;
use crate::home;
use crate::interrupt::Interrupts;
use crate::log::Log;
use crate::output::Output;
use crate::target;

/// How long an endpoint that is not needed any more may take to tell its peers.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
    #[allow(dead_code, reason = "for the endpoint that stays up, which has a configuration file")]
    pub(crate) log: Log,
    mesh: Mutex<Option<Mesh>>,
}

/// Who the endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The key of the home folder.
    Me,
    /// A new key that is forgotten at the end: two shells on one machine just work.
    ThrowAway,
}

/// The runtime for a command.
///
/// One link is fastest on a single thread: packets and the task that reads them share a processor's cache, and nobody is
/// woken across threads. Measured with `perf` on two processors: 1.8 GiB/s against 1.1 with two threads, and 36,000
/// channels per second against 20,000. The demonstration has both ends in one process and needs a thread for each.
pub(crate) fn runtime(command: &Command) -> Result<Runtime, Failure> {
    let mut builder = match command {
        Command::Demo(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build().map_err(|error| Failure::Failed(format!("could not start: {error}")))
}

/// Runs a command to its end or until somebody interrupts it, and gives the exit code.
pub(crate) async fn run(args: Args) -> ExitCode {
    let beside_data = match &args.command {
        Command::Pipe(_) => true,
        Command::Key(KeyCommand::Backup(options)) => options.file.is_none(),
        _ => false,
    };
    let output = Output::new(&args.global);
    let output = if beside_data { output.beside_data() } else { output };
    let log = match Log::start(&args.global) {
        Ok(log) => log,
        Err(failure) => return output.fail(&failure),
    };
    let context = Context { global: args.global, output, log, mesh: Mutex::new(None) };
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            return context.output.fail(&Failure::Failed(format!("could not wait for signals: {error}")));
        }
    };
    let result = tokio::select! {
        result = commands::run(&context, args.command) => result,
        () = interrupts.next() => Err(Failure::Interrupted),
    };
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => context.output.fail(&failure),
    };
    tokio::select! {
        () = context.end() => {}
        () = interrupts.next() => {}
    }
    code
}

impl Context {
    /// Starts the endpoint of this command.
    pub(crate) async fn endpoint(&self, identity: Identity, listen: &[SocketAddr]) -> Result<Mesh, Failure> {
        let builder = telemesh::builder(self.keys(identity)?);
        let mesh = listen.iter().fold(builder, |builder, address| builder.listen(*address)).create().await?;
        *self.mesh.lock().unwrap_or_else(PoisonError::into_inner) = Some(mesh.clone());
        tracing::debug!(hashname = %mesh.hashname(), ?identity, addresses = ?mesh.addresses(), "the endpoint has started");
        Ok(mesh)
    }

    /// Who waits: a throw-away identity, unless `--as-me` says otherwise.
    pub(crate) fn waiting_identity(&self) -> Identity {
        if self.global.as_me { Identity::Me } else { Identity::ThrowAway }
    }

    fn keys(&self, identity: Identity) -> Result<KeySet, Failure> {
        match identity {
            Identity::Me => home::keys(&self.global),
            Identity::ThrowAway => Ok(telemesh::generate_keys()?),
        }
    }

    /// Starts the endpoint and links it to another one.
    ///
    /// With an invite it does not matter who we are. Without one only our own key can be known to the other end.
    pub(crate) async fn dial(
        &self,
        to: LinkTarget,
        listen: &[SocketAddr],
        limit: Duration,
    ) -> Result<(Mesh, Link), Failure> {
        let invited = target::has_invite(&to);
        let identity = if invited { self.waiting_identity() } else { Identity::Me };
        let resolved = resolve(&to).await?;
        let mesh = self.endpoint(identity, listen).await?;
        let link = mesh.add_contact(to)?;
        if let Some(info) = resolved {
            mesh.add_contact(info)?;
        }
        link.connect();
        if let State::Unresolved(_) = link.explain().state {
            return Err(LinkError::NoIntroducer(link.hashname()).into());
        }
        let spinner = self.output.spinner(format!("linking to {}", link.hashname().short()));
        let up = link.up(limit).await;
        spinner.finish_and_clear();
        tracing::debug!(peer = %link.hashname(), invited, explain = ?link.explain(), "the link was dialled");
        match up {
            Ok(()) => Ok((mesh, link)),
            Err(LinkError::TimedOut(_)) => Err(no_answer(&mesh, &link, invited, limit)),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the endpoint in order and makes sure that everything has arrived.
    pub(crate) async fn finish(&self, mesh: &Mesh) -> Result<(), Failure> {
        let closed = mesh.close().await;
        tracing::debug!(delivered = closed.delivered, "the endpoint has ended");
        if closed.delivered {
            return Ok(());
        }
        Err(Failure::Failed("the other end has not confirmed everything that was sent".into()))
    }

    /// Ends the endpoint, if there still is one, without waiting long.
    async fn end(&self) {
        let mesh = self.mesh.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mesh) = mesh {
            // Whatever was not delivered by now was reported by the command itself.
            let _ = tokio::time::timeout(CLOSE_LIMIT, mesh.close()).await;
        }
    }
}

/// What a URI says about an endpoint whose address is a name, with the addresses that the name stands for.
async fn resolve(to: &LinkTarget) -> Result<Option<telemesh::LinkInfo>, Failure> {
    let LinkTarget::Uri(uri) = to else { return Ok(None) };
    let Some(authority) = uri.authority() else { return Ok(None) };
    let Host::Name(host) = authority.host() else { return Ok(None) };
    let addresses = tokio::net::lookup_host((host.as_str(), authority.port()))
        .await
        .map_err(|error| Failure::Unreachable(format!("the name {host} has no address: {error}")))?;
    let known = uri.link().clone();
    Ok(Some(addresses.fold(known, |info, address| {
        // More addresses than an information has room for are left out.
        info.clone().with_path(PathAddress::Udp(address)).unwrap_or(info)
    })))
}

/// Nobody answered: says what was tried and what may be the reason.
fn no_answer(mesh: &Mesh, link: &Link, invited: bool, limit: Duration) -> Failure {
    let tried: Vec<String> = link.explain().paths.iter().map(|path| path.address.to_string()).collect();
    let reason = if invited {
        "it is not running, the invite is used up or expired, or the network is in between".to_owned()
    } else {
        format!("it is not running, does not know us ({}), or the network is in between", mesh.hashname())
    };
    Failure::Unreachable(format!(
        "no answer from {} in {} s on {}: {reason}",
        link.hashname().short(),
        limit.as_secs_f32(),
        tried.join(", ")
    ))
}

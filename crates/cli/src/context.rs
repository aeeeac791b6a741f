//! What a command works with: the global options, the output, and the endpoint, which is ended in order whatever happens.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::actions;
use crate::args::{Args, Command, Global, KeyCommand};
use crate::commands;
use crate::console::Console;
#[cfg(unix)]
use crate::control::client::Client;
use crate::endpoint::{self, Endpoint, Start};
use crate::failure::Failure;
use crate::home::{self, Claim};
use crate::interrupt::Interrupts;
use crate::listen::ListenAddress;
use crate::log::Log;
use crate::output::Output;
use crate::render::Renderer;
use crate::request::Request;
use crate::secret::Secret;
use crate::session::{Data, Session};
use crate::target;

/// How long an endpoint that is not needed any more may take to tell its peers.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
    pub(crate) log: Log,
    /// What a command runs in this process.
    endpoint: Mutex<Option<Endpoint>>,
}

/// Who the endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
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
        Command::Pipe(_) | Command::Http(_) => true,
        Command::Key(KeyCommand::Backup(options)) => options.file.is_none(),
        _ => false,
    };
    let output = Output::new(&args.global);
    let output = if beside_data { output.beside_data() } else { output };
    let qr = match &args.command {
        Command::Id { qr } => *qr,
        Command::Invite(options) => options.qr,
        _ => false,
    };
    let output = if qr { output.with_qr() } else { output };
    let log = match Log::start(&args.global) {
        Ok(log) => log,
        Err(failure) => return output.fail(&failure),
    };
    let context = Context { global: args.global, output, log, endpoint: Mutex::new(None) };
    let mut interrupts = match Interrupts::new() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            return context.output.fail(&Failure::Failed(format!("could not wait for signals: {error}")));
        }
    };
    let result = match args.command {
        // A signal is how it ends in order.
        Command::Up(options) => commands::up::run(&context, &options, &mut interrupts).await,
        command => tokio::select! {
            result = commands::run(&context, command) => result,
            () = interrupts.next() => Err(Failure::Interrupted),
        },
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
    /// Has a request carried out: by the endpoint that is up on this home, or by one in this process for as long as it takes.
    ///
    /// # Errors
    /// [`Failure`]: whatever goes wrong.
    pub(crate) async fn request(&self, request: &Request, listen: &[ListenAddress]) -> Result<(), Failure> {
        #[cfg(unix)]
        if let Ok(home) = home::directory(&self.global)
            && let Some(client) = Client::connect(&home).await?
        {
            return self.ask(client, request, listen).await;
        }
        if request.needs_running() {
            return Err(actions::not_up());
        }
        let (keys, lock, store, home) = match self.identity(request) {
            Identity::ThrowAway => (telemesh::generate_keys()?, None, None, None),
            Identity::Me => {
                let home = home::directory(&self.global)?;
                if matches!(request, Request::Id {}) && home::has_keys(&home) {
                    return Renderer::new(self.output, request)
                        .show(&actions::id_of(&home::keys(&home)?)?, None);
                }
                match home::claim(&home).await? {
                    Claim::Ours(lock) => {
                        let store = home::store(&home).await?;
                        (home::keys(&home)?, Some(lock), Some(store), Some(home))
                    }
                    #[cfg(unix)]
                    Claim::Up(client) => return self.ask(client, request, listen).await,
                }
            }
        };
        if matches!(request, Request::Id {}) {
            return Renderer::new(self.output, request).show(&actions::id_of(&keys)?, None);
        }
        let endpoint = Endpoint::start(Start {
            keys,
            lock,
            home,
            listen,
            port: None,
            store,
            survive_down: None,
            public: false,
            router: false,
            max_links: None,
            // Nothing else has the time to wait for an announcement.
            mdns: Some(matches!(request, Request::Discover { .. })),
            running: None,
            cache: None,
        })
        .await?;
        self.carry_out(endpoint, request).await
    }

    #[cfg(unix)]
    async fn ask(&self, client: Client, request: &Request, listen: &[ListenAddress]) -> Result<(), Failure> {
        if !listen.is_empty() {
            return Err(Failure::Usage(
                "an endpoint is up on this home and listens already: leave --listen out".into(),
            ));
        }
        client.carry_out(request, self.output).await
    }

    /// Without an invite only our own key can be known to the other end; with one it does not matter who we are.
    fn identity(&self, request: &Request) -> Identity {
        let invited = |to: &Secret| target::parse(to.expose()).is_ok_and(|to| target::has_invite(&to));
        let anybody = !request.changes_contacts() && (request.waits() || request.to().is_some_and(invited));
        if anybody && !self.global.as_me { Identity::ThrowAway } else { Identity::Me }
    }

    /// Carries out a request in this process.
    async fn carry_out(&self, endpoint: Endpoint, request: &Request) -> Result<(), Failure> {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint.clone());
        let mut renderer = Renderer::new(self.output, request);
        let console = if request.is_data() { Console::new(self.output) } else { Console::nobody() };
        let (session, events) = Session::new(Data::Stdio(console));
        let command = async {
            let result = actions::carry_out(&endpoint, &session, request.clone()).await;
            drop(session);
            // What it has said is shown before its failure.
            Ok(result)
        };
        let (result, ()) = tokio::try_join!(command, renderer.run(events))?;
        result?;
        renderer.done()?;
        if endpoint.close().await { Ok(()) } else { Err(endpoint::undelivered()) }
    }

    /// Ends the endpoint, if there still is one, without waiting long.
    async fn end(&self) {
        let endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(endpoint) = endpoint {
            // Whatever was not delivered by now was reported by the command itself.
            let _ = tokio::time::timeout(CLOSE_LIMIT, endpoint.close()).await;
        }
    }
}

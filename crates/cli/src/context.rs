//! What a command works with: the global options, the output, and the endpoint, which is ended in order whatever happens.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use telemesh::KeySet;
use tokio::runtime::Runtime;

use crate::actions;
use crate::args::{Args, Command, Global, KeyCommand};
use crate::commands;
use crate::console::Console;
#[cfg(unix)]
use crate::control::client::Client;
use crate::endpoint::boxes::Cache;
use crate::endpoint::{self, Endpoint, Start};
use crate::failure::Failure;
use crate::home::{self, Claim};
use crate::interrupt::Interrupts;
use crate::listen::ListenAddress;
use crate::lock::HomeLock;
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

/// Who carries out a request.
#[derive(Debug)]
enum Found {
    /// An endpoint in this process with these keys, which are those of a home or new ones.
    Keys(KeySet, Option<(PathBuf, HomeLock)>),
    #[cfg(unix)]
    Up(Client),
}

/// An endpoint that carries out requests.
#[derive(Debug)]
pub(crate) enum Served {
    /// It is in this process.
    Here(Endpoint),
    /// It is up on this home.
    #[cfg(unix)]
    Up(Client),
}

#[cfg(unix)]
fn up(client: Client, listen: &[ListenAddress]) -> Result<Found, Failure> {
    if listen.is_empty() {
        return Ok(Found::Up(client));
    }
    Err(Failure::Usage("an endpoint is up on this home and listens already: leave --listen out".into()))
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
        match self.find(request, listen).await? {
            #[cfg(unix)]
            Found::Up(client) => client.carry_out(request, self.output).await,
            Found::Keys(keys, ..) if matches!(request, Request::Id {}) => {
                Renderer::new(self.output, request).show(&actions::id_of(&keys)?, None)
            }
            Found::Keys(keys, home) => {
                let endpoint = self.start(keys, home, request, listen).await?;
                self.carry_out(endpoint, request).await
            }
        }
    }

    /// The endpoint that would carry out a request, for something that takes more than one.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub(crate) async fn served(
        &self,
        request: &Request,
        listen: &[ListenAddress],
    ) -> Result<Served, Failure> {
        match self.find(request, listen).await? {
            #[cfg(unix)]
            Found::Up(client) => Ok(Served::Up(client)),
            Found::Keys(keys, home) => self.start(keys, home, request, listen).await.map(Served::Here),
        }
    }

    /// Whoever is to carry out a request.
    #[cfg_attr(
        not(unix),
        expect(unused_variables, reason = "there is no other endpoint to ask where it listens")
    )]
    async fn find(&self, request: &Request, listen: &[ListenAddress]) -> Result<Found, Failure> {
        #[cfg(unix)]
        if let Ok(home) = home::directory(&self.global)
            && let Some(client) = Client::connect(&home).await?
        {
            return up(client, listen);
        }
        if request.needs_running() {
            return Err(actions::not_up());
        }
        if self.identity(request) == Identity::ThrowAway {
            return Ok(Found::Keys(telemesh::generate_keys()?, None));
        }
        let home = home::directory(&self.global)?;
        if matches!(request, Request::Id {}) && home::has_keys(&home) {
            return Ok(Found::Keys(home::keys(&home)?, None));
        }
        match home::claim(&home).await? {
            Claim::Ours(lock) => Ok(Found::Keys(home::keys(&home)?, Some((home, lock)))),
            #[cfg(unix)]
            Claim::Up(client) => up(client, listen),
        }
    }

    async fn start(
        &self,
        keys: KeySet,
        home: Option<(PathBuf, HomeLock)>,
        request: &Request,
        listen: &[ListenAddress],
    ) -> Result<Endpoint, Failure> {
        let chats = request.chats();
        let (store, chats, lock, home) = match home {
            None => (None, chats.then(home::no_chats), None, None),
            Some((home, lock)) => {
                let chats = if chats { Some(home::chats(&home).await?) } else { None };
                (Some(home::store(&home).await?), chats, Some(lock), Some(home))
            }
        };
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
            map_port: false,
            running: None,
            boxes: Cache::default(),
            chats,
        })
        .await?;
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint.clone());
        Ok(endpoint)
    }

    /// Without an invite only our own key can be known to the other end; with one it does not matter who we are.
    fn identity(&self, request: &Request) -> Identity {
        let invited = |to: &Secret| target::parse(to.expose()).is_ok_and(|to| target::has_invite(&to));
        let waits = request.waits() && !(request.chats() && home::has_chats(&self.global));
        let anybody = !request.changes_contacts() && (waits || request.to().is_some_and(invited));
        if anybody && !self.global.as_me { Identity::ThrowAway } else { Identity::Me }
    }

    /// Carries out a request in this process.
    async fn carry_out(&self, endpoint: Endpoint, request: &Request) -> Result<(), Failure> {
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

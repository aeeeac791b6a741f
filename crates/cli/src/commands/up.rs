//! `telemesh up`: the endpoint of a home, for as long as nobody ends it.

use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt as _;
use telemesh::{Invite, LinkEvent, LinkEvents, Network as _};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::actions::{discover, waiting};
use crate::args::Up;
use crate::context::Context;
#[cfg(unix)]
use crate::control::server::Server;
use crate::endpoint::boxes::Cache;
use crate::endpoint::hub::Decision;
use crate::endpoint::{Endpoint, Start};
use crate::event::{Event, Happened};
use crate::failure::Failure;
use crate::home::{self, Claim};
use crate::interrupt::Interrupts;
use crate::lock::HomeLock;
use crate::output::Output;
use crate::render::Renderer;
use crate::running::{Reload, Running};
use crate::settings::Settings;

/// Events that may wait for whoever reads the output. What is more is left out: the endpoint does not wait for a reader.
const UNREAD: usize = 256;

/// How long the commands that are stopped, and those who have asked for the end, may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the endpoint until a signal or `stop` ends it.
pub(crate) async fn run(context: &Context, options: &Up, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let home = home::directory(&context.global)?;
    let mut settings = Settings::load(context, &home, options.config.as_deref())?;
    #[cfg_attr(not(unix), expect(unused_variables, reason = "held until the end"))]
    let lock = tokio::select! {
        lock = claim(&home) => lock?,
        () = interrupts.next() => return Err(Failure::Interrupted),
    };
    // Dropped before the lock: the socket is removed while the home is still ours.
    #[cfg(unix)]
    let server = Server::open(&home, &lock)?;
    let (endpoint, mut reloads) = start(&home, options, &settings).await?;
    let running = endpoint.running().ok_or_else(|| Failure::Failed("the endpoint is not up".into()))?;
    settings.apply(&endpoint, running)?;
    for router in &options.via {
        endpoint.route_via(&crate::target::read(router)?).await?;
    }
    home::keep_port(&home, &endpoint.mesh().addresses());
    for link in endpoint.mesh().links() {
        link.connect();
    }
    if let Some(mode) = options.discover.or(settings.discover()) {
        endpoint.mesh().discover(mode);
    }
    let (screen, shown) = Screen::start(context.output);
    let mut connections = JoinSet::new();
    let invite = match options.invite {
        true => Some(endpoint.invite(Invite::once())?.0.to_secret_string().to_string()),
        false => None,
    };
    screen.show(waiting::ready(&endpoint, invite));
    #[cfg(unix)]
    crate::notify::tell(crate::notify::READY);
    #[cfg(not(unix))]
    context
        .output
        .note("There is no control socket on this system: other commands do not see this endpoint.");
    {
        #[cfg(unix)]
        let mut serving = pin!(server.run(&endpoint, &mut connections));
        #[cfg(not(unix))]
        let mut serving = pin!(std::future::pending::<()>());
        tokio::select! {
            () = &mut serving => {}
            () = tell(&endpoint, &screen) => {}
            () = reload(context, &endpoint, &mut settings, &mut reloads, &screen) => {}
            () = interrupts.next() => {}
        }
    }
    #[cfg(unix)]
    crate::notify::tell(crate::notify::STOPPING);
    let delivered = tokio::select! {
        delivered = end(&endpoint, &mut connections) => delivered,
        () = interrupts.next() => return Err(Failure::Interrupted),
    };
    screen.show(Happened::Closed { delivered });
    drop(screen);
    // A reader that has gone or does not read is no reason to stay.
    let _ = tokio::time::timeout(FAREWELL, shown).await;
    Ok(())
}

/// The home, if nobody else has it.
async fn claim(home: &Path) -> Result<HomeLock, Failure> {
    match home::claim(home).await? {
        Claim::Ours(lock) => Ok(lock),
        #[cfg(unix)]
        Claim::Up(_) => {
            let holder = crate::lock::holder_of(home);
            Err(Failure::Failed(format!("an endpoint is up on {} already: {holder}", home.display())))
        }
    }
}

async fn start(
    home: &Path,
    options: &Up,
    settings: &Settings,
) -> Result<(Endpoint, mpsc::Receiver<Reload>), Failure> {
    let listen = if options.listen.is_empty() { settings.listen() } else { &options.listen };
    let (running, reloads) = Running::new();
    let start = Start {
        keys: home::keys(home)?,
        lock: None,
        home: Some(home.to_owned()),
        listen,
        port: home::port(home),
        store: Some(home::store(home).await?),
        survive_down: settings.survive_down(),
        public: options.public || settings.public(),
        router: options.router || settings.router(),
        max_links: settings.max_links(),
        mdns: settings.mdns(),
        map_port: options.map_port || settings.port_mapping(),
        running: Some(running),
        boxes: Cache {
            at: options.cache.clone().or_else(|| settings.cache().cloned()),
            quotas: options.quotas.or(settings.quotas()),
            tells: settings.box_tell(),
        },
        chats: Some(home::chats(home).await?),
    };
    let endpoint = Endpoint::start(start).await?;
    if let Some(what) = options.serve.as_deref().or(settings.serve()) {
        crate::endpoint::serve::serve(endpoint.mesh(), what)?;
    }
    Ok((endpoint, reloads))
}

/// Reads the configuration again whenever somebody asks for that.
async fn reload(
    context: &Context,
    endpoint: &Endpoint,
    settings: &mut Settings,
    reloads: &mut mpsc::Receiver<Reload>,
    screen: &Screen,
) {
    while let (Some(asked), Some(running)) = (reloads.recv().await, endpoint.running()) {
        let result = settings.reload(context, endpoint, running);
        if let Ok(event) = &result {
            screen.show(event.clone());
        }
        // Whoever has asked may have gone.
        let _ = asked.send(result);
    }
}

/// Says what happens, for as long as it is polled.
async fn tell(endpoint: &Endpoint, screen: &Screen) {
    let mut links = endpoint.mesh().link_events();
    let mut channels = endpoint.hub().decisions();
    let mut discovered = endpoint.mesh().discovered();
    loop {
        tokio::select! {
            event = next(&mut links) => tell_link(endpoint, screen, event),
            decision = channels.recv() => tell_channel(endpoint, screen, decision),
            Some(noticed) = discovered.next() => screen.show(discover::event(endpoint, &noticed)),
        }
    }
}

async fn next(links: &mut LinkEvents) -> LinkEvent {
    match links.next().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

fn tell_link(endpoint: &Endpoint, screen: &Screen, event: LinkEvent) {
    if let (LinkEvent::Up { peer } | LinkEvent::Down { peer, .. }, Some(running)) =
        (&event, endpoint.running())
    {
        running.link_changed(*peer);
        running.keep_links(|peer| endpoint.mesh().find(peer).is_some());
    }
    if let Some(event) = waiting::link_event(endpoint, event) {
        screen.show(event);
    }
}

fn tell_channel(
    endpoint: &Endpoint,
    screen: &Screen,
    decision: Result<Decision, broadcast::error::RecvError>,
) {
    // Decisions that were missed are not worth a word.
    let Ok(Decision { peer, channel_type, refused }) = decision else { return };
    screen.show(Happened::Channel {
        hashname: peer.to_string(),
        name: endpoint.name_of(&peer),
        r#type: channel_type.to_owned(),
        accepted: refused.is_none(),
        reason: refused.map(ToOwned::to_owned),
    });
}

/// Ends the commands, then the endpoint, and tells those who have asked for that. Whether everything has arrived.
async fn end(endpoint: &Endpoint, connections: &mut JoinSet<()>) -> bool {
    if let Some(running) = endpoint.running() {
        running.begin_stop();
    }
    // Those commands are cancelled at once; what they have sent is waited for below.
    tokio::task::yield_now().await;
    let delivered = endpoint.close().await;
    if let Some(running) = endpoint.running() {
        running.closed(delivered);
    }
    let told = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, told).await.is_err() {
        connections.abort_all();
    }
    delivered
}

/// Standard output, written by a thread: the endpoint waits for no reader.
#[derive(Debug)]
struct Screen {
    events: SyncSender<Event>,
}

impl Screen {
    /// Resolves once everything is shown.
    fn start(output: Output) -> (Self, oneshot::Receiver<()>) {
        let (events, receiver) = sync_channel::<Event>(UNREAD);
        let (shown, all_shown) = oneshot::channel::<()>();
        thread::spawn(move || {
            let mut renderer = Renderer::of_endpoint(output);
            while let Ok(event) = receiver.recv() {
                // The endpoint goes on when nobody reads any more.
                let _ = renderer.show(&event, None);
            }
            drop(shown);
        });
        (Self { events }, all_shown)
    }

    fn show(&self, happened: Happened) {
        let _ = self.events.try_send(Event::Happened(happened));
    }
}

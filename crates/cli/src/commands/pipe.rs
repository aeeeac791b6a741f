//! `telemesh pipe [TO]`: standard input and output over one stream.

use std::io::{self, IsTerminal as _};
use std::pin::pin;

use indicatif::ProgressBar;
use telemesh::channel::{CANCELLED, ReadHalf, WriteHalf};
use telemesh::{
    Channel, ChannelError, DownReason, Link, LinkState, Mesh, Refusal, RefusalCode, State,
    StreamAcceptor as _, StreamOpener as _,
};
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use crate::args::Pipe;
use crate::commands::LINK_LIMIT;
use crate::context::Context;
use crate::failure::Failure;
use crate::stdio::{self, Sink};
use crate::target;
use crate::waiting;

/// Opens a stream or waits for one, and copies until both directions have ended and all has arrived.
pub(crate) async fn run(context: &Context, options: Pipe) -> Result<(), Failure> {
    let listen = &options.listen.listen;
    let (mesh, channel) = match &options.to {
        Some(to) => {
            let (mesh, link) = context.dial(target::read(to)?, listen, LINK_LIMIT).await?;
            waiting::report_up(context, link.hashname(), link.path().map(|path| path.address.to_string()))?;
            let channel = link.stream().await?;
            (mesh, channel)
        }
        None => {
            let mesh = context.endpoint(context.waiting_identity(), listen).await?;
            let channel = wait(context, &mesh).await?;
            (mesh, channel)
        }
    };
    let link = mesh.find(&channel.peer());
    copy(context, channel, link).await?;
    context.finish(&mesh).await
}

/// Waits for the first stream of plain bytes. Later ones find nobody.
async fn wait(context: &Context, mesh: &Mesh) -> Result<Channel, Failure> {
    let mut requests = mesh.on_stream()?.requests();
    waiting::announce(context, mesh, "pipe")?;
    let mut links = pin!(waiting::report_links(context, mesh));
    loop {
        let request = tokio::select! {
            // The link comes up before its first stream, and that is how it is told.
            biased;
            result = &mut links => return Err(result.err().unwrap_or(Failure::Interrupted)),
            request = requests.next() => request,
        };
        let Some(request) = request else { return Err(Failure::Interrupted) };
        if request.encoding().is_some() {
            request.refuse(Refusal::new(RefusalCode::NotAllowed, "this end takes plain bytes"));
            continue;
        }
        return Ok(request.accept()?.channel);
    }
}

async fn copy(context: &Context, channel: Channel, link: Option<Link>) -> Result<(), Failure> {
    let (read, write) = channel.into_split();
    let bar = if io::stdin().is_terminal() { ProgressBar::hidden() } else { context.output.progress(None) };
    // Whoever redirects the output of a terminal session wants what the other end has, and has nothing to type.
    let only_receives = io::stdin().is_terminal() && !io::stdout().is_terminal();
    let (received, peer_done) = oneshot::channel();
    let typing = Typing { peer_done, only_receives };
    let result = tokio::try_join!(send(write, link, typing, &bar), receive(context, read, received, &bar));
    bar.finish_and_clear();
    result.map(|_| ())
}

/// Whether input from a terminal is still wanted.
struct Typing {
    /// Resolves when the other end has sent everything.
    peer_done: oneshot::Receiver<()>,
    only_receives: bool,
}

/// Standard input to the stream, and its end.
async fn send(
    mut write: WriteHalf,
    link: Option<Link>,
    mut typing: Typing,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut input = stdio::input();
    let mut gone = pin!(closed_by_peer(link));
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = input.recv() => chunk,
            _ = &mut typing.peer_done, if typing.only_receives => None,
            // Somebody who types into a stream that leads nowhere wants to know.
            error = &mut gone => return Err(error.into()),
        };
        let Some(chunk) = chunk else { break };
        let chunk =
            chunk.map_err(|error| Failure::Failed(format!("could not read standard input: {error}")))?;
        let count = chunk.len();
        write.write_chunk(chunk).await.map_err(|error| Failure::channel(&error))?;
        bar.inc(u64::try_from(count).unwrap_or(u64::MAX));
    }
    write.finish().await.map_err(|error| Failure::channel(&error))
}

/// Resolves when the other end has closed the link.
async fn closed_by_peer(link: Option<Link>) -> ChannelError {
    if let Some(link) = link {
        let mut watch = link.watch();
        let closed = |state: &LinkState| matches!(state.state, State::Down(DownReason::ClosedByPeer(_)));
        if let Ok(state) = watch.wait_for(closed).await
            && let State::Down(DownReason::ClosedByPeer(reason)) = state.state
        {
            return ChannelError::LinkClosed(reason);
        }
    }
    std::future::pending().await
}

/// The stream to standard output, until its end is written.
async fn receive(
    context: &Context,
    mut read: ReadHalf,
    received: oneshot::Sender<()>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut sink = Sink::new();
    loop {
        let mut buffer = sink.buffer().await.map_err(|error| Failure::output(&error))?;
        let count = match read.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(Failure::channel(&error)),
        };
        if io::stdout().is_terminal() {
            // Data and progress would overwrite each other.
            bar.finish_and_clear();
        }
        bar.inc(u64::try_from(count).unwrap_or(u64::MAX));
        if let Err(error) = sink.write(buffer, count).await {
            read.stop(CANCELLED);
            return Err(Failure::output(&error));
        }
    }
    sink.finish().await.map_err(|error| Failure::output(&error))?;
    // If this end has sent everything too, nobody listens here any more and nobody has to be told.
    if received.send(()).is_ok() && io::stdin().is_terminal() && io::stdout().is_terminal() {
        context.output.note("The other end has sent everything. Ctrl-D ends this one too.");
    }
    Ok(())
}

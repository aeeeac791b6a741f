//! `pipe`: bytes over one stream, each way until its end.

use std::pin::pin;

use telemesh::channel::WriteHalf;
use telemesh::{Channel, ChannelError, DownReason, Link, LinkState, State, StreamOpener as _};
use tokio::sync::oneshot;

use super::{link_up, waiting};
use crate::console::Console;
use crate::data::{self, Input};
use crate::endpoint::Endpoint;
use crate::endpoint::dial::Dialled;
use crate::endpoint::pipes::Pipe;
use crate::event::Happened;
use crate::failure::Failure;
use crate::request::LINK_LIMIT;
use crate::secret::Secret;
use crate::session::{Data, Session};

/// Opens a stream or waits for one, and copies until both directions have ended and all has arrived.
pub(super) async fn run(
    endpoint: &Endpoint,
    session: &Session,
    to: Option<Secret>,
    invite: bool,
) -> Result<(), Failure> {
    let (channel, _dialled) = match &to {
        Some(to) => {
            let (channel, dialled) = open(endpoint, session, to).await?;
            (channel, Some(dialled))
        }
        None => (wait(endpoint, session, invite).await?, None),
    };
    let link = endpoint.mesh().find(&channel.peer());
    let pipe = endpoint.pipes().begin();
    let opened = Happened::Open { hashname: channel.peer().to_string(), pipe: pipe.number };
    let data = session.open(opened).await?;
    let mut result = copy(&data, &pipe, channel, link.clone()).await;
    data.settle();
    if let (Ok(()), Some(link)) = (&result, &link) {
        result = endpoint.delivered(link).await;
    }
    pipe.ended(&result);
    result
}

async fn open(endpoint: &Endpoint, session: &Session, to: &Secret) -> Result<(Channel, Dialled), Failure> {
    let dialled = endpoint.dial(to, LINK_LIMIT).await?;
    session.happened(link_up(endpoint, &dialled.link)).await?;
    let mut channel = dialled.link.stream().await?;
    if endpoint.running().is_some() {
        // A refusal is told while the connection still carries words.
        channel.accepted().await?;
    }
    Ok((channel, dialled))
}

/// Waits for a stream. Later ones find nobody.
async fn wait(endpoint: &Endpoint, session: &Session, invite: bool) -> Result<Channel, Failure> {
    let stream = endpoint.hub().next_stream();
    let _invite = waiting::announce(endpoint, session, invite).await?;
    let mut links = pin!(waiting::report_links(endpoint, session));
    let request = tokio::select! {
        // The link comes up before its first stream, and that is how it is told.
        biased;
        result = &mut links => return Err(result.err().unwrap_or(Failure::Interrupted)),
        request = stream => request,
    };
    Ok(request.map_err(|_| Failure::Interrupted)?.accept()?.channel)
}

async fn copy(data: &Data, pipe: &Pipe, channel: Channel, link: Option<Link>) -> Result<(), Failure> {
    let (read, write) = channel.into_split();
    let console = data.console();
    let (input, output) = data::both(data.clone());
    let (received, peer_done) = oneshot::channel();
    let sending = async {
        let write = send(write, input, closed_by_peer(link), peer_done, &console).await?;
        if data.may_be_dead() && !pipe.has_all().await {
            return Err(Failure::Failed("the connection has ended before everything was sent".into()));
        }
        finish(write).await
    };
    let receiving = async {
        output.write_all_of(read, |count| console.moved(count)).await?;
        // If this end has sent everything too, nobody listens here any more and nobody has to be told.
        if received.send(()).is_ok() {
            console.peer_is_done();
        }
        Ok(())
    };
    let result = tokio::try_join!(sending, receiving);
    console.finish();
    result.map(|_| ())
}

async fn finish(mut write: WriteHalf) -> Result<(), Failure> {
    write.finish().await.map_err(|error| Failure::channel(&error))
}

/// What is to be sent to the stream, but not its end.
async fn send(
    mut write: WriteHalf,
    mut input: Input,
    gone: impl Future<Output = ChannelError>,
    mut peer_done: oneshot::Receiver<()>,
    console: &Console,
) -> Result<WriteHalf, Failure> {
    let mut gone = pin!(gone);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = input.next() => chunk?,
            _ = &mut peer_done, if console.only_receives() => None,
            // Somebody who types into a stream that leads nowhere wants to know.
            error = &mut gone => return Err(error.into()),
        };
        let Some(chunk) = chunk else { return Ok(write) };
        let count = chunk.len();
        write.write_chunk(chunk).await.map_err(|error| Failure::channel(&error))?;
        console.moved(count);
    }
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

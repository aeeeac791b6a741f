//! One file per request: what an endpoint does, and what it says meanwhile.

mod boxes;
pub(crate) mod chat;
mod contacts;
pub(crate) mod discover;
mod explain;
mod files;
mod forward;
mod gateway;
mod http;
mod id;
mod invites;
pub(crate) mod perf;
mod ping;
mod pipe;
mod socks;
mod status;
pub(crate) mod waiting;

pub(crate) use id::of_keys as id_of;
pub(crate) use status::not_up;

use telemesh::{Link, State};

use crate::endpoint::Endpoint;
use crate::ends::Ends;
use crate::event::{Happened, UpDown};
use crate::failure::Failure;
use crate::request::Request;
use crate::session::Session;

/// Carries out a request to its end.
///
/// # Errors
/// [`Failure`]: why it did not work.
pub(crate) async fn carry_out(
    endpoint: &Endpoint,
    session: &Session,
    request: Request,
) -> Result<(), Failure> {
    match request {
        Request::Id {} => id::run(endpoint, session).await,
        Request::Status {} => status::run(endpoint, session).await,
        Request::Stop {} => status::stop(endpoint, session).await,
        Request::Reload {} => status::reload(endpoint, session).await,
        Request::Invite { name, grants, uses, valid, via } => {
            invites::make(endpoint, session, name.as_deref(), &grants, (uses, valid), via.as_deref()).await
        }
        Request::Invites {} => invites::list(endpoint, session).await,
        Request::Revoke { id } => invites::revoke(endpoint, &id).await,
        Request::Accept { uri, name, timeout } => {
            contacts::accept(endpoint, session, &uri, name.as_deref(), timeout).await
        }
        Request::Contacts { name: None } => contacts::list(endpoint, session).await,
        Request::Contacts { name: Some(name) } => contacts::show(endpoint, session, &name).await,
        Request::AddContact { name, link, grants, router } => {
            contacts::add(endpoint, session, &name, &link, (&grants, router)).await
        }
        Request::RemoveContact { name } => contacts::remove(endpoint, &name).await,
        Request::Ping { to, count, timeout } => ping::run(endpoint, session, &to, count, timeout).await,
        Request::Explain { to, timeout } => explain::run(endpoint, session, &to, timeout).await,
        Request::Discover { announce, time } => discover::run(endpoint, session, announce, time).await,
        Request::Pipe { to, invite } => pipe::run(endpoint, session, to, invite).await,
        Request::Result { pipe } => endpoint.pipes().end(pipe).await,
        Request::Send { to, files, direct, wait } => {
            files::send(endpoint, session, &to, files, files::Absent { direct, wait }).await
        }
        Request::BoxSend { to, text, file, via, wait } => {
            let content = match (text, file) {
                (Some(text), None) => boxes::Content::Text(text),
                (None, Some(file)) => boxes::Content::File(file),
                _ => return Err(Failure::Usage("either `text` or `file`".into())),
            };
            boxes::send(endpoint, session, &to, content, &via, wait).await
        }
        Request::BoxRead { wait } => boxes::receive(endpoint, session, wait).await,
        Request::BoxList {} => boxes::list(endpoint, session).await,
        Request::Receive { folder, existing, once, invite } => {
            files::receive(endpoint, session, files::Wanted { folder, existing, once, invite }).await
        }
        Request::Forward { to, local, remote, reverse, udp } => {
            let ends = Ends::read(&local, &remote, reverse).map_err(Failure::Usage)?;
            forward::run(endpoint, session, &to, ends, udp).await
        }
        Request::Socks { to, listen } => socks::run(endpoint, session, to, listen).await,
        Request::Chat { to, room, name, invite } => {
            chat::run(endpoint, session, chat::Wanted { to, room, name, invite }).await
        }
        Request::Chats {} => chat::list(endpoint, session).await,
        Request::ChatSay { chat, text } => chat::say(endpoint, session, &chat, text).await,
        Request::ChatEdit { chat, text } => chat::edit(endpoint, session, &chat, text).await,
        Request::ChatRead { chat, message } => chat::read(endpoint, &chat, &message).await,
        Request::ChatTyping { chat, typing } => chat::typing(endpoint, &chat, typing).await,
        Request::ChatInvite { chat, to } => chat::invite(endpoint, &chat, &to).await,
        Request::Sent { pipe } => endpoint.pipes().sent(pipe),
        Request::Gateway { listen } => gateway::run(endpoint, session, listen).await,
        Request::Http { to, paths, method, headers, body, include, fail } => {
            let asked = http::Asked { paths, method, headers, body, include, fail };
            http::run(endpoint, session, &to, asked).await
        }
        Request::Perf { to, only, size_mib, invite, progress } => match to {
            Some(to) => {
                let progress = progress.then_some(session);
                perf::measure(endpoint, session, &to, perf::Wanted { only, size_mib, progress }).await
            }
            None => perf::answer(endpoint, session, invite).await,
        },
    }
}

/// That a link is up, as an event.
fn link_up(endpoint: &Endpoint, link: &Link) -> Happened {
    Happened::Link {
        hashname: link.hashname().to_string(),
        name: endpoint.name_of(&link.hashname()),
        state: UpDown::Up,
        path: path(link),
        reason: None,
    }
}

/// The path in use.
fn path(link: &Link) -> Option<String> {
    link.path().map(|path| path.address.to_string())
}

/// The word for a state, and why it is not up.
fn state(state: State) -> (&'static str, Option<String>) {
    match state {
        State::Up => ("up", None),
        State::Down(reason) => ("down", Some(reason.to_string())),
        State::Unresolved(telemesh::Missing::Key) => ("unresolved", Some("its key is not known".to_owned())),
        State::Unresolved(telemesh::Missing::Path) => ("unresolved", Some("no path is known".to_owned())),
        // A state of a later version of the library.
        _ => ("down", None),
    }
}

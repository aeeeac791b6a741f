//! What was typed, as a request.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::args::{
    Accept, BoxCommand, Contacts, ContactsCommand, Discover, Explain, Forward, Gateway, Http, Invite,
    InviteCommand, Perf, Ping, Pipe, Receive, Send, Socks,
};
use crate::ends::Ends;
use crate::failure::Failure;
use crate::output::Output;
use crate::request::{HttpBody, Request};
use crate::target;

/// The request of `pipe`.
///
/// # Errors
/// `TO` cannot be read, here as below.
pub(crate) fn pipe(options: &Pipe) -> Result<Request, Failure> {
    let to = options.to.as_deref().map(target::read).transpose()?;
    Ok(Request::Pipe { to, invite: options.listen.invite })
}

/// The request of `ping`.
pub(crate) fn ping(options: &Ping) -> Result<Request, Failure> {
    Ok(Request::Ping { to: target::read(&options.to)?, count: options.count, timeout: options.timeout })
}

/// The request of `explain`.
pub(crate) fn explain(options: &Explain) -> Result<Request, Failure> {
    Ok(Request::Explain { to: target::read(&options.to)?, timeout: options.timeout })
}

/// The request of `invite`.
pub(crate) fn invite(options: Invite) -> Request {
    match options.command {
        Some(InviteCommand::List) => Request::Invites {},
        Some(InviteCommand::Revoke { id }) => Request::Revoke { id },
        None => Request::Invite {
            name: options.name,
            grants: options.grants,
            uses: options.uses,
            valid: options.valid,
            via: options.via,
        },
    }
}

/// The request of `accept`.
pub(crate) fn accept(options: Accept) -> Result<Request, Failure> {
    Ok(Request::Accept { uri: target::read(&options.uri)?, name: options.name, timeout: options.timeout })
}

/// The request of `contacts`.
pub(crate) fn contacts(options: Contacts) -> Result<Request, Failure> {
    Ok(match options.command {
        None => Request::Contacts { name: None },
        Some(ContactsCommand::Show { name }) => Request::Contacts { name: Some(name) },
        Some(ContactsCommand::Remove { name }) => Request::RemoveContact { name },
        Some(ContactsCommand::Add { name, who, grants, router }) => {
            Request::AddContact { name, link: target::read(&who)?, grants, router }
        }
    })
}

/// The request of `discover`.
pub(crate) fn discover(options: &Discover) -> Request {
    Request::Discover { announce: options.announce, time: options.time }
}

/// The request of `send`.
///
/// # Errors
/// A path that cannot be told to an endpoint.
pub(crate) fn send(options: &Send) -> Result<Request, Failure> {
    let files = options.files.iter().map(|file| absolute(file)).collect::<Result<_, _>>()?;
    Ok(Request::Send { to: target::read(&options.to)?, files, direct: options.direct, wait: options.wait })
}

/// The request of a command of `box`.
///
/// # Errors
/// Standard input that is no text, or too much of it.
pub(crate) fn boxes(options: &BoxCommand) -> Result<Request, Failure> {
    Ok(match options {
        BoxCommand::List => Request::BoxList {},
        BoxCommand::Read { wait } => Request::BoxRead { wait: *wait },
        BoxCommand::Send { to, file, via, wait } => {
            let (text, file) = match file {
                Some(file) => (None, Some(absolute(file)?)),
                None => (Some(typed()?), None),
            };
            let via = via.iter().map(|cache| target::read(cache)).collect::<Result<_, _>>()?;
            Request::BoxSend { to: target::read(to)?, text, file, via, wait: *wait }
        }
    })
}

/// What comes from standard input, without the end of its last line.
fn typed() -> Result<String, Failure> {
    let mut text = String::new();
    let limited = std::io::stdin().take(MAX_TYPED + 1).read_to_string(&mut text);
    limited.map_err(|error| Failure::Usage(format!("standard input: {error}; name a file instead")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_TYPED {
        return Err(Failure::Usage("more than 8 KiB on standard input: name a file instead".into()));
    }
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Longest text from standard input, in bytes: a request has 64 KiB, and JSON may write six bytes for one.
const MAX_TYPED: u64 = 8 * 1024;

/// The request of `receive`.
///
/// # Errors
/// A path that cannot be told to an endpoint.
pub(crate) fn receive(options: &Receive) -> Result<Request, Failure> {
    Ok(Request::Receive {
        folder: absolute(&options.folder)?,
        existing: options.existing,
        once: options.once,
        invite: options.invite,
    })
}

/// The endpoint that is up may have been started in another folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let whole =
        std::path::absolute(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    if whole.to_str().is_none() {
        return Err(Failure::Usage(format!("{}: the path is not UTF-8", path.display())));
    }
    Ok(whole)
}

/// The request of `forward`.
///
/// # Errors
/// An end that makes no sense, or a `TO` that cannot be read.
pub(crate) fn forward(options: Forward) -> Result<Request, Failure> {
    let Forward { to, local, remote, reverse, udp } = options;
    Ends::read(&local, &remote, reverse).map_err(Failure::Usage)?;
    Ok(Request::Forward { to: target::read(&to)?, local, remote, reverse, udp })
}

/// The request of `socks`.
///
/// # Errors
/// A `TO` that cannot be read.
pub(crate) fn socks(options: &Socks) -> Result<Request, Failure> {
    let to = options.to.as_deref().map(target::read).transpose()?;
    Ok(Request::Socks { to, listen: options.listen })
}

/// The request of `gateway`.
pub(crate) fn gateway(options: &Gateway) -> Request {
    Request::Gateway { listen: options.listen }
}

/// The request of `http`.
///
/// # Errors
/// A path that cannot be told to an endpoint, or standard input for two things.
pub(crate) fn http(options: &Http) -> Result<Request, Failure> {
    let body = match options.data.as_deref() {
        None => None,
        Some("@-") if options.to == "-" || options.paths.len() > 1 => {
            return Err(Failure::Usage("standard input is there for one thing only".into()));
        }
        Some("@-") => Some(HttpBody::Input),
        Some(text) => Some(match text.strip_prefix('@') {
            Some(file) => HttpBody::File(absolute(Path::new(file))?),
            None => HttpBody::Text(text.to_owned()),
        }),
    };
    Ok(Request::Http {
        to: target::read(&options.to)?,
        paths: options.paths.clone(),
        method: options.request.clone(),
        headers: options.header.clone(),
        body,
        include: options.include,
        fail: options.fail,
    })
}

/// The request of `perf`.
pub(crate) fn perf(options: &Perf, output: Output) -> Result<Request, Failure> {
    let to = options.to.as_deref().map(target::read).transpose()?;
    Ok(Request::Perf {
        to,
        only: options.only,
        size_mib: options.size,
        invite: options.listen.invite,
        progress: output.shows_progress(),
    })
}

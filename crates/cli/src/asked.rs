//! What was typed, as a request.

use crate::args::{Explain, Perf, Ping, Pipe};
use crate::failure::Failure;
use crate::output::Output;
use crate::request::Request;
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

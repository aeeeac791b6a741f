//! `telemesh stop`: ends the endpoint that is up, and returns when its home is free again.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::failure::Failure;
use crate::home;
use crate::lock::{self, Attempt};
use crate::request::Request;

/// How long a process may take to end after its endpoint has.
const LIMIT: Duration = Duration::from_secs(10);

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks the endpoint to end, and waits until its process has let go of the home.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    context.request(&Request::Stop {}, &[]).await?;
    let home = home::directory(&context.global)?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match lock::take(&home)? {
            Attempt::Ours(_) => return Ok(()),
            Attempt::Held(id) if Instant::now() >= deadline => {
                return Err(Failure::Failed(format!("{} has not ended yet", lock::holder(id))));
            }
            Attempt::Held(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

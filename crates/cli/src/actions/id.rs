//! `id`: who we are.

use telemesh::{KeySet, LinkInfo, LinkUri};

use crate::endpoint::Endpoint;
use crate::event::{Event, Id};
use crate::failure::Failure;
use crate::session::Session;

/// Says who the endpoint is and where it can be reached.
pub(super) async fn run(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    session.say(event(endpoint.mesh().link_info())).await
}

/// The identity of these keys, of which no endpoint runs.
///
/// # Errors
/// Keys for cipher sets that have no short form, which do not come from here.
pub(crate) fn of_keys(keys: &KeySet) -> Result<Event, Failure> {
    let link = LinkInfo::new(keys.public().clone())
        .map_err(|error| Failure::Failed(format!("the keys in the home folder cannot be shown: {error}")))?;
    Ok(event(link))
}

fn event(link: LinkInfo) -> Event {
    let uri = LinkUri::new(link.clone()).to_string();
    Event::Id(Id { hashname: link.hashname().to_string(), uri, link })
}

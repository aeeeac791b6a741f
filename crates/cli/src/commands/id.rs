//! `telemesh id`: who we are.

use serde::Serialize;
use telemesh::{LinkInfo, LinkUri};

use crate::context::Context;
use crate::failure::Failure;
use crate::home;

#[derive(Debug, Serialize)]
struct IdObject {
    hashname: String,
    uri: String,
    link: LinkInfo,
}

/// Prints the identity in the home folder, which is made if it is missing.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let keys = home::keys(&context.global)?;
    let link = LinkInfo::new(keys.public().clone())
        .map_err(|error| Failure::Failed(format!("the keys in the home folder cannot be shown: {error}")))?;
    let uri = LinkUri::new(link.clone()).to_string();
    context.output.line(format_args!("hashname  {}", keys.hashname()))?;
    context.output.line(format_args!("uri       {uri}"))?;
    context.output.line(format_args!("link      {}", link.to_json()))?;
    context.output.object(&IdObject { hashname: keys.hashname().to_string(), uri, link })
}

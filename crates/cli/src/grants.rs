//! Grants as somebody has written them. Those whose service is part of the program are checked whole: one that does not read as
//! what it should would grant nothing, and nobody would be told.

use telemesh::Grant;
use telemesh::sock::{SockGrant, is_sock_grant};

/// Reads a grant.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Grant, String> {
    let grant: Grant = text.parse().map_err(|error: telemesh::mesh::ParseGrantError| error.to_string())?;
    if is_sock_grant(text) {
        text.parse::<SockGrant>().map_err(|error| error.to_string())?;
    }
    Ok(grant)
}

//! Rows of the tables: JSON for what people might want to look at, so that any tool can read it.

use std::fmt;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemesh_hashname::{Hashname, base32};
use telemesh_mesh::{Contact, Grants, LinkInfo, PathAddress, StoredInvite};
use telemesh_wire::InviteSecret;
use zeroize::{Zeroize as _, Zeroizing};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactRow {
    /// Link JSON.
    link: serde_json::Value,
    name: Option<String>,
    grants: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    router: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteRow {
    /// Base32. Whoever makes or reads a row overwrites it.
    secret: String,
    uses: u32,
    /// Microseconds since 1970.
    expires: Option<u64>,
    name: Option<String>,
    grants: Vec<String>,
    used: Vec<String>,
}

pub(crate) fn write_contact(contact: &Contact) -> io::Result<String> {
    let row = ContactRow {
        link: serde_json::from_str(&contact.info().to_json())?,
        name: contact.name().map(ToString::to_string),
        grants: write_grants(contact.grants()),
        router: contact.is_router(),
    };
    Ok(serde_json::to_string(&row)?)
}

pub(crate) fn read_contact(hashname: &Hashname, text: &str) -> io::Result<Contact> {
    let row: ContactRow = serde_json::from_str(text).map_err(|error| invalid(hashname, &error))?;
    let info = LinkInfo::from_json(&row.link.to_string()).map_err(|error| invalid(hashname, &error))?;
    if info.hashname() != *hashname {
        return Err(invalid(hashname, &"its keys are another endpoint's"));
    }
    let name = row.name.map(|name| name.parse()).transpose().map_err(|error| invalid(hashname, &error))?;
    let grants = read_grants(hashname, &row.grants)?;
    Ok(Contact::new(info).with_name(name).with_grants(grants).with_router(row.router))
}

pub(crate) fn write_invite(invite: &StoredInvite) -> io::Result<Zeroizing<String>> {
    let mut row = InviteRow {
        secret: base32::encode(invite.secret.as_bytes()),
        uses: invite.uses,
        expires: invite.expires,
        name: invite.name.as_ref().map(ToString::to_string),
        grants: write_grants(&invite.grants),
        used: invite.used.iter().map(ToString::to_string).collect(),
    };
    let text = serde_json::to_string(&row).map(Zeroizing::new);
    row.secret.zeroize();
    Ok(text?)
}

pub(crate) fn read_invite(id: &str, text: &str) -> io::Result<StoredInvite> {
    // What serde says about a wrong value may show it, and this row has a secret.
    let row: InviteRow = serde_json::from_str(text).map_err(|_| invalid(&id, &"not an invite"))?;
    let text = Zeroizing::new(row.secret);
    let secret = base32::decode(&text).map(Zeroizing::new).map_err(|_| invalid(&id, &"its secret"))?;
    let secret: [u8; InviteSecret::LENGTH] =
        secret.as_slice().try_into().map_err(|_| invalid(&id, &"its secret has another length"))?;
    Ok(StoredInvite {
        id: id.to_owned(),
        secret: Arc::new(InviteSecret::from_bytes(secret)),
        uses: row.uses,
        expires: row.expires,
        name: row.name.map(|name| name.parse()).transpose().map_err(|error| invalid(&id, &error))?,
        grants: read_grants(&id, &row.grants)?,
        used: row
            .used
            .iter()
            .map(|text| text.parse().map_err(|error| invalid(&id, &error)))
            .collect::<io::Result<_>>()?,
    })
}

fn write_grants(grants: &Grants) -> Vec<String> {
    grants.iter().map(ToString::to_string).collect()
}

fn read_grants(whose: &dyn fmt::Display, texts: &[String]) -> io::Result<Grants> {
    let mut grants = Grants::none();
    for text in texts {
        let grant = text.parse().map_err(|error| invalid(whose, &error))?;
        grants.insert(grant).map_err(|error| invalid(whose, &error))?;
    }
    Ok(grants)
}

pub(crate) fn write_paths(paths: &[PathAddress]) -> String {
    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn read_paths(peer: &Hashname, text: &str) -> io::Result<Vec<PathAddress>> {
    let paths = text.split_whitespace().map(|path| path.parse().map_err(|error| invalid(peer, &error)));
    paths.collect()
}

/// A row that cannot be what it should be.
pub(crate) fn invalid(whose: &dyn fmt::Display, error: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what is stored about {whose} is damaged: {error}"))
}

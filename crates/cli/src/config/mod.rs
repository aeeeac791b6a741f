//! The configuration file: what an endpoint that stays up should do, in TOML.
//!
//! [`source`] reads the file, [`reader`] takes values out of it and notes what is wrong, [`schema`] knows the settings, and
//! [`changes`] compares two configurations for `reload`. Everything that is wrong is found in one go, each with its line.

mod changes;
mod problem;
mod reader;
mod schema;
mod source;
mod value;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemesh::{ContactName, Grants, Hashname, LinkTarget};

use crate::args::Global;
use crate::endpoint::boxes::CacheAt;
use crate::failure::Failure;
use crate::home;
use crate::listen::ListenAddress;
use crate::quotas::Quotas;

pub(crate) use changes::Change;
pub(crate) use problem::{ConfigError, Problem};
pub(crate) use value::{discover, duration};

/// The file's name in the home folder.
const FILE_NAME: &str = "telemesh.toml";

/// What the file says. Whatever it does not say is `None` or empty, and the program's default holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// Local addresses. Empty: all interfaces, any port.
    pub(crate) listen: Vec<ListenAddress>,
    /// Whether to answer strangers, as somebody with a well-known address may want.
    pub(crate) public: Option<bool>,
    /// Whether to be a router for contacts with that grant.
    pub(crate) router: Option<bool>,
    /// What to log, as `--log` takes it.
    pub(crate) log: Option<String>,
    /// The most links at once.
    pub(crate) max_links: Option<usize>,
    /// How long channels wait for a link that went down.
    pub(crate) survive_down: Option<Duration>,
    /// For how long others may find us on the local network, from the start on.
    pub(crate) discover: Option<telemesh::Discover>,
    /// Whether to hear who is on the local network.
    pub(crate) mdns: Option<bool>,
    /// Whether to ask the gateway for a way in.
    pub(crate) port_mapping: Option<bool>,
    /// Where messages for others are kept.
    pub(crate) cache: Option<CacheAt>,
    /// How much of them.
    pub(crate) quotas: Quotas,
    /// Whether others are told who keeps messages for us.
    pub(crate) box_tell: Option<bool>,
    /// The contacts that keep our messages for those who are away.
    pub(crate) box_via: Vec<ContactName>,
    /// What is served over HTTP: a folder or a URL, as `--serve` takes it.
    pub(crate) serve: Option<String>,
    /// Whom we trust, by name.
    pub(crate) contacts: BTreeMap<ContactName, ContactSettings>,
}

/// One contact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ContactSettings {
    /// How to reach it. Never holds an invite.
    pub(crate) link: LinkTarget,
    /// Who it is.
    pub(crate) hashname: Hashname,
    /// What it may do.
    pub(crate) grants: Grants,
    /// It is one of our routers.
    pub(crate) router: bool,
}

impl Config {
    /// Reads a configuration file that must be there.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read, or all that is wrong in it.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = source::read(path)?;
        Self::parse(&text).map_err(|problems| ConfigError::Content { path: path.to_owned(), problems })
    }

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// All that is wrong, in the order of the lines.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        schema::read(text)
    }

    /// The configuration of an endpoint: the file that was chosen, or the home folder's, which may be missing.
    ///
    /// # Errors
    /// The file is wrong, or the chosen one is missing.
    pub(crate) fn of_endpoint(global: &Global, chosen: Option<&Path>) -> Result<Self, Failure> {
        let path = path(global, chosen)?;
        match Self::load(&path) {
            Err(ConfigError::File { error, .. })
                if chosen.is_none() && error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Self::default())
            }
            result => result.map_err(|error| Failure::Failed(error.to_string())),
        }
    }
}

/// Where the configuration is: the file that was chosen, or the one in the home folder.
///
/// # Errors
/// There is no home folder on this machine.
pub(crate) fn path(global: &Global, chosen: Option<&Path>) -> Result<PathBuf, Failure> {
    match chosen {
        Some(path) => Ok(path.to_owned()),
        None => Ok(home::directory(global)?.join(FILE_NAME)),
    }
}

#[cfg(test)]
mod tests;

//! The configuration that an endpoint follows while it is up: at its start, and again at each `reload`.
//!
//! Contacts in the file are kept in the store like all others. A list of those that came from the file stays beside it, so
//! that whoever is taken out of the file is trusted no more, also when nothing was up at that time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemesh::{Contact, Hashname};

use crate::config::Config;
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::endpoint::boxes::CacheAt;
use crate::event::Happened;
use crate::failure::Failure;
use crate::listen::ListenAddress;
use crate::quotas::Quotas;
use crate::running::Running;
use crate::target;

/// The list's name in the home folder.
const DECLARED: &str = "declared-contacts";

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Settings {
    home: PathBuf,
    chosen: Option<PathBuf>,
    current: Config,
}

impl Settings {
    /// Reads the file that was chosen, or the home folder's, which may be missing.
    ///
    /// # Errors
    /// What is wrong in it.
    pub(crate) fn load(context: &Context, home: &Path, chosen: Option<&Path>) -> Result<Self, Failure> {
        let current = Config::of_endpoint(&context.global, chosen)?;
        context.log.configure(current.log.as_deref())?;
        Ok(Self { home: home.to_owned(), chosen: chosen.map(ToOwned::to_owned), current })
    }

    /// Local addresses.
    pub(crate) fn listen(&self) -> &[ListenAddress] {
        &self.current.listen
    }

    /// How long channels wait for a link that went down.
    pub(crate) fn survive_down(&self) -> Option<Duration> {
        self.current.survive_down
    }

    /// Whether strangers may learn that somebody is here.
    pub(crate) fn public(&self) -> bool {
        self.current.public.unwrap_or(false)
    }

    /// Whether others may find us on the local network, and for how long.
    pub(crate) fn discover(&self) -> Option<telemesh::Discover> {
        self.current.discover
    }

    /// Whether to hear who is on the local network.
    pub(crate) fn mdns(&self) -> Option<bool> {
        self.current.mdns
    }

    /// Whether to ask the gateway for a way in.
    pub(crate) fn port_mapping(&self) -> bool {
        self.current.port_mapping.unwrap_or(false)
    }

    /// Whether to lead others to each other.
    pub(crate) fn router(&self) -> bool {
        self.current.router.unwrap_or(false)
    }

    /// Where messages for others are kept.
    pub(crate) fn cache(&self) -> Option<&CacheAt> {
        self.current.cache.as_ref()
    }

    /// How much of them.
    pub(crate) fn quotas(&self) -> Quotas {
        self.current.quotas
    }

    /// Whether others are told who keeps messages for us.
    pub(crate) fn box_tell(&self) -> bool {
        self.current.box_tell.unwrap_or(true)
    }

    /// What is served over HTTP.
    pub(crate) fn serve(&self) -> Option<&str> {
        self.current.serve.as_deref()
    }

    /// The most links.
    pub(crate) fn max_links(&self) -> Option<usize> {
        self.current.max_links
    }

    /// Trusts whom the file names, and no more those whom it has named before.
    ///
    /// # Errors
    /// Two contacts with one name, a list that cannot be read or written.
    pub(crate) fn apply(&self, endpoint: &Endpoint, running: &Running) -> Result<(), Failure> {
        let path = self.home.join(DECLARED);
        let before = read(&path)?;
        let now: BTreeSet<_> = self.current.contacts.values().map(|contact| contact.hashname).collect();
        for gone in before.difference(&now) {
            endpoint.mesh().forget(gone);
        }
        if now != before {
            // Before they are trusted, so that nobody stays who was never written down.
            write(&path, &now)?;
        }
        for (name, settings) in &self.current.contacts {
            let Some(info) = target::info(&settings.link) else { continue };
            let contact =
                Contact::new(info).with_name(Some(name.clone())).with_grants(settings.grants.clone());
            endpoint.keep(contact.with_router(settings.router))?;
        }
        let named = |name: &telemesh::ContactName| {
            let contact = endpoint.mesh().named(name.as_str());
            contact.map(|contact| contact.hashname()).ok_or_else(|| endpoint.no_contact(name.as_str()))
        };
        endpoint.set_box_via(self.current.box_via.iter().map(named).collect::<Result<_, _>>()?);
        running.declare(now);
        Ok(())
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// What is wrong in it; everything then stays as it was.
    pub(crate) fn reload(
        &mut self,
        context: &Context,
        endpoint: &Endpoint,
        running: &Running,
    ) -> Result<Happened, Failure> {
        let new = Config::of_endpoint(&context.global, self.chosen.as_deref())?;
        context.log.configure(new.log.as_deref())?;
        let (restart, changes): (Vec<_>, Vec<_>) =
            self.current.changes(&new).into_iter().partition(crate::config::Change::needs_restart);
        self.current = new;
        self.apply(endpoint, running)?;
        if changes.contains(&crate::config::Change::Discover) {
            endpoint.mesh().discover(self.current.discover.unwrap_or(telemesh::Discover::Off));
        }
        let words = |changes: Vec<crate::config::Change>| changes.iter().map(ToString::to_string).collect();
        Ok(Happened::Reloaded { changes: words(changes), restart: words(restart) })
    }
}

fn read(path: &Path) -> Result<BTreeSet<Hashname>, Failure> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        text => text.map_err(|error| failed("read", path, &error))?,
    };
    let read = text.lines().map(str::parse).collect::<Result<_, _>>();
    read.map_err(|_| Failure::Failed(format!("{} has something else than hashnames in it", path.display())))
}

fn write(path: &Path, hashnames: &BTreeSet<Hashname>) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let text: String = hashnames.iter().map(|hashname| format!("{hashname}\n")).collect();
    let save = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    save().map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("could not {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DECLARED);
        assert!(read(&path).unwrap().is_empty());
        let list = BTreeSet::from([Hashname::from_bytes([1; 32]), Hashname::from_bytes([2; 32])]);
        write(&path, &list).unwrap();
        assert_eq!(read(&path).unwrap(), list);
        fs::write(&path, "nonsense\n").unwrap();
        assert!(read(&path).is_err());
    }
}

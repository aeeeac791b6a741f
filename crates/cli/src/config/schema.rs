//! The settings: which there are, what they may be, and what each becomes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use telemesh::{ContactName, Grants, Hashname};
use toml::de::DeTable;

use crate::endpoint::boxes::CacheAt;

use super::problem::Problem;
use super::reader::{Item, Problems, Section};
use super::value::{discover, duration, grant, link};
use super::{Config, ContactSettings};
use crate::listen::ListenAddress;
use crate::quotas::{self, Quotas};

/// Settings that stand above the first section.
const TOP_LEVEL: [&str; 17] = [
    "listen",
    "public",
    "router",
    "log",
    "max_links",
    "survive_down",
    "discover",
    "mdns",
    "box",
    "box_per_sender",
    "box_per_recipient",
    "box_total",
    "box_max_message",
    "box_keep",
    "box_tell",
    "box_via",
    "serve",
];

/// The most links that a mesh can be built for.
const LINKS: RangeInclusive<usize> = 1..=1_048_576;

/// Longer than a day a channel waits for nobody: its peer has long given up.
const MAX_SURVIVE_DOWN: Duration = Duration::from_secs(86_400);

/// Reads a document, or says all that is wrong with it.
pub(super) fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        if problems.is_full() {
            break;
        }
        problems.report(error.span().map_or(0, |span| span.start), "", error.message());
    }
    if !problems.is_empty() {
        // What was understood of a malformed text may be anything, and so may be what is wrong with it.
        return Err(problems.into_sorted());
    }
    let config = config(Section::root(document.get_ref()), &mut problems);
    if problems.is_empty() { Ok(config) } else { Err(problems.into_sorted()) }
}

fn config(mut root: Section<'_>, problems: &mut Problems<'_>) -> Config {
    let mut config = Config::default();
    if let Some(item) = root.take("listen") {
        let wanted = "an address like \"0.0.0.0:42424\"";
        config.listen = item
            .list()
            .iter()
            .filter_map(|item| item.parsed(wanted, str::parse::<ListenAddress>, problems))
            .collect();
    }
    config.public = root.take("public").and_then(|item| item.boolean(problems));
    config.router = root.take("router").and_then(|item| item.boolean(problems));
    config.log = root.take("log").and_then(|item| {
        let checked = |text: &str| crate::log::filter(text).map(|_| text.to_owned());
        item.parsed("a filter like \"info\" or \"telemesh=debug\"", checked, problems)
    });
    config.max_links = root.take("max_links").and_then(|item| item.number(&LINKS, problems));
    config.survive_down =
        root.take("survive_down").and_then(|item| item.parsed("a time like \"60s\"", survive_down, problems));
    config.discover = root
        .take("discover")
        .and_then(|item| item.parsed("a time like \"2m\", or \"forever\"", discover, problems));
    config.mdns = root.take("mdns").and_then(|item| item.boolean(problems));
    config.cache = root
        .take("box")
        .and_then(|item| item.parsed("\"memory\" or the path of a file", CacheAt::parse, problems));
    config.quotas = quotas(&mut root, problems);
    config.box_tell = root.take("box_tell").and_then(|item| item.boolean(problems));
    if let Some(item) = root.take("box_via") {
        let name = |text: &str| text.parse::<ContactName>().map_err(|error| error.to_string());
        let named = item.list();
        config.box_via =
            named.iter().filter_map(|item| item.parsed("the name of a contact", name, problems)).collect();
    }
    config.serve = root.take("serve").and_then(|item| {
        let checked = |text: &str| crate::endpoint::serve::check(text).map(|()| text.to_owned());
        item.parsed("a folder, or a URL like \"http://127.0.0.1:3000\"", checked, problems)
    });
    if let Some(item) = root.take("network")
        && let Some(mut section) = item.section("a section with `port_mapping`", problems)
    {
        config.port_mapping = section.take("port_mapping").and_then(|item| item.boolean(problems));
        section.finish(&TOP_LEVEL, problems);
    }
    if let Some(item) = root.take("contacts") {
        config.contacts = contacts(&item, problems);
    }
    root.finish(&[], problems);
    config
}

fn quotas(root: &mut Section<'_>, problems: &mut Problems<'_>) -> Quotas {
    let mut size = |key, check: fn(&str) -> Result<u64, String>| {
        let item = root.take(key);
        item.and_then(|item| item.parsed("a size like \"64MiB\"", check, problems))
    };
    let per_sender = size("box_per_sender", quotas::size);
    let per_recipient = size("box_per_recipient", quotas::size);
    let total = size("box_total", quotas::size);
    let max_message = size("box_max_message", quotas::message);
    let keep =
        root.take("box_keep").and_then(|item| item.parsed("a time like \"7d\"", quotas::keep, problems));
    Quotas { per_sender, per_recipient, total, max_message, keep }
}

fn survive_down(text: &str) -> Result<Duration, String> {
    duration(text)
        .and_then(|time| if time <= MAX_SURVIVE_DOWN { Ok(time) } else { Err("at most a day".into()) })
}

fn contacts(item: &Item<'_>, problems: &mut Problems<'_>) -> BTreeMap<ContactName, ContactSettings> {
    let mut contacts = BTreeMap::new();
    let mut names: BTreeMap<Hashname, &str> = BTreeMap::new();
    let Some(section) = item.section("sections like [contacts.bob]", problems) else { return contacts };
    for (text, item) in section.items() {
        let name: Option<ContactName> = match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                problems.report(item.key_at, &item.path, error);
                None
            }
        };
        let Some(settings) = contact(&item, problems) else { continue };
        if let Some(other) = names.insert(settings.hashname, text) {
            problems.report(item.key_at, &item.path, format_args!("this is the same endpoint as {other}"));
        }
        contacts.extend(name.map(|name| (name, settings)));
    }
    contacts
}

fn contact(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<ContactSettings> {
    let mut section = item.section("a section with `link`, `grants` and `router`", problems)?;
    let link_item = section.take("link");
    let grants = match section.take("grants") {
        Some(item) => grants(&item, problems),
        // Whoever names a contact wants to link with it; all else has to be said.
        None => Grants::link(),
    };
    let router = section.take("router").and_then(|item| item.boolean(problems)).unwrap_or(false);
    section.finish(&TOP_LEVEL, problems);
    let Some(link_item) = link_item else {
        problems.report(item.key_at, &item.path, "`link` is missing: who is it?");
        return None;
    };
    let text = link_item.text("a link uri, link json or a hashname", problems)?;
    match link(text) {
        Ok((link, hashname)) => Some(ContactSettings { link, hashname, grants, router }),
        Err(error) => {
            link_item.report(problems, error);
            None
        }
    }
}

fn grants(item: &Item<'_>, problems: &mut Problems<'_>) -> Grants {
    let mut grants = Grants::none();
    for item in item.list() {
        let Some(grant) = item.parsed("a grant like \"link\"", grant, problems) else { continue };
        if let Err(error) = grants.insert(grant) {
            item.report(problems, error);
            break;
        }
    }
    grants
}

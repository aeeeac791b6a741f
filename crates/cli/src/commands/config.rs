//! `telemesh config check [FILE]`: what is wrong with a configuration file, or what it means.

use std::fmt::Display;
use std::io;
use std::path::Path;

use serde::Serialize;
use telemesh::{Grant, Grants};

use crate::args::ConfigCommand;
use crate::config::{self, Config, ConfigError, Problem};
use crate::context::Context;
use crate::failure::Failure;

/// What was found, for scripts.
#[derive(Debug, Serialize)]
struct CheckObject<'a> {
    file: String,
    ok: bool,
    /// Whether there is a file; only the home folder's may be missing.
    found: bool,
    problems: &'a [Problem],
    settings: Option<Settings<'a>>,
}

/// The settings with their meaning; null where the program's default holds.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    listen: Vec<String>,
    public: Option<bool>,
    router: Option<bool>,
    log: Option<&'a str>,
    max_links: Option<usize>,
    survive_down_s: Option<u64>,
    serve: Option<&'a str>,
    contacts: Vec<ContactObject<'a>>,
}

#[derive(Debug, Serialize)]
struct ContactObject<'a> {
    name: &'a str,
    hashname: String,
    grants: Vec<&'a str>,
}

/// Reads the file and tells of it.
pub(crate) fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Check { file: chosen } = command;
    let path = config::path(&context.global, chosen.as_deref())?;
    match Config::load(&path) {
        Ok(config) => {
            report(context, &path, true, &config)?;
            summary(context, &path, &config)
        }
        Err(ConfigError::File { error, .. })
            if chosen.is_none() && error.kind() == io::ErrorKind::NotFound =>
        {
            report(context, &path, false, &Config::default())?;
            let line = format!("there is no {}: everything is at its default", path.display());
            context.output.line(line)
        }
        Err(ConfigError::Content { problems, .. }) => wrong(context, &path, &problems),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// The object for a file that is in order.
fn report(context: &Context, path: &Path, found: bool, config: &Config) -> Result<(), Failure> {
    let contacts = config.contacts.iter().map(|(name, contact)| ContactObject {
        name: name.as_str(),
        hashname: contact.hashname.to_string(),
        grants: words(&contact.grants),
    });
    let settings = Settings {
        listen: config.listen.iter().map(ToString::to_string).collect(),
        public: config.public,
        router: config.router,
        log: config.log.as_deref(),
        max_links: config.max_links,
        survive_down_s: config.survive_down.map(|time| time.as_secs()),
        serve: config.serve.as_deref(),
        contacts: contacts.collect(),
    };
    let file = path.display().to_string();
    context.output.object(&CheckObject { file, ok: true, found, problems: &[], settings: Some(settings) })
}

fn summary(context: &Context, path: &Path, config: &Config) -> Result<(), Failure> {
    let output = &context.output;
    output.line(format_args!("{} is in order", path.display()))?;
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    output.line(format_args!(
        "listen        {}",
        if listen.is_empty() { "all interfaces, any port".to_owned() } else { listen.join(", ") }
    ))?;
    output.line(format_args!(
        "public        {}",
        if config.public == Some(true) { "yes: answers strangers" } else { "no: silent to strangers" }
    ))?;
    output.line(format_args!(
        "router        {}",
        if config.router == Some(true) { "yes: leads contacts to each other" } else { "no" }
    ))?;
    output.line(format_args!("log           {}", or_default(config.log.as_deref(), "nothing")))?;
    output.line(format_args!("max_links     {}", or_default(config.max_links, "65536 (default)")))?;
    let survive_down = config.survive_down.map(|time| format!("{} s", time.as_secs()));
    output.line(format_args!("survive_down  {}", or_default(survive_down, "60 s (default)")))?;
    output.line(format_args!("serve         {}", or_default(config.serve.as_deref(), "nothing")))?;
    for (name, contact) in &config.contacts {
        let grants =
            if contact.grants.is_empty() { "nothing".to_owned() } else { words(&contact.grants).join(", ") };
        output.line(format_args!("contact       {name} ({}) may: {grants}", contact.hashname.short()))?;
    }
    Ok(())
}

fn words(grants: &Grants) -> Vec<&str> {
    grants.iter().map(Grant::as_str).collect()
}

fn or_default(value: Option<impl Display>, default: &str) -> String {
    value.map_or_else(|| default.to_owned(), |value| value.to_string())
}

/// All that is wrong, each like a compiler's message, so that editors jump to it.
fn wrong(context: &Context, path: &Path, problems: &[Problem]) -> Result<(), Failure> {
    for problem in problems {
        let Problem { line, column, key, problem } = problem;
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        context.output.line(format_args!("{}:{line}:{column}: {key}{problem}", path.display()))?;
    }
    let file = path.display().to_string();
    context.output.object(&CheckObject { file, ok: false, found: true, problems, settings: None })?;
    let count = problems.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    Err(Failure::Failed(format!("{count} {noun} in {}", path.display())))
}

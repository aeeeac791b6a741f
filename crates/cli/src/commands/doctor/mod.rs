//! `telemesh doctor`: what can go wrong on this machine, and what to do about it.
//!
//! Each file has checks of one kind. A check looks and changes nothing; none of them sends anything beyond this machine,
//! though the kernel tells the network which multicast groups this machine listens to.

mod clock;
mod firewall;
mod home;
mod mapping;
mod mdns;
mod network;
mod report;
mod sockets;
mod system;

use std::path::Path;

use self::report::{Check, Status};
use crate::config::{self, Config, ConfigError};
use crate::context::Context;
use crate::failure::Failure;
use crate::home as home_folder;
use crate::lock;

/// Makes all the checks, tells of each as soon as it is made, and fails if one of them did.
pub(crate) async fn run(context: &Context, config_file: Option<&Path>) -> Result<(), Failure> {
    let folder = home_folder::directory(&context.global)?;
    let config_path = config::path(&context.global, config_file)?;
    let mut tally = Tally { context, counts: [0; 4], failed: Vec::new() };

    for check in home::checks(&folder).await {
        tally.add(&check)?;
    }
    let (check, config) = configuration(&config_path, config_file.is_some());
    tally.add(&check)?;
    for check in sockets::checks().await {
        tally.add(&check)?;
    }
    tally.add(&network::listening(&config.listen, lock::is_held(&folder).unwrap_or(false)))?;
    for check in network::checks() {
        tally.add(&check)?;
    }
    tally.add(&mdns::check(config.mdns))?;
    tally.add(&mapping::check(&folder, config.port_mapping.unwrap_or(false)).await)?;
    for check in firewall::checks(&config.listen) {
        tally.add(&check)?;
    }
    for check in clock::checks(&folder) {
        tally.add(&check)?;
    }
    for check in system::checks() {
        tally.add(&check)?;
    }
    tally.end()
}

/// The configuration file, and what it says if it can be read.
fn configuration(path: &Path, chosen: bool) -> (Check, Config) {
    const NAME: &str = "configuration";
    match Config::load(path) {
        Ok(config) => (Check::ok(NAME, format!("{} is in order", path.display())), config),
        Err(ConfigError::File { error, .. }) if !chosen && error.kind() == std::io::ErrorKind::NotFound => {
            (Check::ok(NAME, "there is no file, everything is at its default"), Config::default())
        }
        Err(error) => {
            let advice = "correct the file; `telemesh config check` shows all that is wrong in it";
            (Check::failed(NAME, error, advice), Config::default())
        }
    }
}

/// What was found so far.
struct Tally<'a> {
    context: &'a Context,
    /// By [`Status`].
    counts: [usize; 4],
    failed: Vec<&'static str>,
}

impl Tally<'_> {
    fn add(&mut self, check: &Check) -> Result<(), Failure> {
        let (index, status) = match check.status {
            Status::Ok => (0, "ok"),
            Status::Warning => (1, "warning"),
            Status::Failed => (2, "FAILED"),
            Status::Skipped => (3, "skipped"),
        };
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        if check.status == Status::Failed {
            self.failed.push(check.check);
        }
        let output = &self.context.output;
        output.line(format_args!("{status:<8} {:<14} {}", check.check, check.found))?;
        if let Some(advice) = &check.advice {
            output.line(format_args!("{:<23} -> {advice}", ""))?;
        }
        output.object(check)
    }

    fn end(self) -> Result<(), Failure> {
        let [ok, warnings, failed, skipped] = self.counts;
        self.context
            .output
            .note(format_args!("{ok} ok, {warnings} with a warning, {failed} failed, {skipped} skipped"));
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(Failure::Failed(format!("not in order: {}", self.failed.join(", "))))
    }
}

//! The wall clock: invites and handshakes need one that is about right and never goes back far.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::report::Check;
use crate::home as home_folder;
use crate::lock;

/// 2026-01-01: before this program was made.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// 2100-01-01: a clock that says so was set by mistake.
const LATEST: Duration = Duration::from_secs(4_102_444_800);

/// A file may be a little younger than now: file systems round, and network drives have clocks of their own.
const TOLERANCE: Duration = Duration::from_secs(120);

pub(super) fn checks(folder: &Path) -> Vec<Check> {
    let now = SystemTime::now();
    let newest = [home_folder::KEY, lock::NAME]
        .iter()
        .filter_map(|name| fs::metadata(folder.join(name)).ok()?.modified().ok())
        .max();
    vec![clock(now, newest), synchronised()]
}

/// Judges the time by itself and by that of the files we have written.
fn clock(now: SystemTime, newest_file: Option<SystemTime>) -> Check {
    const NAME: &str = "clock";
    const SET: &str = "set the clock, and let it be set by the network (NTP)";
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let shown = date(now);
    if since < EARLIEST {
        return Check::failed(NAME, format!("it is {shown}, which was before this program was made"), SET);
    }
    if since >= LATEST {
        return Check::failed(NAME, format!("it is {shown}, which is hardly true"), SET);
    }
    if let Some(file) = newest_file
        && let Ok(ahead) = file.duration_since(now)
        && ahead > TOLERANCE
    {
        let found = format!(
            "it is {shown}, but the home folder was written to at {}: the clock has gone back",
            date(file)
        );
        let advice =
            "if the clock is right now nothing has to be done; links come up again after a few attempts";
        return Check::warning(NAME, found, advice);
    }
    Check::ok(NAME, format!("it is {shown}"))
}

/// A date for people. Times that have no date have no name either.
fn date(time: SystemTime) -> String {
    if time < UNIX_EPOCH || time >= UNIX_EPOCH + MAX_DATE {
        return "no date at all".to_owned();
    }
    humantime::format_rfc3339_seconds(time).to_string()
}

/// 9999-12-31, the last that can be written with four digits.
const MAX_DATE: Duration = Duration::from_secs(253_402_214_400);

/// Whether something keeps the clock right.
#[cfg(target_os = "linux")]
fn synchronised() -> Check {
    const NAME: &str = "clock-sync";
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Check::ok(NAME, "systemd-timesyncd has set the clock");
    }
    let services = [("/run/chrony", "chrony"), ("/run/chronyd.pid", "chrony"), ("/run/ntpd.pid", "ntpd")];
    if let Some((_, name)) = services.iter().find(|(path, _)| Path::new(path).exists()) {
        return Check::ok(NAME, format!("{name} keeps the clock"));
    }
    if Path::new("/run/systemd/timesync").exists() {
        let advice = "`timedatectl status` says why; without a network this is no wonder";
        return Check::warning(NAME, "systemd-timesyncd has not set the clock yet", advice);
    }
    Check::skipped(NAME, "nothing here sets the clock; in a container or a virtual machine the host may")
        .with_advice("`timedatectl set-ntp true`, or install chrony")
}

#[cfg(not(target_os = "linux"))]
fn synchronised() -> Check {
    Check::skipped("clock-sync", "this system does not say; leave \"set the time automatically\" on")
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_clock_that_is_years_off_is_found() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        let year = 31_536_000;
        for (now, status) in [
            (at(0), Status::Failed),
            (at(EARLIEST.as_secs() - 1), Status::Failed),
            (at(EARLIEST.as_secs()), Status::Ok),
            (at(LATEST.as_secs() - 1), Status::Ok),
            (at(LATEST.as_secs()), Status::Failed),
            (at(253_402_214_400 + year), Status::Failed),
            (UNIX_EPOCH - Duration::from_secs(year), Status::Failed),
        ] {
            assert_eq!(clock(now, None).status, status, "{now:?}");
        }
    }

    #[test]
    fn a_file_from_the_future_tells_of_a_clock_that_went_back() {
        let now = UNIX_EPOCH + EARLIEST + TOLERANCE;
        assert_eq!(clock(now, Some(now + TOLERANCE)).status, Status::Ok);
        let check = clock(now, Some(now + TOLERANCE + Duration::from_secs(1)));
        assert_eq!(check.status, Status::Warning);
        assert_eq!(clock(now, Some(now - TOLERANCE)).status, Status::Ok);
    }
}

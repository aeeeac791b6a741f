//! How much an endpoint keeps for others: what the command line or the configuration says of it.

use std::time::Duration;

use telemesh::boxes::CacheLimits;
use telemesh::boxes::limits::MAX_SEALED;

/// The least of any quota, in bytes: with less not even a receipt would be kept.
const LEAST: u64 = 64 * KIBIBYTE;

/// The most, in bytes: the index of what is kept takes a third of a gigabyte of memory for each gigabyte of small messages.
const MOST: u64 = 1024 * 1024 * 1024 * KIBIBYTE;

/// The longest that something is kept. What nobody has fetched in a year is not fetched.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const KIBIBYTE: u64 = 1024;

/// Quotas of what is kept for others; those that are not said are the default's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Quotas {
    /// With --box, the most from one contact, like 64MiB [default: the configuration's, or 64MiB]
    #[arg(long = "box-per-sender", value_name = "SIZE", value_parser = size)]
    pub(crate) per_sender: Option<u64>,
    /// With --box, the most for one recipient [default: the configuration's, or 256MiB]
    #[arg(long = "box-per-recipient", value_name = "SIZE", value_parser = size)]
    pub(crate) per_recipient: Option<u64>,
    /// With --box, the most of all; the oldest messages go first [default: the configuration's, or 1GiB]
    #[arg(long = "box-total", value_name = "SIZE", value_parser = size)]
    pub(crate) total: Option<u64>,
    /// With --box, the longest message, at most 16448KiB [default: the configuration's, or 16448KiB]
    #[arg(long = "box-max-message", value_name = "SIZE", value_parser = message)]
    pub(crate) max_message: Option<u64>,
    /// With --box, how long a message is kept, like 12h or 7d [default: the configuration's, or 7d]
    #[arg(long = "box-keep", value_name = "TIME", value_parser = keep)]
    pub(crate) keep: Option<Duration>,
}

impl Quotas {
    /// These, and where they say nothing, those.
    pub(crate) fn or(self, those: Self) -> Self {
        Self {
            per_sender: self.per_sender.or(those.per_sender),
            per_recipient: self.per_recipient.or(those.per_recipient),
            total: self.total.or(those.total),
            max_message: self.max_message.or(those.max_message),
            keep: self.keep.or(those.keep),
        }
    }

    /// What the cache is started with. A quota that is larger than that of all is that of all.
    pub(crate) fn limits(self) -> CacheLimits {
        let default = CacheLimits::default();
        let total = self.total.unwrap_or(default.total);
        CacheLimits {
            per_sender: self.per_sender.unwrap_or(default.per_sender).min(total),
            per_recipient: self.per_recipient.unwrap_or(default.per_recipient).min(total),
            total,
            max_message: self.max_message.map_or(default.max_message, |bytes| {
                usize::try_from(bytes).unwrap_or(MAX_SEALED).min(MAX_SEALED)
            }),
            time_to_live: self.keep.unwrap_or(default.time_to_live),
        }
    }
}

/// A number of bytes with its unit.
///
/// # Errors
/// What a size looks like, and how much it may be.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    within(text, MOST)
}

/// The same for one message.
///
/// # Errors
/// As [`size`].
pub(crate) fn message(text: &str) -> Result<u64, String> {
    within(text, u64::try_from(MAX_SEALED).unwrap_or(u64::MAX))
}

/// How long a message is kept.
///
/// # Errors
/// What a time looks like, and how long it may be.
pub(crate) fn keep(text: &str) -> Result<Duration, String> {
    match crate::config::duration(text)? {
        time if time.is_zero() || time > LONGEST => Err("more than nothing and at most 366d".to_owned()),
        time => Ok(time),
    }
}

fn within(text: &str, most: u64) -> Result<u64, String> {
    let wanted = || "a number with its unit is needed, like 512KiB, 64MiB or 2GiB".to_owned();
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wanted)?;
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let factor = units.iter().zip(1..).find(|(name, _)| **name == unit.trim()).map(|(_, power)| power);
    let factor = KIBIBYTE.pow(factor.ok_or_else(wanted)?);
    let number: u64 = number.parse().map_err(|_| wanted())?;
    match number.checked_mul(factor) {
        Some(bytes) if (LEAST..=most).contains(&bytes) => Ok(bytes),
        _ => Err(format!("from {}KiB to {}KiB", LEAST / KIBIBYTE, most / KIBIBYTE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_are_taken_up_to_their_limits_and_no_further() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("1024GiB"), Ok(1 << 40));
        assert_eq!(message("16448KiB"), Ok(u64::try_from(MAX_SEALED).unwrap()));
        for bad in [
            "63KiB",
            "1025GiB",
            "2TiB",
            "64",
            "MiB",
            "64MB",
            "-1MiB",
            "1.5GiB",
            "",
            "99999999999999999999GiB",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(message("16449KiB").is_err());
        assert_eq!(keep("366d"), Ok(LONGEST));
        for bad in ["0s", "367d", "7"] {
            assert!(keep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_said_comes_before_the_file_and_the_default_last() {
        let said = Quotas { total: Some(1 << 20), ..Quotas::default() };
        let file = Quotas { total: Some(1 << 30), keep: Some(Duration::from_secs(60)), ..Quotas::default() };
        let limits = said.or(file).limits();
        assert_eq!((limits.total, limits.per_sender, limits.per_recipient), (1 << 20, 1 << 20, 1 << 20));
        assert_eq!((limits.time_to_live, limits.max_message), (Duration::from_secs(60), MAX_SEALED));
        assert_eq!(Quotas::default().limits(), CacheLimits::default());
    }
}

//! One measurement's figures and the settings that were read back, as the child process hands them to the driver.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    machine::Used,
    options::{PeerName, Workload},
};

/// Figures by name; the unit is the end of the name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Settings as they were in force, read back from the peer where it allows that.
pub(crate) type Settings = BTreeMap<String, String>;

/// What one workload found out about one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) figures: Figures,
    pub(crate) settings: Settings,
    /// See [`Sample::other_cores`].
    pub(crate) other_cores: Option<f64>,
}

impl Findings {
    /// No figures yet, but what else is known about the part that was measured.
    pub(crate) fn new(settings: Settings, used: &Used) -> Self {
        Self { settings, other_cores: Some(used.other_cores), ..Self::default() }
    }

    /// Adds one figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64) -> &mut Self {
        self.figures.insert(name.to_owned(), value);
        self
    }
}

/// One line of JSON: one peer, one workload, one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) v: u32,
    pub(crate) event: String,
    pub(crate) workload: Workload,
    pub(crate) peer: PeerName,
    pub(crate) run: u32,
    pub(crate) figures: Figures,
    pub(crate) settings: Settings,
    /// Cores that other programs kept busy during the part that was measured: a sample with much of it is not worth
    /// much. Not there where the peer itself has other processes.
    pub(crate) other_cores: Option<f64>,
}

/// The middle of `values` (the mean of the two middle ones if their number is even); `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    sorted.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
}

/// The value below which `percent` of the sorted `values` lie, by the nearest rank; `None` without values.
pub(crate) fn percentile(values: &mut [u64], percent: usize) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(rank).copied()
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn percentiles_take_the_nearest_rank() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut values, 50), Some(100));
        assert_eq!(percentile(&mut values, 99), Some(198));
        assert_eq!(percentile(&mut values, 100), Some(200));
        assert_eq!(percentile(&mut [], 50), None);
    }
}

//! One measurement's figures and the settings that were read back, as the child process hands them to the driver.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    machine::Used,
    options::{PeerName, Workload},
};

pub(crate) use telemesh_bench::figures::{median, percentile};

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

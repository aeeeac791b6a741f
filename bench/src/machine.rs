//! What the kernel says about this machine and this process: time, memory, and how busy other programs are.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

/// Resident memory of this process in KiB.
///
/// # Errors
/// When the kernel offers no `/proc`.
pub fn resident_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find(|line| line.starts_with("VmRSS:")).context("no resident memory in /proc")?;
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).context("unreadable resident memory")
}

/// Lets this process and its children open as many files as the machine allows: `memory` needs a socket per
/// connection, some peers several.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // A refusal shows as a failing bind later, with a better message than any that could be made here.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Clocks over the part of a workload that is measured.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    own_cpu: f64,
    all_cpu: f64,
}

/// What a [`Meter`] has read.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Wall time in seconds.
    pub wall_seconds: f64,
    /// CPU seconds of all threads of this process, in the kernel and outside.
    pub cpu_seconds: f64,
    /// Cores that other programs kept busy meanwhile, on average.
    pub other_cores: f64,
}

impl Meter {
    /// Starts the clocks.
    pub fn start() -> Self {
        Self { all_cpu: machine_cpu_seconds(), own_cpu: process_cpu_seconds(), started: Instant::now() }
    }

    /// Reads the clocks.
    pub fn read(&self) -> Used {
        let wall_seconds = self.started.elapsed().as_secs_f64();
        let cpu_seconds = process_cpu_seconds() - self.own_cpu;
        let others = machine_cpu_seconds() - self.all_cpu - cpu_seconds;
        // The kernel counts in hundredths of a second, so a quiet machine may come out slightly negative.
        Used { wall_seconds, cpu_seconds, other_cores: (others / wall_seconds).max(0.0) }
    }
}

/// Cores that other programs may keep busy before their part in a figure is worth mentioning.
pub const QUIET_CORES: f64 = 0.1;

/// Waits until other programs have been quiet for a moment.
///
/// # Errors
/// When they do not become quiet within ten minutes.
pub fn wait_until_quiet() -> Result<()> {
    const MOMENT: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(600);
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let moment = Meter::start();
        thread::sleep(MOMENT);
        if moment.read().other_cores < QUIET_CORES {
            return Ok(());
        }
    }
    bail!("other programs were busy all the time for {PATIENCE:?}");
}

/// CPU seconds of all threads of this process, in the kernel and outside.
pub fn process_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds that all programs have used in user and kernel mode; zero where the kernel does not tell.
fn machine_cpu_seconds() -> f64 {
    // The kernel's `USER_HZ`, which has been 100 for programs on every Linux architecture for decades.
    const TICKS_PER_SECOND: f64 = 100.0;
    let Ok(stat) = fs::read_to_string("/proc/stat") else { return 0.0 };
    let Some(line) = stat.lines().next() else { return 0.0 };
    // "cpu user nice system idle ...": interrupts are left out, since loopback traffic is handled in them.
    let ticks: f64 =
        line.split_whitespace().skip(1).take(3).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_PER_SECOND
}

/// One line about processor and kernel for the head of a report.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, model)| model.trim()))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}

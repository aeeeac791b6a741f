//! Who goes first on a core: what is measured before what disturbs it, and both before other programs where that is allowed.
//!
//! Under `chrt --fifo 70` all processes that are measured are realtime ones, and what disturbs them is not. Otherwise it is done
//! with niceness, and other programs are seen in the figures.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// Niceness of what is measured.
const HIGH: i32 = -10;

/// Puts this process before normal ones; whether it is.
pub(crate) fn raise() -> bool {
    is_realtime() || setpriority_process(None, HIGH).is_ok()
}

/// Puts this thread behind those that are measured, and still before other programs: it holds locks that something measured
/// waits for. A realtime thread that never rests would be stopped by the kernel, and with it all others on its core: that
/// one is a normal one.
pub(crate) fn lower(rests: bool) {
    if was_realtime() {
        change(if rests { &["--fifo", "--pid", "1"] } else { &["--other", "--pid", "0"] });
    }
    // Without the right to do so it was not raised either.
    let _ = setpriority_process(None, 0);
}

/// Puts this thread behind everything.
pub(crate) fn lowest() {
    change(&["--idle", "--pid", "0"]);
    // Where there is no such program.
    let _ = setpriority_process(None, 19);
}

/// Puts this thread before others that are measured, if they are realtime ones.
pub(crate) fn first() {
    if is_realtime() {
        change(&["--fifo", "--pid", "80"]);
    }
}

fn change(arguments: &[&str]) {
    let thread = gettid().as_raw_nonzero().to_string();
    let _ = Command::new("chrt").args(arguments).arg(thread).stdout(Stdio::null()).status();
}

/// Whether this thread has a realtime policy.
fn is_realtime() -> bool {
    policy_is_realtime("/proc/thread-self/stat")
}

/// Whether this process was started with one: its first thread never changes.
fn was_realtime() -> bool {
    policy_is_realtime("/proc/self/stat")
}

/// By the 41st field of what the kernel says.
fn policy_is_realtime(of: &str) -> bool {
    let stat = fs::read_to_string(of).unwrap_or_default();
    let policy = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(38));
    matches!(policy, Some("1" | "2"))
}

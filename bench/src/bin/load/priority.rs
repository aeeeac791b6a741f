//! Who goes first on a core: what is measured before what disturbs it, and both before other programs where that is allowed.
//!
//! Under `chrt --fifo 40` all processes that are measured are realtime ones, and what disturbs them is not. Otherwise it is done
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

/// Puts this thread behind those that are measured. Not behind other programs: it may hold a lock that something measured
/// waits for.
pub(crate) fn lower() {
    if is_realtime() {
        change(&["--other", "--pid", "0"]);
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
        change(&["--fifo", "--pid", "60"]);
    }
}

fn change(arguments: &[&str]) {
    let thread = gettid().as_raw_nonzero().to_string();
    let _ = Command::new("chrt").args(arguments).arg(thread).stdout(Stdio::null()).status();
}

/// Whether this thread has a realtime policy, by the 41st field of what the kernel says.
fn is_realtime() -> bool {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let policy = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(38));
    matches!(policy, Some("1" | "2"))
}

//! What the operating system grants: open files and randomness.

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::report::Check;

/// Fewer open files than this are soon used up by tunnels, each of which is one or two.
#[cfg(unix)]
const FEW_FILES: u64 = 1_024;

pub(super) fn checks() -> Vec<Check> {
    vec![open_files(), randomness()]
}

#[cfg(unix)]
fn open_files() -> Check {
    use rustix::process::{Resource, getrlimit};
    judge_files(getrlimit(Resource::Nofile).current)
}

#[cfg(unix)]
fn judge_files(limit: Option<u64>) -> Check {
    const NAME: &str = "open-files";
    match limit {
        None => Check::ok(NAME, "as many as wanted"),
        Some(files) if files < FEW_FILES => {
            let advice = format!(
                "`ulimit -n {FEW_FILES}` before the program starts, or LimitNOFILE= in its systemd unit"
            );
            Check::warning(NAME, format!("at most {files}"), advice)
        }
        Some(files) => Check::ok(NAME, format!("at most {files}")),
    }
}

#[cfg(not(unix))]
fn open_files() -> Check {
    Check::skipped("open-files", "this system has no such limit")
}

/// Everything secret comes from here.
fn randomness() -> Check {
    const NAME: &str = "randomness";
    let (mut one, mut other) = ([0; 32], [0; 32]);
    let filled = SysRng.try_fill_bytes(&mut one).and_then(|()| SysRng.try_fill_bytes(&mut other));
    let advice = "no key can be made on this machine: see whether /dev/urandom is there and the sandbox lets it through";
    match filled {
        Err(error) => Check::failed(NAME, format!("the operating system gives none: {error}"), advice),
        Ok(()) if one == other => Check::failed(NAME, "the same bytes twice", advice),
        Ok(()) => Check::ok(NAME, "the operating system gives it"),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn few_open_files_are_a_warning() {
        assert_eq!(judge_files(Some(FEW_FILES - 1)).status, Status::Warning);
        assert_eq!(judge_files(Some(FEW_FILES)).status, Status::Ok);
        assert_eq!(judge_files(None).status, Status::Ok);
    }
}

//! CPU time of other processes and of whatever they have started, from `/proc`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};

/// What the kernel says about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    id: u32,
    parent: u32,
    /// In user and kernel mode, that of children included which have ended and were waited for.
    ticks: u64,
}

/// CPU seconds that the processes `roots` and all their descendants have used so far. The kernel counts in hundredths.
///
/// # Errors
/// When there is no `/proc`, or one of `roots` has ended.
pub(super) fn cpu_seconds(roots: &[u32]) -> Result<f64> {
    let all: Vec<_> = fs::read_dir("/proc")?.flatten().filter_map(|entry| read(&entry.path())).collect();
    Ok(ticks_of(roots, &all)? as f64 / TICKS_PER_SECOND)
}

/// `None` for what is no process, or has ended meanwhile.
fn read(folder: &std::path::Path) -> Option<Process> {
    folder.file_name()?.to_str()?.parse::<u32>().ok()?;
    parse(&fs::read_to_string(folder.join("stat")).ok()?)
}

/// `proc_pid_stat(5)`: the name, field 2, is in brackets and may hold anything; the parent is field 4, CPU times are 14 to 17.
fn parse(stat: &str) -> Option<Process> {
    let (id, rest) = stat.split_once(' ')?;
    let fields: Vec<_> = rest.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: Option<Vec<u64>> = fields.get(11..15)?.iter().map(|field| field.parse().ok()).collect();
    Some(Process { id: id.parse().ok()?, parent: fields.get(1)?.parse().ok()?, ticks: ticks?.iter().sum() })
}

fn ticks_of(roots: &[u32], all: &[Process]) -> Result<u64> {
    let mut family = BTreeSet::new();
    let mut ticks = 0;
    let mut next: Vec<u32> = roots.to_vec();
    while let Some(id) = next.pop() {
        if !family.insert(id) {
            continue;
        }
        match all.iter().find(|process| process.id == id) {
            Some(process) => ticks += process.ticks,
            None => return Err(anyhow::anyhow!("process {id} has ended")).context("an end of the tunnel"),
        }
        next.extend(all.iter().filter(|process| process.parent == id).map(|process| process.id));
    }
    Ok(ticks)
}

/// The kernel's `USER_HZ`, which has been 100 for programs on every Linux architecture for decades.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_hides_no_field() {
        let stat = "4711 (a ) b (c) R 17 4711 4711 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 55 8 9";
        assert_eq!(parse(stat), Some(Process { id: 4711, parent: 17, ticks: 124 }));
        assert_eq!(parse("4711 (a) R 17"), None);
    }

    #[test]
    fn descendants_count_each_once_and_others_do_not() {
        let process = |id, parent, ticks| Process { id, parent, ticks };
        let all = [process(1, 0, 1_000), process(5, 1, 1), process(6, 5, 20), process(7, 6, 300)];
        assert_eq!(ticks_of(&[5], &all).unwrap(), 321);
        assert_eq!(ticks_of(&[5, 7], &all).unwrap(), 321);
        assert!(ticks_of(&[5, 8], &all).is_err());
    }

    #[test]
    fn this_process_is_found() {
        assert!(cpu_seconds(&[std::process::id()]).is_ok());
    }
}

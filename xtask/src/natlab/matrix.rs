//! The matrix: a home of every kind against every other, with a router in the open. Over IPv4 only: IPv6 is not translated,
//! and would make every cell direct.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::birthday;
use super::kinds::Kind;
use super::meeting::{DIRECT, Family, Meeting};

/// How long a link that must stay on its circuit is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// Where two homes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// They find a way of their own.
    Direct,
    /// The router carries what they say.
    Router,
}

/// Where two homes of these kinds must end: of two symmetric NATs nobody can guess either port.
pub(super) fn wanted(a: Kind, b: Kind) -> End {
    if (a, b) == (Kind::Symmetric, Kind::Symmetric) { End::Router } else { End::Direct }
}

/// How long it may take there. A symmetric NAT shows everybody another port, so what the router tells of it is of no use to
/// somebody whose NAT lets in only what it has sent to, port included: those two try many ports, when nothing else has worked,
/// and once more after a minute.
fn limit(a: Kind, b: Kind) -> Duration {
    use Kind::{PortRestricted, Symmetric};
    match (a, b) {
        (Symmetric, PortRestricted) | (PortRestricted, Symmetric) => birthday::TWO_ATTEMPTS,
        _ => DIRECT,
    }
}

/// Cells that stand for the others where there is no time for all: each kind once on each side, and the
/// hardest pair that has a way of its own.
pub(super) const QUICK: [(Kind, Kind); 6] = [
    (Kind::None, Kind::Symmetric),
    (Kind::FullCone, Kind::AddressRestricted),
    (Kind::AddressRestricted, Kind::FullCone),
    (Kind::PortRestricted, Kind::PortRestricted),
    (Kind::Symmetric, Kind::None),
    (Kind::Symmetric, Kind::PortRestricted),
];

/// Runs one cell; what it says is short enough for a table.
pub(super) fn cell(program: &Path, a: Kind, b: Kind) -> Result<String> {
    let run = || -> Result<String> {
        let meeting = Meeting::new(program, &format!("{a}-{b}"), [a, b], Family::Ipv4, |_, _, _| Ok(()))?;
        meeting.arrive()?;
        let linked = meeting.link()?;
        match wanted(a, b) {
            End::Direct => {
                let (took, _) = meeting.direct(limit(a, b))?;
                Ok(format!("direct {:.1} s", took.as_secs_f64()))
            }
            End::Router => {
                meeting.stays_on_circuit(WATCHED)?;
                Ok(format!("router {:.1} s", linked.as_secs_f64()))
            }
        }
    };
    run().with_context(|| format!("{a} x {b}"))
}

/// Runs all cells, and prints them as a table.
///
/// # Errors
/// When one does not end as it must; the others are run nevertheless.
pub(super) fn run(program: &Path) -> Result<()> {
    println!("seconds after both were ready; rows are a, columns b");
    println!("{:<20}{}", "", Kind::ALL.map(|kind| format!("{kind:<20}")).concat());
    let mut failures = Vec::new();
    for a in Kind::ALL {
        let mut row = format!("{a:<20}");
        for b in Kind::ALL {
            let told = cell(program, a, b).unwrap_or_else(|error| {
                failures.push(format!("{error:#}"));
                "FAILED".to_owned()
            });
            row.push_str(&format!("{told:<20}"));
        }
        println!("{row}");
    }
    ensure!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_hardest_kinds_must_end_direct() {
        let pairs = Kind::ALL.into_iter().flat_map(|a| Kind::ALL.map(|b| (a, b)));
        let routed = pairs.filter(|(a, b)| wanted(*a, *b) == End::Router).count();
        assert_eq!(routed, 1);
        for kind in Kind::ALL {
            assert!(QUICK.iter().any(|(a, _)| *a == kind) && QUICK.iter().any(|(_, b)| *b == kind), "{kind}");
        }
    }
}

//! How often and how soon a home behind a symmetric NAT and one behind a port-restricted one find a way of their own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::kinds::Kind;
use super::meeting::{Family, Meeting};

/// Enough for what is simple, an attempt, a minute's rest, and one attempt more.
pub(super) const TWO_ATTEMPTS: Duration = Duration::from_secs(100);

/// When the first attempt is over.
const FIRST_ATTEMPT: Duration = Duration::from_secs(28);

/// Meets so many times, with the symmetric NAT on one side and the other in turn, and prints each time and a summary. Times are
/// from when the link is up through its router.
///
/// # Errors
/// When fewer than nine of ten end direct within two attempts, or a lab cannot be built.
pub(super) fn run(program: &Path, runs: u32) -> Result<()> {
    let (mut took, mut attempts) = (Vec::new(), Vec::new());
    for nth in 0..runs {
        let kinds = match nth % 2 {
            0 => [Kind::Symmetric, Kind::PortRestricted],
            _ => [Kind::PortRestricted, Kind::Symmetric],
        };
        let [a, b] = kinds;
        let meeting =
            Meeting::new(program, &format!("birthday-{nth}"), kinds, Family::Ipv4, |_, _, _| Ok(()))?;
        meeting.arrive()?;
        meeting.link()?;
        let begin = Instant::now();
        let mut direct = meeting.direct(FIRST_ATTEMPT);
        if direct.is_err() {
            let told = meeting.a.birthday(&meeting.b.identity)?.unwrap_or_else(|| "not tried".to_owned());
            println!("    the first attempt: {told}");
            direct = meeting.direct(TWO_ATTEMPTS - FIRST_ATTEMPT);
        }
        let seconds = begin.elapsed().as_secs_f64();
        let told = meeting.a.birthday(&meeting.b.identity)?.unwrap_or_else(|| "not tried".to_owned());
        match direct {
            Ok(_) => {
                println!("{nth:>3} {a} x {b}: direct after {seconds:.1} s ({told})");
                took.push(seconds);
                attempts.extend(seconds_of(&told));
            }
            Err(error) => println!("{nth:>3} {a} x {b}: {error:#}"),
        }
    }
    took.sort_by(f64::total_cmp);
    attempts.sort_by(f64::total_cmp);
    let first = took.iter().filter(|seconds| **seconds < FIRST_ATTEMPT.as_secs_f64()).count();
    println!("{} of {runs} direct, {first} of them by the first attempt", took.len());
    println!("after the link was up: {}", spread(&took));
    println!("after the attempt had begun: {}", spread(&attempts));
    ensure!(took.len() * 10 >= usize::try_from(runs)? * 9, "too few");
    Ok(())
}

/// How long the attempt took, as `explain` says it.
fn seconds_of(told: &str) -> Option<f64> {
    told.split_once("direct after ")?.1.split(' ').next()?.parse().ok()
}

fn spread(sorted: &[f64]) -> String {
    match (sorted.first(), sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(least), Some(middle), Some(most)) => {
            format!("median {middle:.1} s, from {least:.1} to {most:.1} s")
        }
        _ => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_explain_says_them() {
        assert_eq!(
            seconds_of("417 ports of 203.0.113.18 tried, 256 sockets opened: direct after 4.2 s"),
            Some(4.2)
        );
        assert_eq!(
            seconds_of("1000 ports of 203.0.113.18 tried, 256 sockets opened: nothing got through"),
            None
        );
        assert_eq!(spread(&[1.0, 2.0, 9.0]), "median 2.0 s, from 1.0 to 9.0 s");
        assert_eq!(spread(&[]), "never");
    }
}

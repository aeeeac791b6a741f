//! Which numbers of a stream are done: all below one, and runs of numbers above it.

use std::collections::BTreeMap;

use crate::limits::MAX_RUNS;
use crate::wire::bytes::{Reader, Truncated, put_u64};

/// A set of numbers that fills from below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    /// Everything below is in it.
    below: u64,
    /// First number of each run, and the first behind it. Apart from each other and above `below`.
    runs: BTreeMap<u64, u64>,
}

impl Runs {
    pub(crate) fn below(&self) -> u64 {
        self.below
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        number < self.below
            || self.runs.range(..=number).next_back().is_some_and(|(_, behind)| number < *behind)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        self.insert_run(number, number.saturating_add(1));
    }

    /// Inserts all numbers from `first` on below `behind`.
    pub(crate) fn insert_run(&mut self, mut first: u64, mut behind: u64) {
        if first >= behind || behind <= self.below {
            return;
        }
        if first <= self.below {
            first = 0;
        }
        // Runs that touch the new one become part of it.
        while let Some((&start, &end)) = self.runs.range(..=behind).next_back() {
            if end < first {
                break;
            }
            self.runs.remove(&start);
            first = first.min(start);
            behind = behind.max(end);
        }
        if first <= self.below {
            self.below = behind;
        } else {
            self.runs.insert(first, behind);
        }
    }

    /// Its bytes, with at most [`MAX_RUNS`] runs; there are no more, because there are no more holes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.below);
        let count = self.runs.len().min(MAX_RUNS);
        out.extend_from_slice(&u16::try_from(count).unwrap_or(0).to_be_bytes());
        for (first, behind) in self.runs.iter().take(count) {
            put_u64(out, *first);
            put_u64(out, *behind);
        }
    }

    /// Reads what `encode` wrote. Runs that overlap or are empty are refused.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Truncated> {
        let mut runs = Self { below: reader.u64()?, runs: BTreeMap::new() };
        let count = usize::from(reader.u16()?);
        if count > MAX_RUNS {
            return Err(Truncated);
        }
        let mut last = runs.below;
        for _ in 0..count {
            let (first, behind) = (reader.u64()?, reader.u64()?);
            if first <= last || behind <= first {
                return Err(Truncated);
            }
            runs.runs.insert(first, behind);
            last = behind;
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(numbers in prop::collection::vec(0..40_u64, 0..60), raise in 0..20_u64) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (index, number) in numbers.iter().enumerate() {
                if index == 7 {
                    runs.insert_run(0, raise);
                    set.extend(0..raise);
                }
                runs.insert(*number);
                set.insert(*number);
            }
            for number in 0..45 {
                prop_assert_eq!(runs.contains(number), set.contains(&number), "{}", number);
            }
            prop_assert!(!runs.contains(runs.below()));
            let mut bytes = Vec::new();
            runs.encode(&mut bytes);
            prop_assert_eq!(Runs::decode(&mut Reader::new(&bytes)), Ok(runs));
        }
    }

    #[test]
    fn overlapping_and_empty_runs_are_refused() {
        let encoded = |runs: &[(u64, u64)]| {
            let mut bytes = Vec::new();
            put_u64(&mut bytes, 5);
            bytes.extend_from_slice(&u16::try_from(runs.len()).unwrap().to_be_bytes());
            for (first, behind) in runs {
                put_u64(&mut bytes, *first);
                put_u64(&mut bytes, *behind);
            }
            bytes
        };
        let decoded = |runs: &[(u64, u64)]| Runs::decode(&mut Reader::new(&encoded(runs)));
        assert!(decoded(&[(6, 7), (9, 20)]).is_ok());
        for bad in [&[(5, 7)][..], &[(7, 7)], &[(8, 7)], &[(6, 9), (9, 10)], &[(6, 9), (2, 3)]] {
            assert_eq!(decoded(bad), Err(Truncated), "{bad:?}");
        }
    }
}

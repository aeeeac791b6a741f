//! The crate's own small generator, so that a seed means the same on every platform and in every release.
//!
//! It is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): one word of
//! state, so every route and every NAT can have its own. It must never be used for secrets.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator for one purpose under one seed. Different purposes give unrelated sequences.
    pub(crate) fn for_purpose(seed: u64, purpose: [u32; 5]) -> Self {
        let state = purpose.into_iter().fold(seed, |state, word| {
            let stirred = state.wrapping_add(GOLDEN_GAMMA) ^ u64::from(word);
            mix(stirred)
        });
        Self { state }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number in `0..=max`. The high half of a product spreads evenly enough (the bias is below `max / 2^64`).
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        let product = u128::from(self.next()) * (u128::from(max) + 1);
        u64::try_from(product >> 64).unwrap_or(max)
    }

    /// True with this probability. Nothing is drawn for an event that never happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // 53 bits fit a double exactly, so this is a number in [0, 1) on the grid of 2^-53.
        let draw = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        draw < probability
    }
}

/// A one-to-one scrambling of 64 bits in which every input bit moves about half of the output bits.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: [u32; 5] = [1, 2, 3, 4, 5];

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first outputs of SplitMix64 from state zero, as in the reference implementation.
        let mut random = Random { state: 0 };
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn purposes_and_seeds_give_different_sequences() {
        let first = Random::for_purpose(1, PURPOSE).next();
        assert_eq!(first, Random::for_purpose(1, PURPOSE).next());
        assert_ne!(first, Random::for_purpose(2, PURPOSE).next());
        assert_ne!(first, Random::for_purpose(1, [1, 2, 3, 4, 6]).next());
        assert_ne!(first, Random::for_purpose(1, [2, 1, 3, 4, 5]).next());
    }

    #[test]
    fn numbers_cover_the_range_and_stay_in_it() {
        let mut random = Random::for_purpose(3, PURPOSE);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[random.up_to(5) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
        assert_eq!(random.up_to(0), 0);
    }

    #[test]
    fn chances_come_out_at_their_rate() {
        let mut random = Random::for_purpose(4, PURPOSE);
        let hits = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| random.chance(0.0)));
        assert!((0..1_000).all(|_| random.chance(1.0)));
    }
}

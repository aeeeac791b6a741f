//! The replay window: which counters of a session have been received.
//!
//! A window of 8,192 packets, because one batch of a fast sender is hundreds of packets and two paths or a receive queue
//! can put several batches out of order. Asked only after a packet was authenticated, so a forger cannot move it.
//!
//! A ring of words as in RFC 6479. It starts empty and grows with the counters that are seen, so an idle link that
//! exchanged a few keepalives holds a few words and not a kilobyte.

/// How far below the highest counter one is still accepted.
pub const REPLAY_WINDOW: u64 = 8_192;

const WORD_BITS: u64 = 64;
/// One word more than the window has, so that a part-filled highest word never costs the oldest counters.
const MAX_WORDS: u64 = REPLAY_WINDOW / WORD_BITS + 1;

/// Why a counter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplayError {
    /// It was received before.
    Duplicate,
    /// It is so far below the highest that nobody knows any more.
    TooOld,
}

/// The counters that were received.
#[derive(Debug, Default)]
pub(crate) struct ReplayWindow {
    /// One above the highest counter received; 0 when none was.
    next: u64,
    /// Bit `counter % 64` of word `counter / 64 % MAX_WORDS`. Shorter than `MAX_WORDS` until that many are needed.
    words: Vec<u64>,
}

impl ReplayWindow {
    /// Takes note of a counter, or says why it must not be accepted. Call only for authenticated packets.
    pub(crate) fn accept(&mut self, counter: u64) -> Result<(), ReplayError> {
        if cfg!(feature = "danger-no-replay-window") {
            return Ok(());
        }
        if counter >= self.next {
            self.advance(counter);
        } else if self.next - counter > REPLAY_WINDOW {
            return Err(ReplayError::TooOld);
        }
        let bit = 1 << (counter % WORD_BITS);
        // The word exists: `advance` made room for the highest counter, and lower ones use lower or wrapped words.
        let word = self.words.get_mut(word_index(counter)).ok_or(ReplayError::TooOld)?;
        if *word & bit != 0 {
            return Err(ReplayError::Duplicate);
        }
        *word |= bit;
        Ok(())
    }

    /// Makes `counter`, which is above all so far, the highest, and forgets what falls out of the ring.
    fn advance(&mut self, counter: u64) {
        let new_word = counter / WORD_BITS;
        let wanted = usize::try_from(new_word.min(MAX_WORDS - 1)).unwrap_or(usize::MAX) + 1;
        if self.words.len() < wanted {
            let limit = usize::try_from(MAX_WORDS).unwrap_or(usize::MAX);
            let grown = wanted.max(self.words.len() * 2).min(limit);
            self.words.reserve_exact(grown - self.words.len());
            self.words.resize(grown, 0);
        }
        let old_word = self.next.checked_sub(1).map_or(0, |highest| highest / WORD_BITS);
        // Words between the old and the new highest may hold bits from one turn of the ring ago.
        let first = (old_word + 1).max(new_word.saturating_sub(MAX_WORDS - 1));
        for word in first..=new_word {
            if let Some(word) = self.words.get_mut(word_index(word.saturating_mul(WORD_BITS))) {
                *word = 0;
            }
        }
        self.next = counter.saturating_add(1);
    }
}

fn word_index(counter: u64) -> usize {
    // Below MAX_WORDS, so it fits any usize.
    usize::try_from(counter / WORD_BITS % MAX_WORDS).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

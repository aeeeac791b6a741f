//! The bytes of a bulk transfer, and the checksum that proves that they arrived whole and in order.

/// Length of the block that a sender repeats: small enough for the second-level cache, and no multiple of any
/// packet's size.
pub(crate) const BLOCK: usize = 256 * 1024;

/// The block that every sender repeats from the start of its transfer on.
pub(crate) fn block() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        // Xorshift: all that matters is that no two places of the block look alike.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}

/// The checksum of the first `total` bytes of the repeated `block`.
pub(crate) fn expected(block: &[u8], total: u64) -> u64 {
    let mut checksum = Checksum::default();
    let mut left = total;
    while left > 0 {
        let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        checksum.update(&block[..now]);
        left -= now as u64;
    }
    checksum.finish()
}

/// Fletcher's checksum over little-endian words of 64 bits: it notices missing, changed and moved words, and costs two
/// additions per word, so that it does not hide the difference between two fast peers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checksum {
    sum: u64,
    sum_of_sums: u64,
    pending: [u8; 8],
    pending_len: usize,
}

impl Checksum {
    /// Adds the next bytes of the stream, however it was cut.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        if self.pending_len > 0 {
            let taken = bytes.len().min(8 - self.pending_len);
            self.pending[self.pending_len..self.pending_len + taken].copy_from_slice(&bytes[..taken]);
            self.pending_len += taken;
            bytes = &bytes[taken..];
            if self.pending_len < 8 {
                return;
            }
            self.word(u64::from_le_bytes(self.pending));
            self.pending_len = 0;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        self.pending[..rest.len()].copy_from_slice(rest);
        self.pending_len = rest.len();
    }

    /// The checksum of everything so far; an incomplete last word is filled up with zeros.
    pub(crate) fn finish(mut self) -> u64 {
        if self.pending_len > 0 {
            self.pending[self.pending_len..].fill(0);
            self.word(u64::from_le_bytes(self.pending));
        }
        self.sum_of_sums.rotate_left(32) ^ self.sum
    }

    fn word(&mut self, word: u64) {
        self.sum = self.sum.wrapping_add(word);
        self.sum_of_sums = self.sum_of_sums.wrapping_add(self.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Checksum, block, expected};

    fn of(parts: &[&[u8]]) -> u64 {
        let mut checksum = Checksum::default();
        parts.iter().for_each(|part| checksum.update(part));
        checksum.finish()
    }

    #[test]
    fn the_checksum_does_not_depend_on_how_the_stream_was_cut() {
        let block = block();
        for cut in [1, 7, 8, 9, 1452, BLOCK - 1] {
            let pieces: Vec<&[u8]> = block.chunks(cut).collect();
            assert_eq!(of(&pieces), of(&[&block]), "cut into pieces of {cut}");
        }
    }

    #[test]
    fn a_changed_a_missing_and_a_moved_byte_are_noticed() {
        let block = block();
        let mut changed = block.clone();
        changed[1000] ^= 1;
        assert_ne!(of(&[&changed]), of(&[&block]));
        assert_ne!(of(&[&block[1..]]), of(&[&block]));
        assert_ne!(of(&[&block[4096..], &block[..4096]]), of(&[&block]));
    }

    #[test]
    fn a_transfer_repeats_the_block_and_may_end_inside_it() {
        let block = block();
        let total = BLOCK as u64 + 12_345;
        assert_eq!(expected(&block, total), of(&[&block, &block[..12_345]]));
    }
}

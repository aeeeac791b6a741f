//! Fragments: a plaintext that does not fit the path travels as two halves, each in a data packet of its own.
//!
//! A half is the type byte, a 2-byte number that both halves share, one byte that says which half it is (0 first, 1
//! second), and the bytes. Two are enough for what they are for: full-size packets inside a circuit or a QUIC datagram.

use crate::packet::Inner;

/// Bytes in front of each half.
pub(crate) const FRAGMENT_HEADER_SIZE: usize = 4;
/// Longest half that is kept: no path that needs fragments carries more.
pub(crate) const MAX_HALF: usize = 2_048;
/// Halves that wait for their other half; the oldest goes first. At most 16 KiB per link.
const MAX_WAITING: usize = 8;

/// The header of one half.
pub(crate) fn header(number: u16, second: bool) -> [u8; FRAGMENT_HEADER_SIZE] {
    let [low, high] = number.to_le_bytes();
    [Inner::FRAGMENT, low, high, u8::from(second)]
}

struct Half {
    number: u16,
    second: bool,
    bytes: Vec<u8>,
}

/// Halves of one link that wait for their other half.
#[derive(Default)]
pub(crate) struct Reassembly {
    waiting: Vec<Half>,
}

impl Reassembly {
    /// Takes one half, type byte included; returns the whole plaintext when the other half is there. `Err` for what is
    /// no half at all.
    pub(crate) fn take(&mut self, fragment: &[u8]) -> Result<Option<Vec<u8>>, BadFragment> {
        let &[_, low, high, second @ (0 | 1), ref bytes @ ..] = fragment else { return Err(BadFragment) };
        if bytes.is_empty() || bytes.len() > MAX_HALF {
            return Err(BadFragment);
        }
        let (number, second) = (u16::from_le_bytes([low, high]), second == 1);
        let Some(place) = self.waiting.iter().position(|half| half.number == number) else {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.remove(0);
            }
            self.waiting.push(Half { number, second, bytes: bytes.to_vec() });
            return Ok(None);
        };
        let other = self.waiting.remove(place);
        if other.second == second {
            // The number has come round and its first user lost a half: the new one is the one to wait for.
            self.waiting.push(Half { number, second, bytes: bytes.to_vec() });
            return Ok(None);
        }
        let (first, last) =
            if second { (other.bytes.as_slice(), bytes) } else { (bytes, other.bytes.as_slice()) };
        Ok(Some([first, last].concat()))
    }
}

/// The bytes are no half of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFragment;

#[cfg(test)]
mod tests;

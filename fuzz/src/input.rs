//! The fuzzer's bytes, taken one value after the other.

/// Bytes that are used up from the front. Past their end everything is zero, so that every input means something.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.bytes(N)) {
            *to = *from;
        }
        array
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// One of `count` things, counted from zero; zero also when there are none.
    pub(crate) fn choice(&mut self, count: usize) -> usize {
        usize::from(self.word()) % count.max(1)
    }

    /// Up to `length` bytes: fewer only at the end.
    pub(crate) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Bytes with their length in front.
    pub(crate) fn counted(&mut self) -> &'a [u8] {
        let length = usize::from(self.word());
        self.bytes(length)
    }

    pub(crate) fn all(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}

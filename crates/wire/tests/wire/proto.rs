//! A protobuf writer that writes what no honest endpoint would: fields twice, unknown ones, in any order.

/// Fields in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Proto(pub(crate) Vec<u8>);

impl Proto {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn varint(mut self, number: u64, value: u64) -> Self {
        push_varint(&mut self.0, number << 3);
        push_varint(&mut self.0, value);
        self
    }

    pub(crate) fn fixed64(mut self, number: u64, value: u64) -> Self {
        push_varint(&mut self.0, number << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, number: u64, value: impl AsRef<[u8]>) -> Self {
        push_varint(&mut self.0, number << 3 | 2);
        push_varint(&mut self.0, value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }
}

impl AsRef<[u8]> for Proto {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

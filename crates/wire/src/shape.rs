//! A look at the bytes of a protobuf message before prost reads them: the size of the whole, how often each field
//! occurs, and that fields which exclude each other are alone.
//!
//! prost takes the last of two copies of a field, merges two copies of a message, and makes a place in memory for
//! every entry of a list before anybody can count them. Here a second copy is an error, and a list that is too long is
//! one before it costs more than its bytes. Fields that are not in the table are skipped: a newer build may send them.

use crate::error::{DecodeError, InvalidValue, at_most};

/// What one message may look like from outside.
pub(crate) struct Shape {
    /// The message's name in errors.
    pub(crate) what: &'static str,
    /// Most bytes.
    pub(crate) limit: usize,
    /// The fields of the .proto file, at most [`MAX_FIELDS`].
    pub(crate) fields: &'static [Field],
    /// Whether these fields are the members of one `oneof`, of which only one can be there.
    pub(crate) exclusive: bool,
}

/// What one field may look like from outside.
pub(crate) struct Field {
    /// Its number in the .proto file.
    pub(crate) number: u64,
    /// Its name in errors.
    pub(crate) what: &'static str,
    /// How often it may occur; a field that is not a list occurs once.
    pub(crate) at_most: usize,
    /// The shape of the message in it, if it is one.
    pub(crate) inner: Option<&'static Shape>,
}

impl Field {
    /// A field that is there at most once.
    pub(crate) const fn once(number: u64, what: &'static str) -> Self {
        Self { number, what, at_most: 1, inner: None }
    }

    /// A message that is there at most once.
    pub(crate) const fn message(number: u64, inner: &'static Shape) -> Self {
        Self { number, what: inner.what, at_most: 1, inner: Some(inner) }
    }

    /// A list of messages.
    pub(crate) const fn list(number: u64, what: &'static str, at_most: usize, inner: &'static Shape) -> Self {
        Self { number, what, at_most, inner: Some(inner) }
    }
}

impl Shape {
    /// Checks the bytes of one message and of the known messages inside it.
    ///
    /// The depth is that of the tables, whatever the bytes say.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        at_most(self.what, bytes.len(), self.limit)?;
        let malformed = || DecodeError::Malformed { what: self.what };
        let mut seen = [0_usize; MAX_FIELDS];
        let mut reader = Reader { rest: bytes };
        while !reader.rest.is_empty() {
            let (number, value) = reader.field().ok_or_else(malformed)?;
            let mut counted = self.fields.iter().zip(seen.iter_mut());
            let Some((field, count)) = counted.find(|(field, _)| field.number == number) else {
                continue;
            };
            *count += 1;
            if *count > field.at_most {
                return Err(field.too_often());
            }
            if let Some(inner) = field.inner {
                inner.check(value.ok_or_else(malformed)?)?;
            }
        }
        if self.exclusive && seen.iter().sum::<usize>() > 1 {
            return Err(DecodeError::Duplicate { what: self.what });
        }
        Ok(())
    }
}

impl Field {
    fn too_often(&self) -> DecodeError {
        if self.at_most == 1 {
            DecodeError::Duplicate { what: self.what }
        } else {
            InvalidValue::TooMany { what: self.what, limit: self.at_most }.into()
        }
    }
}

/// Reads protobuf's wire format (protobuf.dev, "Encoding") from the front of a slice. `None` means malformed.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// One field: its number, and its bytes if its type has a length.
    fn field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return None;
        }
        let value = match key & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            // 3 and 4 are groups, which proto3 does not have, and which could be nested without end.
            _ => return None,
        };
        Some((number, value))
    }

    /// A number of at most 64 bits in groups of seven, lowest first.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let group = u64::from(byte & 0x7f);
            // The tenth group has room for one bit only.
            if shift == 63 && group > 1 {
                return None;
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Most fields in one table.
pub(crate) const MAX_FIELDS: usize = 8;

/// protobuf's highest field number.
const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

//! Which application a message is for.

use std::fmt;
use std::str::FromStr;

use crate::limits::MAX_LABEL;

/// Keeps the messages of one application apart from those of others: it stands inside the seal, and each label has its own
/// order, its own numbers and its own reader.
///
/// Up to [`MAX_LABEL`] lower-case letters, digits, dots, hyphens and underscores; the empty one is for people and scripts.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// The text is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label has up to {MAX_LABEL} lower-case letters, digits, dots, hyphens and underscores")]
pub struct ParseLabelError;

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if text.len() > MAX_LABEL || !text.bytes().all(fits) {
            return Err(ParseLabelError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({:?})", self.0)
    }
}

//! Names of participants and chats, and text from others as it may be shown.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::limits::MAX_NAME;

/// A name of a participant or a chat: one line that no terminal acts on and that does not look like something else.
///
/// From 1 to [`MAX_NAME`] bytes of UTF-8 without control characters, characters that change the direction of text or are
/// not seen, separators of paths, and spaces at either end. What others send is refused by the same rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Somebody who has not said what they are called.
impl Default for Name {
    fn default() -> Self {
        Self("somebody".to_owned())
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong { length: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        if text.chars().any(is_unseen) {
            return Err(NameError::Unseen);
        }
        if text.contains(['/', '\\']) {
            return Err(NameError::Separator);
        }
        if text.trim() != text {
            return Err(NameError::Space);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing in it.
    #[error("the name is empty")]
    Empty,
    /// Too long for one line.
    #[error("the name has {length} bytes, more than {MAX_NAME}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A line end, an escape, a NUL.
    #[error("the name has a control character in it")]
    Control,
    /// It would read as another name.
    #[error("the name has a character in it that is not seen or turns the text around")]
    Unseen,
    /// It would read as a path.
    #[error("the name has a separator of paths in it")]
    Separator,
    /// It would look like the name without it.
    #[error("the name begins or ends with a space")]
    Space,
}

/// Text from others as it may be shown in one line: control characters, line ends among them, characters that change the
/// direction of text or are not seen, and backslashes are written as Rust writes them.
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`escaped`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character == '\\' || character.is_control() || is_unseen(character) {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Unicode's formatting characters (general category Cf) and separators of lines and paragraphs.
fn is_unseen(character: char) -> bool {
    const RANGES: [(char, char); 9] = [
        ('\u{ad}', '\u{ad}'),
        ('\u{61c}', '\u{61c}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{200b}', '\u{200f}'),
        ('\u{2028}', '\u{202e}'),
        ('\u{2060}', '\u{206f}'),
        ('\u{feff}', '\u{feff}'),
        ('\u{fff9}', '\u{fffb}'),
        ('\u{e0000}', '\u{e007f}'),
    ];
    RANGES.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken() {
        for name in ["bob", "Zoë Ångström", "会議室", "a b", "rock'n'roll 🎸", &"x".repeat(MAX_NAME)]
        {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_deceive_are_refused() {
        for (name, error) in [
            ("", NameError::Empty),
            ("bob\n", NameError::Control),
            ("\u{1b}[31mbob", NameError::Control),
            ("bob\u{202e}gnp.exe", NameError::Unseen),
            ("bo\u{200b}b", NameError::Unseen),
            ("../bob", NameError::Separator),
            ("c:\\bob", NameError::Separator),
            (" bob", NameError::Space),
            ("bob\u{a0}", NameError::Space),
            (&"x".repeat(MAX_NAME + 1), NameError::TooLong { length: MAX_NAME + 1 }),
        ] {
            assert_eq!(name.parse::<Name>(), Err(error), "{name:?}");
        }
    }

    #[test]
    fn text_of_others_moves_no_cursor() {
        let text = "a\u{1b}[2J\r\nb\u{202e}c\\d\u{7f}";
        assert_eq!(escaped(text).to_string(), "a\\u{1b}[2J\\r\\nb\\u{202e}c\\\\d\\u{7f}");
        assert_eq!(escaped("grüße 🎸").to_string(), "grüße 🎸");
    }
}

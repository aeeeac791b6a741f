//! Which names may be received, where links may lead, and names as they may be shown.
//!
//! An entry on the wire has a single name and a depth, never a path, so nothing here has to take paths apart.

use std::fmt::{self, Write as _};

use crate::limits::{MAX_LINK_TARGET, MAX_NAME};
use crate::report::Reason;

/// The hidden folder in the target folder that holds what is half-received. No transfer contains it.
pub const STATE_FOLDER: &str = ".telemesh-partial";

/// What a name breaks that no sender of this build sends; a peer that does breaks the protocol.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("an empty name");
    }
    if name.len() > MAX_NAME {
        return Err("a name of more than 255 bytes");
    }
    if name == "." || name == ".." {
        return Err("a name that means a folder");
    }
    if name.bytes().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
        return Err("a name with a separator or NUL");
    }
    // Other cases of it too, since the target may ignore case.
    if name.eq_ignore_ascii_case(STATE_FOLDER) {
        return Err("the name of the folder for half-received files");
    }
    Ok(())
}

/// What systems make of names beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRules {
    /// Any name will do.
    Unix,
    /// Devices, streams, and characters that Windows takes away or gives a meaning.
    Windows,
}

impl NameRules {
    /// Those of the system this runs on.
    pub(crate) const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Unix };

    /// Whether a file of this name can be made here and is that file afterwards.
    pub(crate) fn check(self, name: &str) -> Result<(), Reason> {
        if self == Self::Unix {
            return Ok(());
        }
        let special = |character: char| character < ' ' || "<>:\"/\\|?*".contains(character);
        if name.contains(special) || name.ends_with(['.', ' ']) || is_device(name) {
            return Err(Reason::Name);
        }
        Ok(())
    }
}

/// Windows' device names, with any extension. Source: "Naming Files, Paths, and Namespaces", Microsoft.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str()) {
        return true;
    }
    let mut characters = stem.chars();
    let number = characters.next_back();
    matches!(characters.as_str(), "COM" | "LPT")
        && number.is_some_and(|number| matches!(number, '0'..='9' | '¹' | '²' | '³'))
}

/// Whether a link that lies in `depth` folders of the transfer stays within the outermost of them: relative, `..` only at
/// the front, and fewer of them than there are folders. A link that lies in no folder has nothing to stay within.
///
/// `..` after a name could step out of where another link led, which no look at the words alone can tell.
pub(crate) fn check_link(target: &str, depth: usize) -> Result<(), Reason> {
    if target.is_empty()
        || target.len() > MAX_LINK_TARGET
        || target.starts_with('/')
        || target.contains(['\\', '\0'])
    {
        return Err(Reason::LinkLeaves);
    }
    let (mut up, mut down) = (0usize, false);
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if !down => up += 1,
            ".." => return Err(Reason::LinkLeaves),
            name if name.eq_ignore_ascii_case(STATE_FOLDER) => return Err(Reason::LinkLeaves),
            _ => down = true,
        }
    }
    if up < depth { Ok(()) } else { Err(Reason::LinkLeaves) }
}

/// A name or path as it may be shown: control characters, characters that change the direction of text or are not seen,
/// and backslashes as Rust writes them, so that no terminal acts on them and no two names look alike by them.
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`escaped`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || is_unseen(character) || character == '\\' {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Formatting characters of Unicode that move, hide or reverse what stands beside them (general category Cf, and the
/// separators of lines and paragraphs).
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;

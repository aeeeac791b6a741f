//! The text form of a backup: lines that a person can type in again from paper, each with a check of its own.
//!
//! ```text
//! # Whoever has this can be you. […]
//! telemesh key backup 1
//! hashname <52 characters>
//! sealed no
//! <eight groups of four characters>  <four characters: check of this line>
//! …
//! end <eight characters: check of everything>
//! ```
//!
//! The groups are base32. Reading is generous: capitals, any spaces and dashes, and digits that are no base32 but look like
//! letters that are. Lines that begin with `#` are for people.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use telemesh::Hashname;
use zeroize::Zeroizing;

/// First line. The number grows when an older version could not read what follows.
const FIRST_LINE: &str = "telemesh key backup 1";

/// What the first line of every version starts with.
const LABEL: &str = "telemesh key backup ";

/// Bytes on a line: 32 characters, which fit on any paper with their check.
const BYTES_PER_LINE: usize = 20;

/// Characters of a line's check: one mistyped line in a million goes unnoticed, until the end.
const LINE_CHECK: usize = 4;

/// Characters of the last check.
const END_CHECK: usize = 8;

/// The longest text, in bytes. One of ours has less than two thousand.
pub(super) const MAX_LENGTH: usize = 64 * 1024;

/// What a backup holds.
pub(super) struct Backup {
    /// Whose key it is, for people who have several.
    pub(super) hashname: Hashname,
    /// Whether the content is sealed with a passphrase.
    pub(super) sealed: bool,
    /// A key file's bytes, maybe sealed.
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// Why a text is not a backup. No variant repeats anything of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum BackupError {
    /// This is something else.
    #[error("this is not a backup of a telemesh key")]
    NotABackup,
    /// The first line names another version.
    #[error("this backup was written by another version of telemesh")]
    Version,
    /// A line is wrong.
    #[error("line {0} is mistyped or damaged")]
    Line(usize),
    /// Lines are missing, or in another order.
    #[error("a line is missing, doubled or in the wrong place, or the end is cut off")]
    Incomplete,
}

/// Writes a backup.
pub(super) fn write(backup: &Backup) -> Zeroizing<String> {
    let lines = backup.content.len().div_ceil(BYTES_PER_LINE);
    // Allocated once, so that no copy of a secret stays behind.
    let mut text = Zeroizing::new(String::with_capacity(1024 + lines * 64));
    text.push_str(if backup.sealed {
        "# A telemesh key, sealed with a passphrase. Keep both, apart from each other.\n"
    } else {
        "# A telemesh key. Whoever has this can be you: keep it where nobody else looks.\n"
    });
    text.push_str("# Bring it back with: telemesh key restore FILE\n");
    text.push_str(FIRST_LINE);
    text.push_str("\nhashname ");
    text.push_str(&backup.hashname.to_string());
    text.push_str(if backup.sealed { "\nsealed yes\n" } else { "\nsealed no\n" });
    for (index, bytes) in backup.content.chunks(BYTES_PER_LINE).enumerate() {
        for (place, character) in base32(bytes).chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push(' ');
            }
            text.push(character);
        }
        text.push_str("  ");
        text.push_str(&line_check(index, bytes));
        text.push('\n');
    }
    text.push_str("end ");
    text.push_str(&end_check(backup));
    text.push('\n');
    text
}

/// Reads a backup.
pub(super) fn read(text: &str) -> Result<Backup, BackupError> {
    let mut lines = text
        .lines()
        .zip(1..)
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let (first, _) = lines.next().ok_or(BackupError::NotABackup)?;
    if first != FIRST_LINE {
        return Err(if first.starts_with(LABEL) { BackupError::Version } else { BackupError::NotABackup });
    }
    let (line, number) = lines.next().ok_or(BackupError::Incomplete)?;
    let hashname = line.strip_prefix("hashname ").and_then(|text| text.trim().parse().ok());
    let hashname = hashname.ok_or(BackupError::Line(number))?;
    let (line, number) = lines.next().ok_or(BackupError::Incomplete)?;
    let sealed = match line {
        "sealed yes" => true,
        "sealed no" => false,
        _ => return Err(BackupError::Line(number)),
    };
    let mut content = Zeroizing::new(Vec::with_capacity(text.len()));
    for (index, (line, number)) in lines.by_ref().enumerate() {
        if let Some(check) = line.strip_prefix("end ") {
            let backup = Backup { hashname, sealed, content };
            let right = *normal(check) == normal(&end_check(&backup)).as_str() && lines.next().is_none();
            return if right { Ok(backup) } else { Err(BackupError::Incomplete) };
        }
        let bytes = read_line(index, line).ok_or(BackupError::Line(number))?;
        content.extend_from_slice(&bytes);
    }
    Err(BackupError::Incomplete)
}

/// The bytes of a line, if its check is right.
fn read_line(index: usize, line: &str) -> Option<Zeroizing<Vec<u8>>> {
    let normal = normal(line);
    let (content, check) = normal.split_at_checked(normal.len().checked_sub(LINE_CHECK)?)?;
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(content.as_bytes()).ok()?);
    let right = !bytes.is_empty()
        && bytes.len() <= BYTES_PER_LINE
        && check.eq_ignore_ascii_case(&line_check(index, &bytes));
    right.then_some(bytes)
}

/// What was meant: capitals without anything in between, and no digit that is none of base32.
fn normal(text: &str) -> Zeroizing<String> {
    let mut normal = Zeroizing::new(String::with_capacity(text.len()));
    let meant = |character: char| match character {
        '0' => 'O',
        '1' => 'L',
        '8' => 'B',
        other => other.to_ascii_uppercase(),
    };
    normal
        .extend(text.chars().filter(|character| !character.is_whitespace() && *character != '-').map(meant));
    normal
}

fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(BASE32_NOPAD.encode(bytes));
    text.make_ascii_lowercase();
    text
}

/// Depends on the line's place, so that two lines in each other's place are noticed there.
fn line_check(index: usize, bytes: &[u8]) -> String {
    let place = u64::try_from(index).unwrap_or(u64::MAX).to_be_bytes();
    check(
        LINE_CHECK,
        Sha256::new().chain_update("telemesh key backup line").chain_update(place).chain_update(bytes),
    )
}

fn end_check(backup: &Backup) -> String {
    let digest = Sha256::new()
        .chain_update("telemesh key backup end")
        .chain_update([u8::from(backup.sealed)])
        .chain_update(backup.hashname.as_bytes())
        .chain_update(&*backup.content);
    check(END_CHECK, digest)
}

fn check(characters: usize, digest: Sha256) -> String {
    let mut text = BASE32_NOPAD.encode(&digest.finalize());
    text.make_ascii_lowercase();
    text.truncate(characters);
    text
}

#[cfg(test)]
mod tests;

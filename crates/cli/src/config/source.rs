//! Getting the text out of a configuration file, whatever somebody has put in its place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::problem::{ConfigError, Problem};

/// The longest file, in bytes. A thousand contacts with all their keys need a quarter of it.
pub(super) const MAX_LENGTH: usize = 1024 * 1024;

/// The mark that some editors put in front of UTF-8, which means nothing.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text of the file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = bytes(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    decode(bytes).map_err(|problem| ConfigError::Content { path: path.to_owned(), problems: vec![problem] })
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(refused("it is a folder, a file is needed"));
    }
    if !metadata.is_file() {
        return Err(refused("it is not a regular file (a pipe, a socket or a device)"));
    }
    check_mode(&metadata)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_LENGTH).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LENGTH {
        return Err(refused("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Whoever may write the file decides who is let in. Reading it does no harm, since it holds no secret.
#[cfg(unix)]
fn check_mode(metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    if metadata.mode() & 0o002 != 0 {
        return Err(refused("everybody on this machine can change it: run `chmod o-w` on it"));
    }
    Ok(())
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on systems with modes")]
fn check_mode(_metadata: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// The text of these bytes, without the mark in front.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(malformed(1, 1, "this is UTF-16: save it as UTF-8"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let valid = String::from_utf8_lossy(valid);
        let (line, column) = position(&valid, valid.len());
        malformed(line, column, "not UTF-8 from here on: save the file as UTF-8")
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

/// Line and column, counted from 1, of a place in the text.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

fn malformed(line: usize, column: usize, problem: &str) -> Problem {
    Problem { line, column, key: String::new(), problem: problem.to_owned() }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

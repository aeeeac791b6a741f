//! Passphrases: typed at the terminal without being shown, or read from a file. Never from the command line, where everybody
//! on the machine can read them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use console::Term;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Fewer characters are guessed whatever a guess costs.
const MIN_LENGTH: usize = 8;

/// Bytes of the longest passphrase.
const MAX_LENGTH: u64 = 1_024;

/// For a new backup: typed twice, or the file's first line.
///
/// # Errors
/// There is none, or it is too short.
pub(super) fn choose(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let passphrase = match file {
        Some(file) => from_file(file)?,
        None => {
            let first = ask("Passphrase: ")?;
            if *first != *ask("The same again: ")? {
                return Err(Failure::Usage("the two passphrases are different".into()));
            }
            first
        }
    };
    if passphrase.chars().count() < MIN_LENGTH {
        let text = format!(
            "a passphrase has at least {MIN_LENGTH} characters; four words drawn at random are a good one"
        );
        return Err(Failure::Usage(text));
    }
    Ok(passphrase)
}

/// For a backup that is there.
///
/// # Errors
/// There is none.
pub(super) fn recall(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(file) => from_file(file),
        None => ask("Passphrase of the backup: "),
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| {
        Failure::Usage(format!("could not read the passphrase in {}: {error}", path.display()))
    };
    let mut line = Zeroizing::new(String::with_capacity(2 * usize::try_from(MAX_LENGTH).unwrap_or(0)));
    let file = File::open(path).map_err(failed)?;
    BufReader::new(file.take(MAX_LENGTH)).read_line(&mut line).map_err(failed)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Failure::Usage(
            "there is no terminal to ask for the passphrase: name a file with --passphrase-file".into(),
        ));
    }
    let failed = |error: io::Error| Failure::Failed(format!("could not ask for the passphrase: {error}"));
    terminal.write_str(prompt).map_err(failed)?;
    terminal.read_secure_line().map(Zeroizing::new).map_err(failed)
}

//! Passphrases: typed at the terminal without being shown, or read from a file. Never from the command line, where everybody
//! on the machine can read them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::thread;

use console::Term;
use tokio::sync::oneshot;
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
pub(super) async fn choose(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let passphrase = match file {
        Some(file) => from_file(file)?,
        None => {
            let first = ask("Passphrase: ").await?;
            if *first != *ask("The same again: ").await? {
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
pub(super) async fn recall(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(file) => from_file(file),
        None => ask("Passphrase of the backup: ").await,
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

/// Asks at the terminal. A thread waits for the answer, since whoever presses Ctrl-C does not want to press Enter too.
async fn ask(prompt: &'static str) -> Result<Zeroizing<String>, Failure> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Failure::Usage(
            "there is no terminal to ask for the passphrase: name a file with --passphrase-file".into(),
        ));
    }
    let failed = |error: io::Error| Failure::Failed(format!("could not ask for the passphrase: {error}"));
    let _echo = Echo::remember();
    let (sender, answer) = oneshot::channel();
    thread::spawn(move || {
        let line = terminal.write_str(prompt).and_then(|()| terminal.read_secure_line()).map(Zeroizing::new);
        // Nobody may be waiting any more.
        let _ = sender.send(line);
    });
    answer.await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into())).map_err(failed)
}

/// The terminal as it was: it shows again what is typed, also when nobody waits for the passphrase any more.
struct Echo {
    #[cfg(unix)]
    before: Option<(File, rustix::termios::Termios)>,
}

impl Echo {
    #[cfg(unix)]
    fn remember() -> Self {
        let terminal = File::open("/dev/tty").ok();
        let before = terminal.and_then(|terminal| {
            let attributes = rustix::termios::tcgetattr(&terminal).ok()?;
            Some((terminal, attributes))
        });
        Self { before }
    }

    #[cfg(not(unix))]
    fn remember() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Echo {
    fn drop(&mut self) {
        if let Some((terminal, attributes)) = &self.before {
            // What cannot be restored is told by the terminal itself.
            let _ = rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Now, attributes);
        }
    }
}

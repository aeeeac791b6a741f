//! `telemesh key backup [FILE]`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use serde::Serialize;
use telemesh::{KeyFileError, KeySet};

use super::text::Backup;
use super::{passphrase, seal, text};
use crate::args::KeyBackup;
use crate::context::Context;
use crate::failure::Failure;
use crate::home;

#[derive(Debug, Serialize)]
struct BackupObject {
    hashname: String,
    /// Null for standard output.
    file: Option<String>,
    sealed: bool,
}

/// Writes the key of the home folder to a file of its own or to standard output.
pub(crate) async fn run(context: &Context, options: &KeyBackup) -> Result<(), Failure> {
    if options.file.is_none() && !options.print && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a key does not belong on a screen: name a FILE, or say --print if nobody is looking".into(),
        ));
    }
    let path = home::key_path(&context.global)?;
    let keys = KeySet::load(&path).map_err(|error| match error {
        KeyFileError::NotFound { .. } => {
            Failure::Failed(format!("there is no key to back up in {}", path.display()))
        }
        error => Failure::Failed(error.to_string()),
    })?;
    let sealed = options.seal || options.passphrase_file.is_some();
    let mut content = keys.to_bytes();
    if sealed {
        let passphrase = passphrase::choose(options.passphrase_file.as_deref()).await?;
        content = seal::seal(&content, &keys.hashname(), &passphrase)?;
    }
    let text = text::write(&Backup { hashname: keys.hashname(), sealed, content });
    match &options.file {
        Some(file) => {
            write_new(file, text.as_bytes())?;
            context.output.line(format_args!("the key of {} is in {}", keys.hashname(), file.display()))?;
            if !sealed {
                context
                    .output
                    .note("Whoever has this file can be you. --seal protects it with a passphrase.");
            }
        }
        None => print(text.as_bytes()).map_err(|error| Failure::output(&error))?,
    }
    let file = options.file.as_ref().map(|file| file.display().to_string());
    context.output.object(&BackupObject { hashname: keys.hashname().to_string(), file, sealed })
}

/// Straight to the system: the standard library's buffer would keep the secret.
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = crate::stdio::raw_stdout()?;
    stdout.write_all(text)?;
    stdout.flush()
}

/// Writes a file that was not there and that only its owner can read.
fn write_new(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(|error| {
        let shown = path.display();
        Failure::Failed(match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{shown} is there already: choose another name"),
            _ => format!("could not write {shown}: {error}"),
        })
    })?;
    file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path)).map_err(|error| {
        // Half a backup is worse than none. If it cannot be removed either, the error is told all the same.
        let _ = fs::remove_file(path);
        Failure::Failed(format!("could not write {}: {error}", path.display()))
    })
}

/// Makes the new name survive a power failure.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

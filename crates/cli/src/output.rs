//! What the program says: lines for people or JSON for scripts, hints, progress and failures.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Global;
use crate::event;
use crate::failure::Failure;

/// Where the program's words go. Data of `pipe` goes elsewhere, see [`crate::stdio`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    /// Standard output is data: whatever is said goes to standard error.
    data: bool,
    /// What a telephone may want to read is also shown as a picture.
    qr: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, data: false, qr: false }
    }

    /// For a command whose standard output is data.
    pub(crate) fn beside_data(mut self) -> Self {
        self.data = true;
        self
    }

    /// With pictures of what a telephone may want to read.
    pub(crate) fn with_qr(mut self) -> Self {
        self.qr = true;
        self
    }

    /// The text as a QR code, if that is wanted.
    pub(crate) fn qr(&self, text: &str) -> Result<(), Failure> {
        if !self.qr || self.json {
            return Ok(());
        }
        let code = fast_qr::QRBuilder::new(text)
            .ecl(fast_qr::ECL::L)
            .build()
            .map_err(|_| Failure::Failed("this is too long for a QR code".into()))?;
        code.to_str().lines().try_for_each(|line| self.line(line))
    }

    /// Whether only what was asked for is said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One object for scripts. People see nothing of it.
    pub(crate) fn object(&self, body: &impl Serialize) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        self.write(&event::to_line(body)?)
    }

    /// An object that somebody else has written already.
    pub(crate) fn raw_object(&self, line: &str) -> Result<(), Failure> {
        self.write(line)
    }

    /// Whether objects are said, and nothing else.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One line that is an answer. Scripts see nothing of it.
    pub(crate) fn line(&self, line: impl fmt::Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.write(&printable(&line.to_string())) }
    }

    /// One line that helps, always on standard error; nothing for scripts, and nothing with `--quiet`.
    pub(crate) fn note(&self, line: impl fmt::Display) {
        if !self.json && !self.quiet {
            // Help that cannot be shown is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", printable(&line.to_string()));
        }
    }

    fn write(&self, line: &str) -> Result<(), Failure> {
        if self.data {
            // Nobody may be listening to words beside data.
            let _ = writeln!(io::stderr(), "{line}");
            return Ok(());
        }
        let mut stdout = io::stdout();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
    }

    /// Says what went wrong and gives the exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let text = printable(&failure.to_string());
        if self.json {
            // If it cannot be written the exit code has to do.
            let _ = self.object(&failure.object());
        }
        // People see themselves that they have interrupted it, or that `head` has had enough. Objects and lines do not mix.
        let silent =
            matches!(failure, Failure::Interrupted | Failure::OutputClosed) || (self.json && self.data);
        if !silent {
            let _ = writeln!(io::stderr(), "telemesh: {text}");
        }
        failure.exit_code()
    }

    /// Progress on standard error, for people at a terminal; elsewhere it is hidden. `None` is an unknown length.
    pub(crate) fn progress(&self, bytes: Option<u64>) -> ProgressBar {
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style(KNOWN)),
            None => ProgressBar::no_length().with_style(style(UNKNOWN)),
        };
        self.show(bar)
    }

    /// Something turns while the program waits.
    pub(crate) fn spinner(&self, message: impl Into<String>) -> ProgressBar {
        self.show(ProgressBar::no_length().with_style(style(WAIT)).with_message(message.into()))
    }

    /// Whether somebody reads standard output as it comes.
    pub(crate) fn is_for_people(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether somebody sees progress.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    fn show(&self, bar: ProgressBar) -> ProgressBar {
        if !self.shows_progress() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template with an error would show less, not nothing.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

const KNOWN: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left";
const UNKNOWN: &str = "{spinner} {bytes} {binary_bytes_per_sec}";
const WAIT: &str = "{spinner} {msg}";

/// The text with everything escaped that could do something to a terminal or mislead its reader: a peer may have chosen it.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || REORDERING.contains(&character) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that change the order in which others are shown, or hide, so that a line reads as something else.
const REORDERING: [char; 14] = [
    '\u{061c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("grün 10 ms"), "grün 10 ms");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("a\r\nb\u{9b}"), "a\\u{d}\\u{a}b\\u{9b}");
        assert_eq!(printable("cod\u{202e}exe.txt"), "cod\\u{202e}exe.txt");
    }

    #[test]
    fn an_object_begins_with_the_version() {
        let line = event::to_line(&Failure::Failed("no".into()).object()).unwrap();
        assert_eq!(line, r#"{"v":1,"error":"no","kind":"failed","code":1}"#);
    }
}

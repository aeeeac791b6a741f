//! People at standard input and output, beside data: a bar that shows how much has moved, and a word when it helps.

use std::io::{self, IsTerminal as _};

use indicatif::ProgressBar;

use crate::output::Output;

/// See the module's page. Clones show the same bar.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    bar: ProgressBar,
    output: Option<Output>,
    input_is_terminal: bool,
    output_is_terminal: bool,
}

impl Console {
    /// This process's.
    pub(crate) fn new(output: Output) -> Self {
        let (input_is_terminal, output_is_terminal) = (io::stdin().is_terminal(), io::stdout().is_terminal());
        // Data or what is typed would be mixed with the bar.
        let hidden = input_is_terminal || output_is_terminal;
        let bar = if hidden { ProgressBar::hidden() } else { output.progress(None) };
        Self { bar, output: Some(output), input_is_terminal, output_is_terminal }
    }

    /// Nobody's.
    pub(crate) fn nobody() -> Self {
        Self { bar: ProgressBar::hidden(), output: None, input_is_terminal: false, output_is_terminal: false }
    }

    /// Whoever redirects the output of a terminal session wants what the other end has, and has nothing to type.
    pub(crate) fn only_receives(&self) -> bool {
        self.input_is_terminal && !self.output_is_terminal
    }

    /// So many bytes more, in either direction.
    pub(crate) fn moved(&self, count: usize) {
        self.bar.inc(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The other end has sent everything, and this one may still type.
    pub(crate) fn peer_is_done(&self) {
        if let Some(output) = self.output.filter(|_| self.input_is_terminal && self.output_is_terminal) {
            output.note("The other end has sent everything. Ctrl-D ends this one too.");
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

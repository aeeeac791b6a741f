//! The rules for one source file: its first line, its length, left-overs, and (by its tokens) the length of
//! functions, the size of structs, `unsafe`, and the clock in sans-IO crates.

use super::tokens::{self, Finding};
use super::{Problem, SANS_IO};

/// Everything wrong with the file `path` (from the root, with `/`) that holds `text`.
pub(super) fn check(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(Problem::new(path, 1, "the first line must be `//!` and say what the file owns"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        problems.push(Problem::new(path, 0, format!("{lines} lines, {MOST_LINES} are the limit")));
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(word) = LEFT_OVERS.iter().find(|word| has_word(line, word)) {
            problems.push(Problem::new(path, index + 1, format!("`{word}` is a left-over")));
        }
    }
    match tokens::read(text, is_test(path)) {
        Ok(findings) => problems.extend(findings.iter().filter_map(|finding| judge(path, finding))),
        Err(error) => problems.push(Problem::new(path, 0, format!("cannot be read as Rust: {error}"))),
    }
    problems
}

fn judge(path: &str, finding: &Finding) -> Option<Problem> {
    match finding {
        Finding::Function { name, line, lines } if *lines > MOST_FUNCTION_LINES => Some(Problem::new(
            path,
            *line,
            format!("function `{name}` has {lines} lines, {MOST_FUNCTION_LINES} are the limit"),
        )),
        Finding::Struct { name, line, fields } if *fields > MOST_FIELDS => Some(Problem::new(
            path,
            *line,
            format!("struct `{name}` has {fields} fields, {MOST_FIELDS} are the limit"),
        )),
        Finding::Unsafe { line } => Some(Problem::new(path, *line, "no `unsafe` in this project")),
        Finding::Ambient { name, line } if is_sans_io(path) => Some(Problem::new(
            path,
            *line,
            format!("`{name}` in a sans-IO crate: time and randomness are handed in"),
        )),
        _ => None,
    }
}

/// True for files that only tests, benches and examples see; they may start from the real clock.
fn is_test(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().any(|part| matches!(*part, "tests" | "benches" | "examples" | "tests.rs"))
}

fn is_sans_io(path: &str) -> bool {
    SANS_IO.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Finds `word` where no letter, digit or underscore stands before it, or after it if it ends with a letter.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |next: char| next.is_alphanumeric() || next == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
        let begins = !before.is_some_and(part_of_name);
        let ends = !word.ends_with(char::is_alphabetic) || !after.is_some_and(part_of_name);
        begins && ends
    })
}

/// Files of 100-350 lines are read in one sitting; past 800 a file has two subjects.
const MOST_LINES: usize = 800;

/// A function longer than two screens hides its steps.
const MOST_FUNCTION_LINES: usize = 80;

/// More fields than this are several things in one struct.
const MOST_FIELDS: usize = 15;

/// Put together so that this file does not find itself.
const LEFT_OVERS: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("d", "bg!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

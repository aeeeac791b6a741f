//! Reads a source file as tokens and reports what tidy's rules are about. Tokens rather than a syntax tree:
//! they are quick to build, and functions inside macro calls (`proptest!`) are seen as well.

use std::str::FromStr;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Something in a file that a rule may be about. Lines count from one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A function with a body, and how many lines it takes from `fn` to the closing brace.
    Function { name: String, line: usize, lines: usize },
    /// A struct and how many named fields it has.
    Struct { name: String, line: usize, fields: usize },
    /// The keyword `unsafe`.
    Unsafe { line: usize },
    /// A call, outside tests, that takes the time or randomness from the surroundings.
    Ambient { name: String, line: usize },
}

/// All findings in `text`, from top to bottom. `in_test` says that the whole file is test code.
///
/// # Errors
/// When the text is not made of Rust tokens.
pub(super) fn read(text: &str, in_test: bool) -> Result<Vec<Finding>> {
    let stream = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let mut findings = Vec::new();
    walk(stream, in_test, &mut findings);
    Ok(findings)
}

/// Looks at the tokens between two brackets, and in each bracket inside.
fn walk(stream: TokenStream, mut in_test: bool, findings: &mut Vec<Finding>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    // Set by `#[cfg(test)]` or `#[test]` until the item behind it has ended.
    let mut test_item = false;
    for (index, token) in tokens.iter().enumerate() {
        let rest = tokens.get(index..).unwrap_or_default();
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => match rest {
                [_, TokenTree::Group(attribute), ..] if is_test_attribute(attribute) => test_item = true,
                [_, _, TokenTree::Group(attribute), ..] if is_inner(rest) && is_test_attribute(attribute) => {
                    in_test = true;
                }
                _ => {}
            },
            TokenTree::Punct(mark) if mark.as_char() == ';' => test_item = false,
            TokenTree::Group(group) => {
                walk(group.stream(), in_test || test_item, findings);
                if group.delimiter() == Delimiter::Brace {
                    test_item = false;
                }
            }
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                match word.to_string().as_str() {
                    "fn" => findings.extend(function(rest, line)),
                    "struct" => findings.extend(structure(rest, line)),
                    "unsafe" => findings.push(Finding::Unsafe { line }),
                    _ if in_test || test_item => {}
                    _ => findings.extend(ambient(rest, line)),
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// `fn name … { … }`; a signature alone (in a trait) and a function pointer's type are none.
fn function(rest: &[TokenTree], line: usize) -> Option<Finding> {
    let (name, body) = name_and_braces(rest)?;
    Some(Finding::Function { name, line, lines: body.span_close().end().line + 1 - line })
}

/// `struct Name … { … }`; a tuple struct is none.
fn structure(rest: &[TokenTree], line: usize) -> Option<Finding> {
    let (name, body) = name_and_braces(rest)?;
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    // Each field has one `:` of its own; those of paths come in pairs, and nested ones are inside groups.
    let mut fields = 0;
    let mut index = 0;
    while index < tokens.len() {
        if is_path_separator(tokens.get(index..).unwrap_or_default()) {
            index += 2;
            continue;
        }
        fields += usize::from(tokens.get(index).is_some_and(|token| is_punct(token, ':')));
        index += 1;
    }
    Some(Finding::Struct { name, line, fields })
}

/// From a keyword on: the name behind it and the first braces, unless a `;` ends the item before them.
fn name_and_braces(rest: &[TokenTree]) -> Option<(String, &Group)> {
    let [_, TokenTree::Ident(name), item @ ..] = rest else { return None };
    let end = item.iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
        token if is_punct(token, ';') => Some(None),
        _ => None,
    });
    Some((name.to_string(), end??))
}

/// A name that reaches for the clock or the system's randomness, at the start of `rest`.
fn ambient(rest: &[TokenTree], line: usize) -> Option<Finding> {
    let [TokenTree::Ident(first), after @ ..] = rest else { return None };
    let first = first.to_string();
    let name = match after {
        [_, _, TokenTree::Ident(second), ..] if is_path_separator(after) => format!("{first}::{second}"),
        _ => String::new(),
    };
    if AMBIENT_PATHS.contains(&name.as_str()) {
        Some(Finding::Ambient { name, line })
    } else if AMBIENT_NAMES.contains(&first.as_str()) {
        Some(Finding::Ambient { name: first, line })
    } else {
        None
    }
}

/// `#[test]`, or a `#[cfg(…)]` that names `test` and does not negate anything.
fn is_test_attribute(attribute: &Group) -> bool {
    let mut names = Vec::new();
    collect_names(attribute.stream(), &mut names);
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    match names.first().map(String::as_str) {
        Some("test") => names.len() == 1,
        Some("cfg") => has("test") && !has("not"),
        _ => false,
    }
}

/// All names between two brackets and in the brackets inside; text in quotes is none.
fn collect_names(stream: TokenStream, names: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Ident(name) => names.push(name.to_string()),
            TokenTree::Group(group) => collect_names(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn is_inner(rest: &[TokenTree]) -> bool {
    rest.get(1).is_some_and(|token| is_punct(token, '!'))
}

fn is_path_separator(rest: &[TokenTree]) -> bool {
    matches!(rest, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(mark) if mark.as_char() == wanted)
}

/// Calls known by their last two names.
const AMBIENT_PATHS: [&str; 5] =
    ["Instant::now", "SystemTime::now", "rand::rng", "rand::random", "rand::make_rng"];

/// Names that mean ambient randomness wherever they stand, in the rand crates of today and of the last years.
const AMBIENT_NAMES: [&str; 7] =
    ["OsRng", "SysRng", "ThreadRng", "from_entropy", "from_os_rng", "getrandom", "thread_rng"];

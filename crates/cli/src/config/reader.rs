//! Taking values out of a TOML document, and noting what is wrong instead of stopping at it.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::source::position;

/// Problems that are told of one file. Whoever has more has written something else than a configuration.
pub(super) const MAX_PROBLEMS: usize = 50;

/// How alike two keys are, from 0 to 1, for one to be offered in place of the other: `listn` and `listen` are at 0.83.
const ALIKE: f64 = 0.6;

/// Characters of a wrong value that are repeated.
const SHOWN: usize = 40;

/// What is wrong so far.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<(usize, Problem)>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn report(&mut self, at: usize, key: &str, problem: impl fmt::Display) {
        if self.found.len() >= MAX_PROBLEMS {
            return;
        }
        let (line, column) = position(self.text, at);
        // A parser's words may have several lines.
        let problem = problem.to_string().lines().collect::<Vec<_>>().join(", ");
        self.found.push((at, Problem { line, column, key: key.to_owned(), problem }));
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_PROBLEMS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the text.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, problem)| problem).collect()
    }
}

/// A table whose keys are asked for one after the other; those that nobody has asked for are unknown.
#[derive(Debug)]
pub(super) struct Section<'d> {
    table: &'d DeTable<'d>,
    /// The keys that lead here, with a dot after each.
    prefix: String,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    /// The whole document.
    pub(super) fn root(table: &'d DeTable<'d>) -> Self {
        Self { table, prefix: String::new(), known: Vec::new() }
    }

    /// The value of this key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.known.push(key);
        let (found, value) = self.table.iter().find(|(found, _)| found.get_ref() == key)?;
        Some(Item::new(&self.prefix, found.get_ref(), found.span(), value))
    }

    /// All keys with their values, for a table whose keys are names.
    pub(super) fn items(&self) -> impl Iterator<Item = (&'d str, Item<'d>)> {
        let prefix = self.prefix.clone();
        self.table.iter().map(move |(key, value)| {
            (key.get_ref().as_ref(), Item::new(&prefix, key.get_ref(), key.span(), value))
        })
    }

    /// Reports the keys that were not asked for. `top` are those that only the whole document has: whoever writes one
    /// behind a `[section]` gives it to that section.
    pub(super) fn finish(self, top: &[&str], problems: &mut Problems<'_>) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let advice = if top.contains(&name) {
                "unknown in this section: settings of the whole endpoint stand above the first [section]"
                    .into()
            } else if let Some(nearest) = nearest(name, &self.known) {
                format!("unknown key, did you mean `{nearest}`?")
            } else {
                format!("unknown key; known here: {}", self.known.join(", "))
            };
            problems.report(key.span().start, &format!("{}{}", self.prefix, shown_key(name)), advice);
        }
    }
}

/// The known key that is most like this one, if one is.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Comparing takes the product of the lengths.
    let key: String = key.chars().take(SHOWN).collect::<String>().to_lowercase().replace('-', "_");
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&key, known);
    let best = known.iter().copied().max_by(|one, other| alike(one).total_cmp(&alike(other)))?;
    (alike(best) >= ALIKE).then_some(best)
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Item<'d> {
    /// The keys that lead to it.
    pub(super) path: String,
    /// Where its key begins.
    pub(super) key_at: usize,
    span: Range<usize>,
    value: &'d DeValue<'d>,
}

impl<'d> Item<'d> {
    fn new(prefix: &str, key: &str, key_span: Range<usize>, value: &'d toml::Spanned<DeValue<'d>>) -> Self {
        Self {
            path: format!("{prefix}{}", shown_key(key)),
            key_at: key_span.start,
            span: value.span(),
            value: value.get_ref(),
        }
    }

    /// Reports that this value is wrong.
    pub(super) fn report(&self, problems: &mut Problems<'_>, problem: impl fmt::Display) {
        problems.report(self.span.start, &self.path, problem);
    }

    fn wrong_type<T>(&self, wanted: &str, problems: &mut Problems<'_>) -> Option<T> {
        self.report(problems, format_args!("found {}, wanted {wanted}", kind(self.value)));
        None
    }

    pub(super) fn text(&self, wanted: &str, problems: &mut Problems<'_>) -> Option<&'d str> {
        match self.value.as_str() {
            Some(text) => Some(text),
            None => self.wrong_type(wanted, problems),
        }
    }

    pub(super) fn boolean(&self, problems: &mut Problems<'_>) -> Option<bool> {
        match self.value.as_bool() {
            Some(value) => Some(value),
            None => self.wrong_type("true or false", problems),
        }
    }

    pub(super) fn number(&self, range: &RangeInclusive<usize>, problems: &mut Problems<'_>) -> Option<usize> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = self.value.as_integer() else { return self.wrong_type(&wanted, problems) };
        let number = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.report(problems, format_args!("found {}, wanted {wanted}", shown(&integer.to_string())));
        }
        number
    }

    /// A text that stands for something else. The parser's error says what is wrong with it.
    pub(super) fn parsed<T>(
        &self,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let text = self.text(wanted, problems)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(problems, format_args!("found \"{}\": {error}", shown(text)));
                None
            }
        }
    }

    /// A list, of which one may also stand alone.
    pub(super) fn list(&self) -> Vec<Item<'d>> {
        let Some(array) = self.value.as_array() else {
            return vec![Item {
                path: self.path.clone(),
                key_at: self.key_at,
                span: self.span.clone(),
                value: self.value,
            }];
        };
        let item = |(index, value): (usize, &'d toml::Spanned<DeValue<'d>>)| Item {
            path: format!("{}[{}]", self.path, index + 1),
            key_at: self.key_at,
            span: value.span(),
            value: value.get_ref(),
        };
        array.iter().enumerate().map(item).collect()
    }

    pub(super) fn section(&self, wanted: &str, problems: &mut Problems<'_>) -> Option<Section<'d>> {
        match self.value.as_table() {
            Some(table) => Some(Section { table, prefix: format!("{}.", self.path), known: Vec::new() }),
            None => self.wrong_type(wanted, problems),
        }
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", shown(text)),
        DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// The beginning of a value.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A key as the file would have it.
fn shown_key(key: &str) -> String {
    let bare = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if !key.is_empty() && key.chars().all(bare) { shown(key) } else { format!("\"{}\"", shown(key)) }
}

//! One table of the settings being read: every key is asked for by name and type, and what was
//! never asked for is an unknown key. Pure, except that a key's `_file` is read through
//! `secrets`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::values;
use crate::catalogue::Word;
use crate::domain::nearest::nearest;

/// What a placeholder begins with that a person has yet to fill in.
const PLACEHOLDER: &str = "TODO";

/// What was found wrong so far.
pub(super) struct Problems {
    found: RefCell<Vec<String>>,
    /// Whether the suppliers are stand-ins.
    pub(super) sandbox: bool,
}

impl Problems {
    pub(super) fn new(sandbox: bool) -> Self {
        Self {
            found: RefCell::default(),
            sandbox,
        }
    }

    /// Notes one problem of the key at `path`.
    pub(super) fn add(&self, path: &str, what: impl Display) {
        self.found.borrow_mut().push(format!("{path}: {what}"));
    }

    /// Notes a line that names its key itself.
    pub(super) fn add_line(&self, line: String) {
        self.found.borrow_mut().push(line);
    }

    pub(super) fn into_result(self) -> Result<(), ConfigError> {
        let problems = self.found.into_inner();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Settings { problems })
        }
    }
}

/// One table, or one that is not there and has no keys.
pub(super) struct Section<'a> {
    path: String,
    values: Option<&'a Map<String, Value>>,
    known: BTreeSet<String>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole tree.
    pub(super) fn root(values: &'a Map<String, Value>, problems: &'a Problems) -> Self {
        Self::at(String::new(), Some(values), problems)
    }

    fn at(path: String, values: Option<&'a Map<String, Value>>, problems: &'a Problems) -> Self {
        Self {
            path,
            values,
            known: BTreeSet::new(),
            problems,
        }
    }

    /// The full path of a key in this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a problem of one of this table's keys.
    pub(super) fn problem(&self, key: &str, what: impl Display) {
        self.problems.add(&self.path(key), what);
    }

    /// Whether nothing was found wrong with a key of this table.
    pub(super) fn is_right(&self, key: &str) -> bool {
        let of_key = format!("{}: ", self.path(key));
        let found = self.problems.found.borrow();
        !found.iter().any(|problem| problem.starts_with(&of_key))
    }

    /// Where problems are noted.
    pub(super) const fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// The value as it is; a placeholder counts as none.
    pub(super) fn value(&mut self, key: &str) -> Option<&'a Value> {
        self.known.insert(key.to_owned());
        let value = self.values?.get(key)?;
        let open = value
            .as_str()
            .is_some_and(|text| text.trim_start().starts_with(PLACEHOLDER));
        (!value.is_null() && !open).then_some(value)
    }

    /// A table below, there or not.
    pub(super) fn section(&mut self, key: &str) -> Section<'a> {
        let path = self.path(key);
        let problems = self.problems;
        self.optional(key)
            .unwrap_or_else(|| Section::at(path, None, problems))
    }

    /// A table below, if it is there.
    pub(super) fn optional(&mut self, key: &str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        let path = self.path(key);
        if value.as_object().is_none() {
            self.problem(key, format!("must be a table with keys: write [{path}]"));
        }
        Some(Section::at(path, value.as_object(), self.problems))
    }

    /// Every table below, by names that the person chose.
    pub(super) fn children(&self) -> Vec<(&'a str, Section<'a>)> {
        let mut children = Vec::new();
        for (name, value) in self.values.into_iter().flatten() {
            match value.as_object() {
                Some(table) => {
                    let section = Section::at(self.path(name), Some(table), self.problems);
                    children.push((name.as_str(), section));
                }
                None => self.problem(
                    name,
                    format!("must be a table: write [{}]", self.path(name)),
                ),
            }
        }
        children.sort_by_key(|(name, _)| *name);
        children
    }

    /// Tables in a list, each named in messages by its own id.
    pub(super) fn tables<'v>(&self, key: &str, written: &'v [Value]) -> Vec<Section<'v>>
    where
        'a: 'v,
    {
        let mut tables = Vec::new();
        for (place, value) in written.iter().enumerate() {
            let id = value.get("id").and_then(plain).filter(|id| !id.is_empty());
            let name = id.unwrap_or_else(|| format!("number {}", place + 1));
            let path = format!("{}[{name}]", self.path(key));
            match value.as_object() {
                Some(table) => tables.push(Section::at(path, Some(table), self.problems)),
                None => self
                    .problems
                    .add(&path, format!("must be a table: write [[{key}]]")),
            }
        }
        tables
    }

    /// A text that may be left out.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.problem(key, "must be a text; write it in quotes");
                None
            }
        }
    }

    /// A text that may be left out, or a whole number read as its digits.
    pub(super) fn id(&mut self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        let id = plain(value);
        if id.is_none() {
            self.problem(key, "must be an id: a text in quotes or a whole number");
        }
        id
    }

    /// A text that must be there and mean something.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.value(key).is_none() {
            self.problem(key, format!("is missing; write {accepted}"));
            return None;
        }
        let text = match self.value(key)? {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.problem(key, format!("must be a text; write {accepted}"));
                return None;
            }
        };
        let value = parse(&text);
        if value.is_none() {
            self.problem(
                key,
                format!("{:?} is not accepted; write {accepted}", shown(&text)),
            );
        }
        value
    }

    /// A duration that must be there.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let accepted = "a whole number with ms, s, m, h or d, e.g. \"30s\"";
        let Some(duration) = self.parsed(key, accepted, values::duration) else {
            return *range.start();
        };
        if !range.contains(&duration) {
            let (least, most) = (
                values::written(*range.start()),
                values::written(*range.end()),
            );
            let given = values::written(duration);
            self.problem(
                key,
                format!("{given} is not accepted; from {least} to {most} is"),
            );
        }
        duration
    }

    /// A whole number that must be there.
    pub(super) fn whole<T: TryFrom<u64> + Default>(
        &mut self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> T {
        let accepted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parsed(key, &accepted, |text| {
            let number = text
                .trim()
                .parse::<u64>()
                .ok()
                .filter(|number| range.contains(number))?;
            T::try_from(number).ok()
        });
        number.unwrap_or_default()
    }

    /// True or false; left out: false.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let Some(value) = self.value(key) else {
            return false;
        };
        match value {
            Value::Bool(flag) => *flag,
            Value::String(text) if text.eq_ignore_ascii_case("true") => true,
            Value::String(text) if text.eq_ignore_ascii_case("false") => false,
            Value::String(_)
            | Value::Null
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                self.problem(key, "must be true or false");
                false
            }
        }
    }

    /// One of a type's words; left out: `fallback`.
    pub(super) fn word<W: Word>(&mut self, key: &str, fallback: W) -> W {
        if self.value(key).is_none() {
            return fallback;
        }
        let words: Vec<&str> = W::WORDS.iter().map(|(word, _)| *word).collect();
        let accepted = format!("one of {}", words.join(", "));
        self.parsed(key, &accepted, |text| W::from_word(text.trim()))
            .unwrap_or(fallback)
    }

    /// A list of texts; left out: empty. `None` also when it is no list, which is noted.
    pub(super) fn items(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let items: Option<Vec<String>> =
            values::list(value).and_then(|items| items.iter().map(plain).collect());
        if items.is_none() {
            self.problem(key, "must be a list of texts, e.g. [\"one\", \"two\"]");
        }
        items
    }

    /// Notes every key that nothing asked for.
    pub(super) fn finish(self) {
        let mut unknown: Vec<&String> = self.values.into_iter().flat_map(Map::keys).collect();
        unknown.retain(|key| !self.known.contains(*key));
        unknown.sort_unstable();
        for key in unknown {
            let near = nearest(key, self.known.iter().map(String::as_str)).unwrap_or_default();
            let key: String = key.chars().take(80).collect();
            let near = self.path(near);
            self.problem(
                &key,
                format!("unknown key; the nearest known one is {near}"),
            );
        }
    }
}

/// A text, or a whole number as its digits.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A value for a message: not too long, and no password out of an address.
fn shown(text: &str) -> String {
    if text.contains("://") && text.contains('@') {
        return "an address with a password".to_owned();
    }
    text.chars().take(80).collect()
}

//! One table of the file: typed look-ups that note what is wrong, and at the
//! end the keys that nobody asked for.

use seawall_messages::policy::DefaultAction;
use seawall_messages::rule::Rules;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Collector;
use super::{MAX_RULES, describe};
use crate::{built_in, rule};

/// The words of `default_action`.
pub(super) const DEFAULT_ACTIONS: [(&str, DefaultAction); 3] = [
    ("permit", DefaultAction::Permit),
    ("block", DefaultAction::Block),
    ("ask", DefaultAction::Ask),
];

pub(super) struct Section<'a, 'c, 't> {
    /// As fields are called in errors: `filter`, `app[2].match`.
    name: String,
    /// The byte of the text at which it begins.
    at: usize,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
    /// Keys that are noted to belong elsewhere: known, but none to propose.
    foreign: Vec<&'static str>,
    collector: &'c mut Collector<'t>,
}

impl<'a, 'c, 't> Section<'a, 'c, 't> {
    /// The section of that name; an absent one has no keys.
    pub(super) fn open(
        name: &'static str,
        root: &'a DeTable<'a>,
        collector: &'c mut Collector<'t>,
    ) -> Self {
        let value = root.get(name);
        let table = value.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                collector.note(
                    value.span().start,
                    name,
                    describe(other),
                    format!("a section: [{name}]"),
                );
                None
            }
        });
        Self::new(name.to_owned(), value.map_or(0, |value| value.span().start), table, collector)
    }

    /// A section that was found already. `at` is the byte of the text at which it begins.
    pub(super) fn new(
        name: String,
        at: usize,
        table: Option<&'a DeTable<'a>>,
        collector: &'c mut Collector<'t>,
    ) -> Self {
        Self { name, at, table, asked: Vec::new(), foreign: Vec::new(), collector }
    }

    /// A table within the section, which has to be there.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Option<Section<'a, '_, 't>> {
        let name = format!("{}.{key}", self.name);
        let Some(value) = self.value(key) else {
            self.collector.note(self.at, &name, "nothing", expected);
            return None;
        };
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(Section::new(name, value.span().start, Some(table), self.collector))
            }
            other => self.wrong(key, value, describe(other), expected),
        }
    }

    /// A string that has to be there and that `parse` makes something of.
    pub(super) fn required_text<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.table.is_none_or(|table| table.get(key).is_none()) {
            let name = format!("{}.{key}", self.name);
            self.collector.note(self.at, &name, "nothing", expected);
        }
        self.parsed(key, expected, parse)
    }

    /// Notes a key that belongs elsewhere: `expected` says where.
    pub(super) fn foreign(&mut self, key: &'static str, expected: &str) {
        self.foreign.push(key);
        if let Some(value) = self.table.and_then(|table| table.get(key)) {
            self.wrong::<()>(key, value, "a key of another section".to_owned(), expected);
        }
    }

    /// Notes what is wrong with the section as a whole.
    pub(super) fn note_whole(&mut self, found: &str, expected: &str) {
        self.collector.note(self.at, &self.name, found, expected);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_none_or(DeTable::is_empty)
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn close(&mut self) {
        if let Some(table) = self.table {
            self.collector.unknown_keys(&self.name, table, &self.asked, &self.foreign);
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong(key, value, describe(other), "true or false"),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let value = self.value(key)?;
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = words.join(" or ");
        let DeValue::String(text) = value.get_ref() else {
            return self.wrong(key, value, describe(value.get_ref()), expected);
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| text == word) {
            return Some(*choice);
        }
        self.wrong(key, value, describe(value.get_ref()), expected)
    }

    pub(super) fn integer<T: TryFrom<u64> + Into<u64> + Copy>(
        &mut self,
        key: &'static str,
        least: T,
        most: T,
    ) -> Option<T> {
        let (least, most) = (least.into(), most.into());
        let value = self.value(key)?;
        match whole_number(value.get_ref()).filter(|number| (least..=most).contains(number)) {
            Some(number) => T::try_from(number).ok(),
            None => {
                let expected = format!("a whole number of {least} to {most}");
                self.wrong(key, value, describe(value.get_ref()), expected)
            }
        }
    }

    pub(super) fn one_of(&mut self, key: &'static str, numbers: [u8; 2]) -> Option<u8> {
        let value = self.value(key)?;
        let number = whole_number(value.get_ref());
        match numbers.into_iter().find(|allowed| number == Some(u64::from(*allowed))) {
            Some(number) => Some(number),
            None => {
                let expected = format!("{} or {}", numbers[0], numbers[1]);
                self.wrong(key, value, describe(value.get_ref()), expected)
            }
        }
    }

    /// A string that `parse` makes something of.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            _ => None,
        };
        match parsed {
            Some(parsed) => Some(parsed),
            None => self.wrong(key, value, describe(value.get_ref()), expected),
        }
    }

    /// A list of rules. Those that are wrong are noted, each with its place.
    pub(super) fn rules(&mut self, key: &'static str) -> Option<Rules> {
        const EXPECTED: &str = "a list of rules such as [\"- 10.0.0.5 TCP/80\", \"+ *\"]";
        let value = self.value(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            return self.wrong(key, value, describe(value.get_ref()), EXPECTED);
        };
        if items.len() > MAX_RULES {
            let expected = format!("at most {MAX_RULES}");
            return self.wrong(key, value, format!("{} rules", items.len()), expected);
        }
        let mut rules = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let field = format!("{}.{key}[{}]", self.name, index + 1);
            match item.get_ref() {
                DeValue::String(line) => match rule::parse(line) {
                    Ok(rule) => {
                        if let Some(error) = self.collector.misplaced(line, &rule) {
                            self.collector.rule(item.span(), &field, error);
                        }
                        rules.push(rule);
                    }
                    Err(error) => self.collector.rule(item.span(), &field, error),
                },
                other => self.collector.note(
                    item.span().start,
                    &field,
                    describe(other),
                    "a rule in quotes",
                ),
            }
        }
        Some(Rules::from(rules))
    }

    /// Names of profiles that come with Seawall.
    pub(super) fn built_in_profiles(&mut self, key: &'static str) -> Vec<&'static str> {
        let expected = format!("a list of {}", built_in::names());
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let found = describe(value.get_ref());
            return self.wrong(key, value, found, expected).unwrap_or_default();
        };
        let named = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(name) => built_in::find(name).map(|built_in| built_in.name),
            _ => None,
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            match named(item) {
                Some(name) => names.push(name),
                None => {
                    let field = format!("{}.{key}", self.name);
                    let found = describe(item.get_ref());
                    self.collector.note(item.span().start, &field, found, expected.clone());
                }
            }
        }
        names
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table?.get(key)
    }

    fn wrong<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        found: String,
        expected: impl Into<String>,
    ) -> Option<T> {
        let field = format!("{}.{key}", self.name);
        self.collector.note(value.span().start, &field, found, expected);
        None
    }
}

fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

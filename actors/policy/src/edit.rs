//! Puts a rule into the text of a policy file: text in, text out.
//!
//! Comments, blank lines and the order of everything else stay as they are. The
//! result is read back: unless it says exactly what the file said before, and the
//! rule, nothing is given out.
//!
//! A rule of an app goes into the `[[app]]` section that decides for it now, if that
//! is about this app and nobody else. A section that means others, too, is left
//! alone: the app gets a section of its own before it, with the same settings.

mod change;

use std::path::Path;

use seawall_messages::policy::{
    AddedRule, AppMatch, AppPolicy, Fingerprint, NewRule, Pattern, RuleList, RulePlace, RuleRefusal,
};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

pub use self::change::{Changed, change};
use crate::file::{self, PolicyFile};
use crate::rule;

/// What an edit gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The whole file.
    pub text: String,
    /// Where the rule is in it.
    pub added: AddedRule,
}

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// `[filter]`
    Filter,
    /// An `[[app]]` that is there, by its index.
    App(usize),
    /// One to be made before that one, with its settings.
    Before(usize),
    /// One to be made at the end.
    Last,
}

/// The text of the file with the rule in it. `path` is only for error messages.
pub fn insert(text: &str, new: &NewRule, path: &Path) -> Result<Edited, RuleRefusal> {
    let rule = checked(&new.rule)?;
    let before = file::parse(text, path).map_err(|problems| {
        RuleRefusal::Failed(format!(
            "the file must be put right before a rule is added\n{problems}"
        ))
    })?;
    let section = section_for(new.app.as_ref(), &before.apps);
    let list = name_of(section, &before, new.list);
    if is_first(&before, section, new.list, &rule) {
        let added = AddedRule { rule: new.rule.clone(), list, was_there: true };
        return Ok(Edited { text: text.to_owned(), added });
    }
    let mut document: DocumentMut = text.parse().map_err(|error| not_editable(path, &error))?;
    edit(&mut document, section, new).ok_or_else(|| not_editable(path, &"its form is unusual"))?;
    let edited = with_line_ends_of(text, document.to_string());
    let after = file::parse(&edited, path).map_err(|problems| {
        RuleRefusal::Invalid(format!("the file would be refused\n{problems}"))
    })?;
    if after != expected(before, section, new, rule) {
        return Err(not_editable(path, &"the result would say something else"));
    }
    Ok(Edited { text: edited, added: AddedRule { rule: new.rule.clone(), list, was_there: false } })
}

fn checked(line: &str) -> Result<seawall_messages::rule::Rule, RuleRefusal> {
    if line.chars().any(char::is_control) {
        let what = "a rule is one line, without control characters";
        return Err(RuleRefusal::Invalid(what.to_owned()));
    }
    rule::parse(line).map_err(|error| RuleRefusal::Invalid(error.to_string()))
}

fn not_editable(path: &Path, why: &dyn std::fmt::Display) -> RuleRefusal {
    RuleRefusal::Failed(format!(
        "{}: the rule can't be changed without touching something else ({why}); do it by hand",
        path.display()
    ))
}

/// The first section that certainly decides for the app, and what to do about it.
fn section_for(app: Option<&AppMatch>, apps: &[AppPolicy]) -> Section {
    let Some(app) = app else { return Section::Filter };
    let wanted = fingerprint_of(app);
    let decides =
        |section: &AppPolicy| section.fingerprint == wanted || means_too(&section.fingerprint, app);
    match apps.iter().position(decides) {
        None => Section::Last,
        Some(at) if apps.get(at).is_some_and(|found| found.fingerprint == wanted) => {
            Section::App(at)
        }
        Some(at) => Section::Before(at),
    }
}

/// Whether the fingerprint fits whatever `app` means, and perhaps others. Of one with
/// conditions that `app` says nothing of, nobody can tell.
fn means_too(fingerprint: &Fingerprint, app: &AppMatch) -> bool {
    let said = |pattern: &Option<Pattern>, text: &str| {
        pattern.as_ref().is_some_and(|pattern| pattern.as_str() == "*" || pattern.fits(text))
    };
    let Fingerprint { path, tag, .. } = fingerprint;
    let only = |wanted: Fingerprint| *fingerprint == wanted;
    let (of_path, of_tag) = (
        only(Fingerprint { path: path.clone(), ..Fingerprint::default() }),
        only(Fingerprint { tag: tag.clone(), ..Fingerprint::default() }),
    );
    match app {
        _ if app.text().contains('*') => false,
        AppMatch::Path(text) => of_path && said(path, text),
        AppMatch::Tag(text) => of_tag && said(tag, text),
    }
}

fn fingerprint_of(app: &AppMatch) -> Fingerprint {
    match app {
        AppMatch::Path(text) => {
            Fingerprint { path: Some(Pattern::new(text)), ..Fingerprint::default() }
        }
        AppMatch::Tag(text) => {
            Fingerprint { tag: Some(Pattern::new(text)), ..Fingerprint::default() }
        }
    }
}

/// As fields are called in errors.
fn name_of(section: Section, before: &PolicyFile, list: RuleList) -> String {
    let place = match section {
        Section::Filter => return format!("filter.{}", list.key()),
        Section::App(at) | Section::Before(at) => at,
        Section::Last => before.apps.len(),
    };
    format!("app[{}].{}", place + 1, list.key())
}

fn is_first(
    before: &PolicyFile,
    section: Section,
    list: RuleList,
    rule: &seawall_messages::rule::Rule,
) -> bool {
    let rules = match (section, list) {
        (Section::Filter, RuleList::Outgoing) => Some(&before.filter.outgoing_rules),
        (Section::Filter, RuleList::Incoming) => Some(&before.filter.incoming_rules),
        (Section::App(at), RuleList::Outgoing) => {
            before.apps.get(at).map(|app| &app.filter.outgoing_rules)
        }
        (Section::App(at), RuleList::Incoming) => {
            before.apps.get(at).map(|app| &app.filter.incoming_rules)
        }
        (Section::Before(_) | Section::Last, _) => None,
    };
    rules.and_then(|rules| rules.first()).is_some_and(|first| first.text == rule.text)
}

/// What the file has to say when it is done.
fn expected(
    mut file: PolicyFile,
    section: Section,
    new: &NewRule,
    rule: seawall_messages::rule::Rule,
) -> PolicyFile {
    if let (Section::Before(_) | Section::Last, Some(app)) = (section, &new.app) {
        let fingerprint = fingerprint_of(app);
        let settings = match section {
            Section::Before(at) => file.apps.get(at).map(|other| other.filter.clone()),
            _ => None,
        };
        let at = match section {
            Section::Before(at) => at,
            _ => file.apps.len(),
        };
        let name = fingerprint.to_string().into();
        let filter = settings.unwrap_or_default();
        file.apps.insert(at, AppPolicy { name, fingerprint, filter });
    }
    let at = match section {
        Section::Filter => None,
        Section::App(at) | Section::Before(at) => Some(at),
        Section::Last => file.apps.len().checked_sub(1),
    };
    let rules = match (at.and_then(|at| file.apps.get_mut(at)), new.list) {
        (None, RuleList::Outgoing) => &mut file.filter.outgoing_rules,
        (None, RuleList::Incoming) => &mut file.filter.incoming_rules,
        (Some(app), RuleList::Outgoing) => &mut app.filter.outgoing_rules,
        (Some(app), RuleList::Incoming) => &mut app.filter.incoming_rules,
    };
    match new.place {
        RulePlace::First => {
            *rules = std::iter::once(rule).chain(rules.iter().cloned()).collect();
        }
    }
    file
}

/// `None` where the document has a form that isn't known here.
fn edit(document: &mut DocumentMut, section: Section, new: &NewRule) -> Option<()> {
    match section {
        Section::Filter => {
            if !document.contains_key("filter") {
                let table = new_table(document);
                document.insert("filter", Item::Table(table));
            }
            put(document.get_mut("filter")?.as_table_like_mut()?, new)
        }
        Section::App(at) => match document.get_mut("app")? {
            Item::ArrayOfTables(sections) => put(sections.get_mut(at)?, new),
            Item::Value(Value::Array(sections)) => {
                put(sections.get_mut(at)?.as_inline_table_mut()?, new)
            }
            _ => None,
        },
        Section::Before(at) => make(document, Some(at), new),
        Section::Last => make(document, None, new),
    }
}

/// Makes a section for the rule's app: before another, with the same settings, or at the end.
fn make(document: &mut DocumentMut, before: Option<usize>, new: &NewRule) -> Option<()> {
    let app = new.app.as_ref()?;
    let at_the_end = match before {
        None if !matches!(document.get("app"), Some(Item::Value(_))) => new_table(document),
        _ => Table::new(),
    };
    match document.entry("app").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
        Item::ArrayOfTables(sections) => {
            let mut table = at_the_end;
            if before.is_some() {
                table.decor_mut().set_prefix("\n");
            }
            let other = before.and_then(|at| sections.get(at)).map(|other| other as &dyn TableLike);
            fill(&mut table, app, other);
            put(&mut table, new)?;
            match before {
                Some(at) => sections.insert(at, table),
                None => sections.push(table),
            }
        }
        Item::Value(Value::Array(sections)) => {
            let mut table = InlineTable::new();
            let other = before.and_then(|at| sections.get(at)).and_then(Value::as_inline_table);
            fill(&mut table, app, other.map(|other| other as &dyn TableLike));
            put(&mut table, new)?;
            insert_into(sections, before.unwrap_or(sections.len()), Value::InlineTable(table));
        }
        _ => return None,
    }
    Some(())
}

/// `match`, and the settings of another section.
fn fill(table: &mut dyn TableLike, app: &AppMatch, other: Option<&dyn TableLike>) {
    let mut whom = InlineTable::new();
    whom.insert(app.key(), app.text().into());
    table.insert("match", Item::Value(Value::InlineTable(whom)));
    let settings = other.into_iter().flat_map(|other| other.iter());
    for (key, value) in settings.filter(|(key, _)| !["match", "name"].contains(key)) {
        table.insert(key, value.clone());
    }
}

/// A table that stands at the end of the file, below whatever is there.
fn new_table(document: &mut DocumentMut) -> Table {
    let mut table = Table::new();
    table.set_position(Some(last_position(document.as_table()).saturating_add(1)));
    // What follows the last section is about that one.
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let separator = match trailing.as_str() {
        "" if document.is_empty() => "",
        text if text.is_empty() || text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    table.decor_mut().set_prefix(trailing + separator);
    document.set_trailing("");
    table
}

fn last_position(table: &Table) -> isize {
    let of_item = |item: &Item| match item {
        Item::Table(table) => last_position(table),
        Item::ArrayOfTables(tables) => tables.iter().map(last_position).max().unwrap_or(0),
        Item::None | Item::Value(_) => 0,
    };
    let below = table.iter().map(|(_, item)| of_item(item)).max().unwrap_or(0);
    table.position().unwrap_or(0).max(below)
}

/// Puts the rule into its list, which is made if need be.
fn put(table: &mut dyn TableLike, new: &NewRule) -> Option<()> {
    let key = new.list.key();
    if !table.contains_key(key) {
        table.insert(key, Item::Value(Value::Array(Array::new())));
    }
    let rules = table.get_mut(key)?.as_array_mut()?;
    match new.place {
        RulePlace::First => insert_into(rules, 0, Value::from(new.rule.as_str())),
    }
    Some(())
}

/// Puts a value into a list, in the way in which the others stand there: each on a
/// line of its own, or all on one.
fn insert_into(list: &mut Array, at: usize, value: Value) {
    let mut value = value;
    let prefix_of = |value: &Value| {
        value.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
    };
    let indent_of = |prefix: &str| {
        prefix.rsplit_once('\n').map(|(_, indent)| format!("\n{indent}")).unwrap_or_default()
    };
    if let Some(next) = list.get_mut(at) {
        let prefix = prefix_of(next);
        // What stands on the line of the one before stays there.
        let (before, own) = match prefix.find('\n') {
            Some(end) => (&prefix[..end], &prefix[end..]),
            None => ("", prefix.as_str()),
        };
        let spaced = if at > 0 { " " } else { "" };
        let indent = match indent_of(&prefix) {
            indent if indent.is_empty() => spaced.to_owned(),
            indent => indent,
        };
        let own = if own.is_empty() { " " } else { own }.to_owned();
        value.decor_mut().set_prefix(format!("{before}{indent}"));
        next.decor_mut().set_prefix(own);
    } else if let Some(last) = list.iter().last() {
        let indent = indent_of(&prefix_of(last));
        value.decor_mut().set_prefix(if indent.is_empty() { " " } else { &indent });
    } else if list.trailing().as_str().is_some_and(|trailing| trailing.contains('\n')) {
        value.decor_mut().set_prefix("\n    ");
    }
    list.insert_formatted(at, value);
}

/// Where each line of the file ends in CR LF, each of the result does.
fn with_line_ends_of(text: &str, edited: String) -> String {
    let lines = text.matches('\n').count();
    if lines > 0 && lines == text.matches("\r\n").count() {
        edited.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        edited
    }
}

#[cfg(test)]
mod tests;

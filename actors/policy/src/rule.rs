//! The rule language: one line,
//! `<+|-|?> <entity> [protocol[/port[-port]]] [off] [until=…] [during=…] [network=…] [user=…] [interface=…] [# comment]`.
//!
//! Pure. Every error says which part of the line is wrong, what was found there
//! and what was expected. Rules that need data which isn't there yet (names of
//! connections, geographic data, filter lists) are read, and decide nothing.
//!
//! Printing is canonical: parsing what was printed gives an equal rule, but for the run of the
//! machine in which `until=restart` was said, and that of the app in which `until=exit` was, which
//! only what is [`kept`] says.

mod condition;
mod domain;
mod entity;
mod names;
mod service;
#[cfg(test)]
mod tests;
mod when;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use seawall_messages::rule::{Boot, End, InNetwork, Only, Permission, Rule, Run, When};

use self::condition::{Conditions, is_condition, network_span, print_conditions};
use self::entity::parse_entity;
use self::service::parse_service;

pub(crate) use self::names::nearest as nearest_name;
pub use self::names::protocol_number as protocol_by_name;

pub use self::entity::print_entity;
pub use self::service::print_service;
use self::when::{EXIT, RESTART, SAID_IN, UNTIL, end_span};
pub use self::when::{now, this_boot};

/// Longest rule, in bytes, comment included. The longest useful one has two
/// words of 50 bytes.
pub const MAX_RULE_BYTES: usize = 1024;

/// Why a line is not a rule. Printed with the line and a caret under the offending part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// The line as it was given.
    pub line: String,
    /// The offending bytes of the line; empty where something is missing.
    pub span: Range<usize>,
    /// What was found there.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// A part of a rule that is wrong, relative to that part.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    span: Range<usize>,
    found: String,
    expected: String,
}

/// Reads one rule.
pub fn parse(line: &str) -> Result<Rule, RuleError> {
    parse_parts(line).map_err(|fault| error(line, fault))
}

/// The canonical form of a rule with these parts.
pub fn print(
    permission: Permission,
    entity: &seawall_messages::rule::Entity,
    service: Option<seawall_messages::rule::Service>,
    when: &When,
    only: Option<&Only>,
) -> String {
    let sign = match permission {
        Permission::Permit => '+',
        Permission::Deny => '-',
        Permission::Ask => '?',
    };
    let (entity, rest) = (print_entity(entity), print_conditions(when, only));
    match service {
        None => format!("{sign} {entity}{rest}"),
        Some(service) => format!("{sign} {entity} {}{rest}", print_service(service)),
    }
}

/// The rule, switched off or on.
pub fn switched(rule: &Rule, off: bool) -> Rule {
    let when = When { off, ..rule.when };
    let only = rule.only.as_deref();
    let text = Arc::from(print(rule.permission, &rule.entity, rule.service, &when, only));
    Rule { when, text, ..rule.clone() }
}

/// The rule as it is kept: with the run of the machine in which `until=restart` was said, or that
/// of the app in which `until=exit` was.
pub fn kept(rule: &Rule) -> String {
    let with = |end: &str, said_in: &dyn fmt::Display| {
        let shown = format!(" {UNTIL}={end}");
        rule.text.replacen(&shown, &format!("{shown}{SAID_IN}{said_in}"), 1)
    };
    match rule.when.until {
        Some(End::Restart(Some(boot))) => with(RESTART, &boot),
        Some(End::Exit(Some(run))) => with(EXIT, &run),
        _ => rule.text.to_string(),
    }
}

/// The line as it is kept where it is said now. What is no rule stays as it is.
pub fn said_in(line: &str, boot: Option<Boot>) -> String {
    let is_said_now = parse(line).is_ok_and(|rule| rule.when.until == Some(End::Restart(None)));
    let end = span_of_end(line, RESTART).filter(|_| is_said_now).map(|span| span.end);
    match (end, boot) {
        (Some(end), Some(boot)) => {
            format!("{}{SAID_IN}{boot}{}", &line[..end], &line[end..])
        }
        _ => line.to_owned(),
    }
}

/// Whether the line is a rule that says `until=exit`, of whichever run of its app.
pub(crate) fn ends_with_app(line: &str) -> bool {
    parse(line).is_ok_and(|rule| matches!(rule.when.until, Some(End::Exit(_))))
}

/// A line that says `until=exit` as it is kept where it is said of that run of its app.
pub fn said_of(line: &str, run: Run) -> String {
    match span_of_end(line, EXIT) {
        Some(span) => {
            format!("{}{EXIT}{SAID_IN}{run}{}", &line[..span.start], &line[span.end..])
        }
        None => line.to_owned(),
    }
}

/// A kept line as people write it. Of what ends with the restart only where it is of this run of the
/// machine: one of another stays as it is, so that nobody who says the same again has it count
/// again. (Who says `until=exit` again has it of another run of the app in any case.)
pub fn as_written(line: &str, boot: Option<Boot>) -> String {
    if let Some(span) = span_of_end(line, EXIT) {
        return format!("{}{EXIT}{}", &line[..span.start], &line[span.end..]);
    }
    let end = span_of_end(line, RESTART).map(|span| span.end);
    let Some((end, boot)) = end.zip(boot) else { return line.to_owned() };
    let said_in = format!("{SAID_IN}{boot}");
    match line[..end].strip_suffix(&said_in) {
        Some(before) => format!("{before}{}", &line[end..]),
        None => line.to_owned(),
    }
}

/// What is wrong with a rule in a file that says `until=restart`.
pub(crate) fn restart_in_file(line: &str, rule: &Rule) -> Option<RuleError> {
    if !matches!(rule.when.until, Some(End::Restart(_))) {
        return None;
    }
    let found = "`restart` in a file, which isn't of one run of the machine";
    let expected = "a date, or a date and time; `seawall rule add` takes until=restart";
    let span = span_of_end(line, RESTART).unwrap_or(0..0);
    Some(error(line, Fault::new(span, found, expected)))
}

/// What is wrong with a rule that says `until=exit` anywhere but in a command that names its app.
pub(crate) fn exit_elsewhere(line: &str, rule: &Rule) -> Option<RuleError> {
    if !matches!(rule.when.until, Some(End::Exit(_))) {
        return None;
    }
    let found = "`exit` in what isn't of one run of an app";
    let expected = "a date, or a date and time; `seawall rule add --app` takes until=exit";
    let span = span_of_end(line, EXIT).unwrap_or(0..0);
    Some(error(line, Fault::new(span, found, expected)))
}

/// Where a line says `until=` and that: what stands behind the `=`.
fn span_of_end(line: &str, end: &str) -> Option<Range<usize>> {
    words(line).into_iter().find_map(|(at, word)| end_span(at, word, end))
}

/// What is wrong with a rule of that line, if it names a network that isn't among these.
pub(crate) fn unknown_network(line: &str, rule: &Rule, known: &[Arc<str>]) -> Option<RuleError> {
    let InNetwork { name, .. } = rule.only.as_ref()?.network.as_ref()?;
    if known.contains(name) {
        return None;
    }
    let span = words(line).into_iter().find_map(|(at, word)| network_span(at, word));
    let expected = match nearest_name(name, known.iter().map(|name| &**name)) {
        Some(meant) => format!("`{meant}`, perhaps"),
        None => "the name of a [[network]], or of one that `seawall network` shows".to_owned(),
    };
    let found = format!("{}, which no [[network]] is called", quoted(name));
    Some(error(line, Fault::new(span.unwrap_or(0..0), found, expected)))
}

/// The comment of a line, with its `#`.
pub fn comment(line: &str) -> Option<&str> {
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            return Some(rest.trim_end()).filter(|comment| !comment.is_empty());
        }
        rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
    }
}

impl RuleError {
    /// The line, and below it carets under the offending part.
    pub fn excerpt(&self) -> String {
        let count =
            |range: Range<usize>| self.line.get(range).map_or(0, |text| text.chars().count());
        let line: String = self.line.chars().map(printable).collect();
        let before = count(0..self.span.start);
        let width = count(self.span.clone()).max(1);
        format!("    {line}\n    {:before$}{:^<width$}", "", "")
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}; expected {}\n{}", self.found, self.expected, self.excerpt())
    }
}

fn parse_parts(line: &str) -> Result<Rule, Fault> {
    if line.len() > MAX_RULE_BYTES {
        return Err(Fault {
            span: 0..0,
            found: format!("a rule of {} bytes", line.len()),
            expected: format!("at most {MAX_RULE_BYTES} bytes"),
        });
    }
    let words = words(line);
    let permission = match words.first() {
        None => {
            return Err(Fault {
                span: 0..0,
                found: "an empty rule".to_owned(),
                expected: "`+`, `-` or `?`, then whom the rule is about".to_owned(),
            });
        }
        Some((_, "+")) => Permission::Permit,
        Some((_, "-")) => Permission::Deny,
        Some((_, "?")) => Permission::Ask,
        Some((at, word)) => return Err(wrong_sign(*at, word)),
    };
    let Some(&(entity_at, entity_text)) = words.get(1) else {
        return Err(Fault {
            span: line.trim_end().len()..line.trim_end().len(),
            found: "nothing after the sign".to_owned(),
            expected: "whom the rule is about: *, an address, a network, a scope, a name …"
                .to_owned(),
        });
    };
    let entity = parse_entity(entity_text).map_err(|fault| fault.moved(entity_at))?;
    let (mut service, mut conditions) = (None, Conditions::default());
    for (position, &(at, word)) in words.iter().enumerate().skip(2) {
        if is_condition(word) {
            conditions.take(word).map_err(|fault| fault.moved(at))?;
        } else if position == 2 {
            service = Some(parse_service(word).map_err(|fault| fault.moved(at))?);
        } else {
            let expected = "the end of the rule, off, until=…, during=…, network=…, user=…, interface=…, or a comment after #";
            return Err(Fault::new(at..at + word.len(), quoted(word), expected));
        }
    }
    let (when, only) = (conditions.when, conditions.shared_only());
    let text = Arc::from(print(permission, &entity, service, &when, only.as_deref()));
    Ok(Rule { permission, entity, service, when, only, is_active: true, text })
}

/// The words of a line with their positions, up to the comment.
fn words(line: &str) -> Vec<(usize, &str)> {
    let mut rest = line;
    let mut words = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            return words;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push((line.len() - rest.len(), word));
        rest = after;
    }
}

fn error(line: &str, fault: Fault) -> RuleError {
    RuleError {
        line: shorten(line),
        span: clamp(&fault.span, line),
        found: fault.found,
        expected: fault.expected,
    }
}

fn wrong_sign(at: usize, word: &str) -> Fault {
    let glued = (word.starts_with(['+', '-', '?']) && word.len() > 1).then_some(1);
    let expected = match glued {
        Some(_) => "a space after the sign",
        None => "`+` to permit, `-` to deny or `?` to ask",
    };
    Fault {
        span: at..at + glued.unwrap_or(word.len()),
        found: quoted(word),
        expected: expected.to_owned(),
    }
}

/// A word as quoted in an error: bounded, control characters made visible.
fn quoted(word: &str) -> String {
    const LONGEST: usize = 60;
    let mut text: String = word.chars().take(LONGEST).map(printable).collect();
    if word.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// One character for one, so that carets stay under what they point at.
fn printable(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}

fn shorten(line: &str) -> String {
    line.chars().take(MAX_RULE_BYTES / 4).collect()
}

fn clamp(span: &Range<usize>, line: &str) -> Range<usize> {
    let end = shorten(line).len();
    span.start.min(end)..span.end.min(end)
}

impl Fault {
    fn new(span: Range<usize>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { span, found: found.into(), expected: expected.into() }
    }

    fn moved(self, by: usize) -> Self {
        Self { span: self.span.start + by..self.span.end + by, ..self }
    }
}

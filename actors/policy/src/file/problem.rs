//! What is wrong with a file, where, and what was expected instead.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_messages::rule::Rule;
use toml::de::{DeTable, Error};

use crate::rule::{RuleError, exit_elsewhere, nearest_name, restart_in_file, unknown_network};

/// Most problems that are told at once.
const MAX_TOLD: usize = 20;

/// Most problems that are kept before the first [`MAX_TOLD`] by place are chosen.
const MAX_KEPT: usize = 2_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Which setting: `filter.outgoing_rules[2]`; `syntax` where the text is not TOML.
    pub field: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The rule with a caret under its offending part; two lines.
    pub excerpt: Option<String>,
}

/// All that is wrong with a file, in the order of its lines; at most twenty told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file.
    pub path: PathBuf,
    /// The first twenty problems.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

/// Gathers problems while the file is read.
pub(super) struct Collector<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
    not_kept: usize,
    /// Lines whose syntax is wrong: what else seems wrong there is an echo of that.
    broken_lines: Vec<usize>,
    /// The names of networks, for rules that say them.
    networks: Vec<Arc<str>>,
    /// Those that are there whether the text names them or not.
    known_networks: Vec<Arc<str>>,
    /// Whether no rule may end when the machine is restarted.
    refuses_restart: bool,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let Problem { line, column, field, found, expected, excerpt } = problem;
            let path = self.path.display();
            write!(f, "{path}:{line}:{column}: {field}: found {found}; expected {expected}")?;
            if let Some(excerpt) = excerpt {
                write!(f, "\n{excerpt}")?;
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.path.display()),
        }
    }
}

impl<'t> Collector<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self {
            text,
            line_starts,
            problems: Vec::new(),
            not_kept: 0,
            broken_lines: Vec::new(),
            networks: Vec::new(),
            known_networks: Vec::new(),
            refuses_restart: false,
        }
    }

    /// From now on, no rule may end when the machine is restarted: nobody knows when it was written.
    pub(super) fn refuse_restart(&mut self) {
        self.refuses_restart = true;
    }

    /// There is a network of that name, which the text may name again.
    pub(super) fn know_network(&mut self, name: &Arc<str>) {
        self.known_networks.push(Arc::clone(name));
    }

    /// Takes up the name of a network. `false`: another one has it.
    pub(super) fn name_network(&mut self, name: &Arc<str>) -> bool {
        let is_new = !self.networks.contains(name);
        if is_new {
            self.networks.push(Arc::clone(name));
        }
        is_new
    }

    /// What is wrong with a rule that names a network which isn't there, or ends when nobody
    /// knows.
    pub(super) fn misplaced(&self, line: &str, rule: &Rule) -> Option<RuleError> {
        let ends_unknown = || self.refuses_restart.then(|| restart_in_file(line, rule)).flatten();
        let known = [self.networks.as_slice(), &self.known_networks].concat();
        unknown_network(line, rule, &known)
            .or_else(|| exit_elsewhere(line, rule))
            .or_else(ends_unknown)
    }

    /// Notes a problem at a byte of the text.
    pub(super) fn note(
        &mut self,
        at: usize,
        field: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let (line, column) = self.place(at);
        self.keep(Problem {
            line,
            column,
            field: field.to_owned(),
            found: found.into(),
            expected: expected.into(),
            excerpt: None,
        });
    }

    /// Notes what the TOML parser says.
    pub(super) fn syntax(&mut self, error: &Error) {
        let at = error.span().map_or(self.text.len(), |span| span.start);
        let (found, expected) =
            error.message().split_once(", expected ").unwrap_or((error.message(), "TOML"));
        self.note(at, "syntax", found, expected);
        let (line, _) = self.place(at);
        if self.broken_lines.last() != Some(&line) {
            self.broken_lines.push(line);
        }
    }

    /// Notes a rule that can't be read. `span` is the whole string in the file.
    pub(super) fn rule(&mut self, span: Range<usize>, field: &str, error: RuleError) {
        // Where the string is written as it is meant (no escapes), the column of
        // the offending part itself can be told.
        const QUOTE: usize = 1;
        let written = self.text.get(span.start + QUOTE..span.end.saturating_sub(QUOTE));
        let at = match written {
            Some(written) if written.starts_with(&error.line) => {
                span.start + QUOTE + error.span.start
            }
            _ => span.start,
        };
        let (line, column) = self.place(at);
        let excerpt = error.excerpt();
        self.keep(Problem {
            line,
            column,
            field: field.to_owned(),
            found: error.found,
            expected: error.expected,
            excerpt: Some(excerpt),
        });
    }

    /// Notes the keys of `table` that are not among `known`, nor noted already.
    pub(super) fn unknown_keys(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        known: &[&str],
        noted: &[&str],
    ) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) || noted.contains(&name) {
                continue;
            }
            let shown: String = name.chars().take(60).collect();
            let field =
                if section.is_empty() { shown.clone() } else { format!("{section}.{shown}") };
            let kind = if section.is_empty() { "section or key" } else { "key" };
            let expected = match nearest_name(name, known.iter().copied()) {
                Some(meant) => format!("`{meant}`, perhaps"),
                None => format!("one of {}", known.join(", ")),
            };
            self.note(key.span().start, &field, format!("an unknown {kind} {shown:?}"), expected);
        }
    }

    /// The problems in order, if there are any.
    pub(super) fn finish(mut self, path: &Path) -> Option<Problems> {
        let broken = std::mem::take(&mut self.broken_lines);
        self.problems
            .retain(|problem| problem.field == "syntax" || !broken.contains(&problem.line));
        if self.problems.is_empty() {
            return None;
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        let more = self.problems.len().saturating_sub(MAX_TOLD) + self.not_kept;
        self.problems.truncate(MAX_TOLD);
        Some(Problems { path: path.to_owned(), problems: self.problems, more })
    }

    fn keep(&mut self, problem: Problem) {
        if self.problems.len() < MAX_KEPT {
            self.problems.push(problem);
        } else {
            self.not_kept += 1;
        }
    }

    /// Line and column, from 1, of a byte.
    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied();
        let before = self.text.get(start.unwrap_or(0)..at);
        (line, before.map_or(0, |text| text.chars().count()) + 1)
    }
}

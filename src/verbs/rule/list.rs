//! `seawall rule list`: the rules in force, and what each did.

use std::time::SystemTime;

use seawall_messages::api::{RuleInForce, RulesInForce};

use crate::cli::Common;
use crate::client::{Client, ClientError};
use crate::output::{self, Cell, Style, Table};
use crate::verbs::Outcome;

pub(super) fn perform(app: Option<&str>, common: &Common) -> Result<Outcome, ClientError> {
    let mut answer: RulesInForce = Client::new(&common.run_dir).get("/v1/rules")?;
    if let Some(app) = app {
        answer.rules.retain(|rule| rule.app.as_deref().is_some_and(|name| is_named(name, app)));
    }
    if common.json {
        output::json(&answer);
    } else if answer.rules.is_empty() {
        output::line(match app {
            Some(app) => format!("no rule is for {app} alone"),
            None => "there are no rules".to_owned(),
        });
    } else {
        table(&answer.rules, SystemTime::now()).print();
    }
    Ok(Outcome::Done)
}

/// Whether an app is meant by a word: its name, or what its `match` says.
pub(in crate::verbs) fn is_named(name: &str, word: &str) -> bool {
    name.eq_ignore_ascii_case(word) || name.split_once('=').is_some_and(|(_, value)| value == word)
}

fn table(rules: &[RuleInForce], now: SystemTime) -> Table<7> {
    let mut table = Table::new(["FOR", "LIST", "NO", "FROM", "RULE", "HITS", "LAST"]).flowing();
    for rule in rules {
        let age = rule.last.and_then(|last| now.duration_since(last).ok());
        let last = age.map(|age| output::span(age.as_secs()));
        let (style, text) = match &rule.idle {
            None => (Style::Plain, rule.rule.to_string()),
            Some(why) => (Style::Faint, format!("{} ({why})", rule.rule)),
        };
        table.row([
            Cell::from(rule.app.as_deref().unwrap_or("all")),
            Cell::from(rule.list.key()),
            Cell::from(rule.position.to_string()),
            Cell::from(rule.origin.as_str()),
            Cell::styled(style, &text),
            Cell::from(rule.connections.to_string()),
            Cell::from(last.unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_meant_by_its_name_or_by_what_it_is_known_by() {
        let cases = [
            ("Browser", "browser", true),
            ("path=/usr/bin/curl", "/usr/bin/curl", true),
            ("path=/usr/bin/curl", "curl", false),
            ("Browser", "Brow", false),
        ];
        for (name, word, expected) in cases {
            assert_eq!(is_named(name, word), expected, "{name} {word}");
        }
    }
}

//! `seawall rule check`: whether a line is a rule, and what it says of something.

use std::net::IpAddr;

use seawall_messages::rule::{
    Data, Match, Permission, Port, Present, Rule, Subject, User, domain_name,
};
use seawall_policy::rule::{RuleError, now, parse};
use seawall_policy::users;
use serde::Serialize;

use crate::cli::RuleCheck;
use crate::output::{self, Style};
use crate::verbs::Outcome;

/// The number of the interface that is named; any would do.
const SOME_INTERFACE: u32 = 2;

/// The answer as JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Answer {
    Rule { result: &'static str, rule: String },
    NoRule { error: Wrong },
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Wrong {
    /// First byte of the part that is wrong, and the first one after it.
    span: [usize; 2],
    found: String,
    expected: String,
}

pub(super) fn perform(asked: &RuleCheck, json: bool) -> Outcome {
    match parse(&asked.rule) {
        Ok(rule) => {
            let rule = rule.at(&present(&rule, asked));
            let matched = rule.judge(&subject(asked));
            if json {
                output::json(&Answer::Rule {
                    result: word(&rule, matched),
                    rule: rule.text.to_string(),
                });
            } else {
                print(&rule, matched);
            }
            Outcome::Done
        }
        Err(error) if json => {
            output::json(&Answer::NoRule { error: Wrong::from(error) });
            Outcome::Misused
        }
        Err(error) => {
            output::complaint(error);
            Outcome::Misused
        }
    }
}

/// Reads a name for `--domain`.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    domain_name(text).ok_or_else(|| {
        "expected a name as the DNS writes it: parts of 1 to 63 letters, digits, - and _".to_owned()
    })
}

fn subject(asked: &RuleCheck) -> Subject<'_> {
    Subject {
        address: asked.ip.map(|address: IpAddr| address.to_canonical()),
        name: asked.domain.as_deref(),
        alias_of: &[],
        protocol: asked.protocol,
        port: asked.port.map_or(Port::Absent, Port::Is),
        user: asked.uid.map_or(User::Unknown, User::Is),
        interface: asked.interface.as_ref().map(|_| SOME_INTERFACE),
    }
}

/// Now, on a machine in the network that was named, with the interface that was.
fn present(rule: &Rule, asked: &RuleCheck) -> Present {
    let networks = asked.network.iter().map(|name| name.as_str().into()).collect();
    let named = |name: &String| (SOME_INTERFACE, name.as_str().into());
    let interfaces = asked.interface.iter().map(named).collect();
    let users = users::named_by(std::iter::once(rule));
    Present { networks, users, interfaces, ..Present::from(now()) }
}

fn word(rule: &Rule, matched: Match) -> &'static str {
    match (matched, rule.permission) {
        (Match::Yes, Permission::Permit) => "permit",
        (Match::Yes, Permission::Deny) => "deny",
        (Match::Yes, Permission::Ask) => "ask",
        (Match::No | Match::Lacks(_), _) => "none",
    }
}

fn print(rule: &Rule, matched: Match) {
    let (style, says) = match word(rule, matched) {
        "permit" => (Style::Good, "PERMITS it"),
        "deny" => (Style::Bad, "DENIES it"),
        "ask" => (Style::Warning, "ASKS about it"),
        _ => (Style::Plain, "says nothing of it"),
    };
    output::styled_line(&[(Style::Strong, &rule.text), (Style::Plain, ": "), (style, says)]);
    if !rule.is_active {
        output::line(format_args!("note: {}", rule.why_not()));
    }
    if matched == Match::No && rule.lacks() == Some(Data::Users) {
        output::line(format_args!("note: it needs {}", Data::Users.missing()));
    }
    if let Match::Lacks(data) = matched {
        output::line(format_args!("note: it needs {}", data.missing()));
    }
}

impl From<RuleError> for Wrong {
    fn from(error: RuleError) -> Self {
        Self {
            span: [error.span.start, error.span.end],
            found: error.found,
            expected: error.expected,
        }
    }
}

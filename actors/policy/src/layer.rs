//! What is said in the store, made into what `verdict` reads. Pure.
//!
//! What can't be used (a key that nobody knows any more, a rule that isn't read)
//! is kept as it is, doesn't count, and is told.

use std::sync::Arc;
use std::time::Duration;

use seawall_messages::policy::{AppFilter, DefaultAction};
use seawall_messages::rule::{Boot, End, Rule, Rules};
use seawall_messages::setting::{self, Kind, Place, Setting, Value, Values};

use crate::file::MAX_RULES;
use crate::{built_in, rule};

/// Of a rule that ends with the next restart.
const UNKNOWN_RUN: &str = "until=restart: found no word of which run of the machine this is (/proc/sys/kernel/random/boot_id); expected a date";

/// Of a rule that ends with an app.
const UNKNOWN_APP: &str =
    "until=exit: found no word of which run of the app it is; `seawall rule add --app` says it";

/// Some settings, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Those that may be of one app, too.
    pub filter: AppFilter,
    /// `permanent_verdicts`.
    pub permanent_verdicts: Option<bool>,
    /// `ask_timeout`.
    pub ask_timeout: Option<Duration>,
    /// `built_in_profiles` and `built_in_profiles_off`.
    pub built_in: built_in::Choice,
    /// What doesn't count, and why.
    pub problems: Vec<String>,
}

/// Reads what is said. `place`: where; what may not be said there doesn't count.
pub fn read(values: &Values, place: Place) -> Layer {
    let mut layer = Layer::default();
    for (key, value) in values {
        let setting = match lookup(key, place) {
            Ok(setting) => setting,
            Err(problem) => {
                layer.problems.push(problem);
                continue;
            }
        };
        match value {
            Value::Rules(names) if setting.kind == Kind::Names => {
                let known = |name: &String| built_in::find(name).map(|built_in| built_in.name);
                layer.built_in.off = names.iter().filter_map(known).collect();
                layer.problems.extend(unknown_profile(key, names));
            }
            Value::Rules(lines) => {
                let rules = read_rules(key, lines, &mut layer.problems);
                take_rules(&mut layer.filter, key, rules);
            }
            value if setting.kind.fits(value) => take(&mut layer, key, value),
            value => layer.problems.push(misfit(setting, value)),
        }
    }
    layer
}

/// What is wrong with a setting that somebody wants to say, if anything is. `networks`: those
/// that have a name.
pub fn problem(key: &str, value: &Value, place: Place, networks: &[Arc<str>]) -> Option<String> {
    let setting = match lookup(key, place) {
        Ok(setting) => setting,
        Err(problem) => return Some(problem),
    };
    if !setting.kind.fits(value) {
        return Some(misfit(setting, value));
    }
    let Value::Rules(lines) = value else { return None };
    if setting.kind == Kind::Names {
        return unknown_profile(key, lines);
    }
    if lines.len() > MAX_RULES {
        return Some(format!("{key}: found {} rules; expected at most {MAX_RULES}", lines.len()));
    }
    (1..).zip(lines).find_map(|(position, line)| {
        let rule = read_rule(line);
        let elsewhere = rule.ok().and_then(|rule| rule::exit_elsewhere(line, &rule));
        let problem = match elsewhere {
            Some(error) => error.to_string(),
            None => new_rule(line, networks).err()?,
        };
        Some(format!("{key}[{position}]: {problem}"))
    })
}

/// What is wrong with names of profiles that come with Seawall, if anything is.
fn unknown_profile(key: &str, names: &[String]) -> Option<String> {
    let unknown = names.iter().find(|name| built_in::find(name).is_none())?;
    Some(format!("{key}: found {unknown:?}; expected one of {}", built_in::names()))
}

/// Reads a rule that somebody wants to say from now on: one that names a network which nobody
/// has named is a slip, and would never count.
pub fn new_rule(line: &str, networks: &[Arc<str>]) -> Result<Rule, String> {
    let rule = read_kept(line)?;
    match rule::unknown_network(line, &rule, networks) {
        Some(error) => Err(error.to_string()),
        None => Ok(rule),
    }
}

/// Reads a rule that is said, or may be.
pub fn read_rule(line: &str) -> Result<Rule, String> {
    if line.chars().any(char::is_control) {
        return Err("a rule is one line, without control characters".to_owned());
    }
    rule::parse(line).map_err(|error| error.to_string())
}

/// Reads a rule that is kept: one that ends with the next restart says after which it was said, one
/// that ends with its app of which run of it.
fn read_kept(line: &str) -> Result<Rule, String> {
    let rule = read_rule(line)?;
    match rule.when.until {
        Some(End::Restart(None)) => Err(UNKNOWN_RUN.to_owned()),
        Some(End::Exit(None)) => Err(UNKNOWN_APP.to_owned()),
        _ => Ok(rule),
    }
}

/// What is said now as it is kept. `boot`: this run of the machine.
pub fn said_in(values: &Values, boot: Option<Boot>) -> Values {
    with_lines(values, |line| Some(rule::said_in(line, boot)))
}

/// What is kept as people write it.
pub fn as_written(values: &Values, boot: Option<Boot>) -> Values {
    with_lines(values, |line| Some(rule::as_written(line, boot)))
}

/// What is kept as people write it, without what an earlier restart of the machine ended, and
/// without what is of one run of an app.
pub fn still_written(values: &Values, boot: Option<Boot>) -> Values {
    let is_over = |line: &str| {
        let until = rule::parse(line).ok().and_then(|rule| rule.when.until);
        match until {
            Some(End::Restart(said_in)) => said_in != boot,
            Some(End::Exit(_)) => true,
            _ => false,
        }
    };
    let written = with_lines(values, |line| (!is_over(line)).then(|| rule::as_written(line, boot)));
    // A list of which nothing is left says nothing.
    let is_emptied = |key: &String, value: &Value| {
        *value == Value::Rules(Vec::new()) && values.get(key) != Some(value)
    };
    written.into_iter().filter(|(key, value)| !is_emptied(key, value)).collect()
}

fn with_lines(values: &Values, line: impl Fn(&str) -> Option<String>) -> Values {
    let value = |value: &Value| match value {
        Value::Rules(lines) => Value::Rules(lines.iter().filter_map(|it| line(it)).collect()),
        other => other.clone(),
    };
    values.iter().map(|(key, kept)| (key.clone(), value(kept))).collect()
}

/// What is wrong with a key that is no setting's.
pub fn unknown(key: &str) -> Option<String> {
    setting::find(key).is_none().then(|| lookup(key, Place::All).err())?
}

/// The setting of a key that may be said there.
fn lookup(key: &str, place: Place) -> Result<&'static Setting, String> {
    let Some(setting) = setting::find(key) else {
        let known = setting::ALL.iter().map(|setting| setting.name);
        let hint = match rule::nearest_name(key, known.filter_map(|name| name.rsplit('.').next())) {
            Some(meant) => format!("`{meant}`, perhaps"),
            None => "one that `seawall setting list` shows".to_owned(),
        };
        return Err(format!("{key}: found no such setting; expected {hint}"));
    };
    match setting.place {
        Place::File => Err(format!("{key}: it can only be said in the policy file")),
        Place::AppAlone if place < Place::App => Err(format!("{key}: it is one for a single app")),
        allowed if allowed < place => Err(format!("{key}: it is one for all apps")),
        _ => Ok(setting),
    }
}

fn misfit(setting: &Setting, value: &Value) -> String {
    format!("{}: found {value}; expected {}", setting.name, setting.kind.expected())
}

fn read_rules(key: &str, lines: &[String], problems: &mut Vec<String>) -> Rules {
    let read = |(position, line): (usize, &String)| match read_kept(line) {
        Ok(rule) => Some(rule),
        Err(problem) => {
            problems.push(format!("{key}[{position}]: {problem}"));
            None
        }
    };
    (1..).zip(lines).filter_map(read).collect()
}

fn take(layer: &mut Layer, key: &str, value: &Value) {
    let filter = &mut layer.filter;
    match (key, value) {
        ("default_action", Value::Word(word)) => {
            filter.default_action = DefaultAction::of_word(word);
        }
        ("block_inbound", Value::Switch(on)) => filter.block_inbound = Some(*on),
        ("block_lan", Value::Switch(on)) => filter.block_lan = Some(*on),
        ("block_internet", Value::Switch(on)) => filter.block_internet = Some(*on),
        ("block_local", Value::Switch(on)) => filter.block_local = Some(*on),
        ("use_parent", Value::Switch(on)) => filter.use_parent = Some(*on),
        ("ask_timeout", Value::Number(seconds)) => {
            layer.ask_timeout = Some(Duration::from_secs(*seconds));
        }
        ("built_in_profiles", Value::Switch(on)) => layer.built_in.on = Some(*on),
        ("permanent_verdicts", Value::Switch(on)) => layer.permanent_verdicts = Some(*on),
        _ => {}
    }
}

fn take_rules(filter: &mut AppFilter, key: &str, rules: Rules) {
    match key {
        "outgoing_rules" => filter.outgoing_rules = rules,
        "incoming_rules" => filter.incoming_rules = rules,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, Value)]) -> Values {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn each_setting_of_the_registry_that_can_be_stored_takes_effect() {
        for setting in setting::ALL.iter().filter(|setting| setting.place != Place::File) {
            let key = setting.key().expect("one that has a key");
            let value = match setting.kind {
                Kind::Rules => Value::Rules(vec!["- *".to_owned()]),
                Kind::Names => Value::Rules(vec!["Seawall".to_owned()]),
                _ => setting.default_value(),
            };
            let layer = read(&values(&[(key, value)]), setting.place);
            let nothing = Layer::default();
            assert_eq!(layer.problems, Vec::<String>::new(), "{key}");
            assert_ne!(layer, nothing, "{key} is read and says nothing");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_and_the_rest_counts() {
        let rules = Value::Rules(vec!["- 10.0.0.1".to_owned(), "nonsense".to_owned()]);
        let said = values(&[
            ("block_lan", Value::Switch(true)),
            ("block_internet", Value::Word("perhaps".to_owned())),
            ("block_moon", Value::Switch(true)),
            ("outgoing_rules", rules),
            ("permanent_verdicts", Value::Switch(false)),
        ]);
        let layer = read(&said, Place::App);
        assert_eq!(layer.filter.block_lan, Some(true));
        assert_eq!(layer.filter.outgoing_rules.len(), 1);
        assert_eq!((layer.filter.block_internet, layer.permanent_verdicts), (None, None));
        let expected = ["block_internet", "block_moon", "outgoing_rules[2]", "permanent_verdicts"];
        for key in expected {
            let found = layer.problems.iter().filter(|problem| problem.contains(key)).count();
            assert_eq!(found, 1, "{key} in {:?}", layer.problems);
        }
    }

    #[test]
    fn what_counts_until_the_restart_is_kept_with_its_run_and_written_without() {
        let boot = Boot::parse("0fcbee07bad8");
        let rules = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            values(&[("block_lan", Value::Switch(true)), ("outgoing_rules", Value::Rules(lines))])
        };
        let said = rules(&["- * until=restart # x", "+ *"]);
        let kept = rules(&["- * until=restart@0fcbee07bad8 # x", "+ *"]);
        let old = rules(&["- * until=restart@000000000000"]);
        assert_eq!(said_in(&said, boot), kept);
        assert_eq!((as_written(&kept, boot), still_written(&kept, boot)), (said.clone(), said));
        assert_eq!(as_written(&old, boot), old);
        assert_eq!(still_written(&old, boot), values(&[("block_lan", Value::Switch(true))]));
        for line in ["- * until=restart", "- * until=exit"] {
            let nowhere = read(&rules(&[line]), Place::All);
            assert!(nowhere.filter.outgoing_rules.is_empty(), "{nowhere:?}");
            assert_eq!(nowhere.problems.len(), 1);
        }
    }

    #[test]
    fn what_is_of_one_run_of_an_app_is_shown_without_it_and_not_exported() {
        let boot = Boot::parse("0fcbee07bad8");
        let rules = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            values(&[("outgoing_rules", Value::Rules(lines))])
        };
        let kept = rules(&["- * until=exit@1-2-000000000000 # x", "+ *"]);
        assert_eq!(as_written(&kept, boot), rules(&["- * until=exit # x", "+ *"]));
        assert_eq!(still_written(&kept, boot), rules(&["+ *"]));
        assert_eq!(
            still_written(&rules(&["- * until=exit@1-2-0fcbee07bad8"]), boot),
            Values::new()
        );
        let layer = read(&kept, Place::App);
        assert_eq!((layer.filter.outgoing_rules.len(), layer.problems.len()), (2, 0));
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_was_expected() {
        let rule = |line: &str| Value::Rules(vec![line.to_owned()]);
        let cases = [
            ("block_lan", Value::Switch(true), Place::App, None),
            ("block_lan", Value::Word("x".to_owned()), Place::App, Some("true or false")),
            ("blok_lan", Value::Switch(true), Place::App, Some("`block_lan`, perhaps")),
            ("permanent_verdicts", Value::Switch(true), Place::All, None),
            ("permanent_verdicts", Value::Switch(true), Place::App, Some("for all apps")),
            ("use_parent", Value::Switch(true), Place::App, None),
            ("use_parent", Value::Switch(true), Place::All, Some("a single app")),
            ("service.mode", Value::Word("open".to_owned()), Place::All, Some("policy file")),
            ("outgoing_rules", Value::Rules(vec!["+".to_owned()]), Place::All, Some("expected")),
            ("outgoing_rules", rule("- * network=home"), Place::All, None),
            ("outgoing_rules", rule("- * until=exit"), Place::App, Some("until=exit")),
            ("outgoing_rules", rule("- * until=exit@1-2-0fcbee07bad8"), Place::App, Some("--app")),
            ("built_in_profiles_off", rule("the KERNEL"), Place::All, None),
            ("built_in_profiles_off", rule("x"), Place::All, Some("\"The kernel\"")),
            ("outgoing_rules", rule("- * network!=hme"), Place::All, Some("outgoing_rules[1]")),
        ];
        for (key, value, place, expected) in cases {
            let found = problem(key, &value, place, &[Arc::from("home")]);
            let is_so = match (&found, expected) {
                (Some(found), Some(expected)) => found.contains(expected),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(is_so, "{key}: {found:?}");
        }
    }
}

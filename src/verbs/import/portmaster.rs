//! From an export of Portmaster to the text of a policy, and what has no place in it.

use std::fmt::Write as _;
use std::path::Path;

use seawall_policy::file::ASK_TIMEOUT_S;
use seawall_policy::{file, rule};
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// What came of an export.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Converted {
    /// A policy file, or a part of one.
    pub(super) policy: String,
    /// What could not be carried over.
    pub(super) left_out: Vec<LeftOut>,
}

/// Something that has no place in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    /// A setting, a rule or a fingerprint.
    pub(super) what: String,
    /// Why.
    pub(super) why: String,
}

/// Settings of one section, as they stand in the file.
#[derive(Default)]
struct Section {
    lines: String,
    left_out: Vec<LeftOut>,
}

/// Settings that are switches in both.
const SWITCHES: [(&str, &str); 4] = [
    ("filter/blockInbound", "block_inbound"),
    ("filter/blockLAN", "block_lan"),
    ("filter/blockInternet", "block_internet"),
    ("filter/blockLocal", "block_local"),
];

/// Lists of rules in both.
const LISTS: [(&str, &str); 2] =
    [("filter/endpoints", "outgoing_rules"), ("filter/serviceEndpoints", "incoming_rules")];

/// Why settings of such a name have no place, the longest name first.
const NO_PLACE: [(&str, &str); 10] = [
    ("filter/lists", "filter lists aren't there yet"),
    ("filter/customListFile", "filter lists aren't there yet"),
    ("filter/askTimeout", "expected 10 to 999999 seconds, in settings for all"),
    ("filter/ask", "there are no notifications on the desktop; `seawall prompts` shows what waits"),
    ("filter/", "there is nothing like it yet"),
    ("dns/", "the name server isn't there yet"),
    ("spn/", "the onion network isn't there yet"),
    ("splittun/", "there are no split tunnels"),
    ("history/", "network history isn't there yet"),
    ("core/", "it is about Portmaster itself"),
];

/// Makes a policy of an export in YAML or JSON.
pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let export: Value = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
    let kind = export["type"].as_str().unwrap_or_default();
    let converted = match kind {
        "settings" => of_all(&settings_of(&export["config"])),
        "single-setting" => {
            let key = export["id"].as_str().ok_or("the export has no `id`")?;
            of_all(&Map::from_iter([(key.to_owned(), export["value"].clone())]))
        }
        "profile" => of_profile(&export)?,
        _ => {
            return Err(format!(
                "found type {kind:?}; expected an export of Portmaster: settings, single-setting or profile"
            ));
        }
    };
    // What is given out is a policy that is taken.
    file::parse(&converted.policy, Path::new("the policy"))
        .map_err(|problems| format!("what came of it would be refused\n{problems}"))?;
    Ok(converted)
}

fn of_all(settings: &Map<String, Value>) -> Converted {
    let mut section = Section::default();
    section.take(settings, true);
    let policy = format!("# From Portmaster's settings.\n[filter]\n{}", section.lines);
    Converted { policy, left_out: section.left_out }
}

/// A section for each fingerprint: any of them makes a process the profile's, where all
/// that a `match` says has to fit.
fn of_profile(export: &Value) -> Result<Converted, String> {
    let name = export["name"].as_str().filter(|name| is_name(name)).unwrap_or("a profile");
    let mut section = Section::default();
    section.take(&settings_of(&export["config"]), false);
    let mut matches = Vec::new();
    let none = Vec::new();
    for fingerprint in export["fingerprints"].as_array().unwrap_or(&none) {
        match match_of(fingerprint) {
            Ok(whom) => matches.push(whom),
            Err(why) => section.leave_out(&format!("fingerprint {fingerprint}"), why),
        }
    }
    if export["id"] == "_unidentified" {
        matches.push("tag = \"unidentified\"".to_owned());
    }
    if matches.is_empty() {
        return Err(format!(
            "the profile {name:?} has no fingerprint that can be carried over: {}",
            section.left_out.iter().map(|it| it.why.as_str()).collect::<Vec<_>>().join("; ")
        ));
    }
    let mut policy = String::from("# From a profile of Portmaster.\n");
    for (number, whom) in matches.iter().enumerate() {
        let name = match number {
            0 => name.to_owned(),
            more => format!("{name} ({})", more + 1),
        };
        // Writing to a string never fails.
        let _ = write!(
            policy,
            "[[app]]\nname = {}\nmatch = {{ {whom} }}\n{}\n",
            quoted(&name),
            section.lines
        );
    }
    Ok(Converted { policy, left_out: section.left_out })
}

fn is_name(text: &str) -> bool {
    (1..=150).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What a fingerprint is in `match`.
fn match_of(fingerprint: &Value) -> Result<String, &'static str> {
    let text = |key: &str| fingerprint[key].as_str().unwrap_or_default();
    let value = text("value");
    if value.is_empty() || value.contains('*') {
        return Err("a star means something else here, and nothing means nothing");
    }
    let pattern = match text("operation") {
        "equals" => value.to_owned(),
        "prefix" => format!("{value}*"),
        "regex" => return Err("regular expressions aren't there; write a pattern with * by hand"),
        _ => return Err("its operation is not known"),
    };
    let (key, pattern) = match (text("type"), text("key")) {
        ("path", _) if pattern.starts_with('/') => ("path", pattern),
        ("path", _) => return Err("it is a path of another system"),
        ("cmdline", _) => ("command_line", pattern),
        ("tag", "flatpak-id") => ("tag", format!("flatpak:{pattern}")),
        ("tag", "snap-name") => ("tag", format!("snap:{pattern}")),
        ("tag", "app-image-path") => ("tag", format!("app_image:{pattern}")),
        ("tag", key) if key.ends_with("-script") => ("tag", format!("script:{pattern}")),
        ("tag", _) => return Err("there is no such tag"),
        ("env", _) => return Err("the environment of programs isn't looked at"),
        _ => return Err("its type is not known"),
    };
    Ok(format!("{key} = {}", quoted(&pattern)))
}

/// Settings by their whole names: `filter/blockLAN`, however deep they are nested.
fn settings_of(config: &Value) -> Map<String, Value> {
    fn flatten(prefix: &str, config: &Value, into: &mut Map<String, Value>) {
        match config {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = match prefix {
                        "" => name.clone(),
                        prefix => format!("{prefix}/{name}"),
                    };
                    flatten(&name, value, into);
                }
            }
            Value::Null => {}
            value => drop(into.insert(prefix.to_owned(), value.clone())),
        }
    }
    let mut settings = Map::new();
    flatten("", config, &mut settings);
    settings
}

impl Section {
    fn take(&mut self, settings: &Map<String, Value>, is_for_all: bool) {
        for (key, value) in settings {
            let switch = SWITCHES.iter().find(|(theirs, _)| theirs == key);
            let list = LISTS.iter().find(|(theirs, _)| theirs == key);
            match (key.as_str(), value) {
                ("filter/defaultAction", Value::String(action)) => self.default_action(action),
                ("filter/askTimeout", Value::Number(seconds))
                    if is_for_all && may_be_waited(seconds) =>
                {
                    self.line("ask_timeout", &seconds.to_string());
                }
                ("filter/permanentVerdicts", Value::Bool(on)) if is_for_all => {
                    self.line("permanent_verdicts", &on.to_string());
                }
                (_, Value::Bool(on)) if switch.is_some() => {
                    self.line(switch.map_or("", |(_, ours)| ours), &on.to_string());
                }
                (_, Value::Array(rules)) if list.is_some() => {
                    self.rules(key, list.map_or("", |(_, ours)| ours), rules);
                }
                _ => self.no_place(key),
            }
        }
    }

    fn default_action(&mut self, action: &str) {
        match action {
            "permit" | "block" | "ask" => self.line("default_action", &quoted(action)),
            _ => self.leave_out("filter/defaultAction", "expected permit, block or ask"),
        }
    }

    fn rules(&mut self, key: &str, list: &str, rules: &[Value]) {
        let mut taken = String::new();
        for line in rules {
            match line.as_str().map(|line| (line, rule::parse(line))) {
                Some((line, Ok(_))) if !line.chars().any(char::is_control) => {
                    // Writing to a string never fails.
                    let _ = writeln!(taken, "    {},", quoted(line));
                }
                Some((line, Err(error))) => self.leave_out(
                    &format!("{key}: {line}"),
                    &format!("found {}; expected {}", error.found, error.expected),
                ),
                _ => self.leave_out(&format!("{key}: {line}"), "it is no line of text"),
            }
        }
        if !taken.is_empty() {
            self.line(list, &format!("[\n{taken}]"));
        }
    }

    fn no_place(&mut self, key: &str) {
        let why = NO_PLACE.iter().find(|(name, _)| key.starts_with(name));
        self.leave_out(key, why.map_or("it is not known", |(_, why)| why));
    }

    fn line(&mut self, key: &str, value: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.lines, "{key} = {value}");
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        self.left_out.push(LeftOut { what: what.to_owned(), why: why.to_owned() });
    }
}

/// Whether a connection may wait so many seconds for an answer.
fn may_be_waited(seconds: &Number) -> bool {
    let seconds = seconds.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    seconds.is_some_and(|seconds| ASK_TIMEOUT_S.contains(&seconds))
}

/// A string as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;

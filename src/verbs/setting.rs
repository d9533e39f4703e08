//! `seawall setting`: settings shown and changed, for all or for one app.

use std::collections::BTreeMap;

use hyper::Method;
use seawall_messages::api::PolicyChanged;
use seawall_messages::policy::{SettingStatus, SettingsChange, SettingsStatus};
use seawall_messages::setting::{self, Kind, Origin, Setting, Value};

use super::{Outcome, query};
use crate::cli::{Common, SettingVerb};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Cell, Style, Table};

pub(super) fn perform(what: &SettingVerb, common: &Common) -> Result<Outcome, ClientError> {
    match what {
        SettingVerb::List { app } => list(app.as_deref(), common),
        SettingVerb::Get { name, app } => get(name, app.as_deref(), common),
        SettingVerb::Set { name, value, app } => {
            let read = setting::find(name).map(|setting| setting.kind.read(&words(setting, value)));
            match read {
                Some(Ok(value)) => change(name, Some(value), app.as_deref(), common),
                Some(Err(problem)) => Err(ClientError::Refused(format!("{name}: {problem}"))),
                None => Err(ClientError::Refused(format!("there is no setting {name}"))),
            }
        }
        SettingVerb::Reset { name, app } => change(name, None, app.as_deref(), common),
    }
}

/// Of rules each line is one; of all else the whole is one.
fn words(setting: &Setting, value: &str) -> Vec<String> {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    match setting.kind {
        Kind::Rules | Kind::Names => lines.map(str::to_owned).collect(),
        _ => vec![value.to_owned()],
    }
}

fn list(app: Option<&str>, common: &Common) -> Result<Outcome, ClientError> {
    let answer = ask(app, common)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    table(&answer.settings).print();
    for problem in &answer.problems {
        output::note(Style::Strong, "not used:", problem);
    }
    Ok(Outcome::Done)
}

fn get(name: &str, app: Option<&str>, common: &Common) -> Result<Outcome, ClientError> {
    let answer = ask(app, common)?;
    let is_it = |status: &&SettingStatus| {
        status.name == name || setting::key_of(&status.name) == Some(name)
    };
    let Some(status) = answer.settings.iter().find(is_it) else {
        return Err(ClientError::Refused(format!("{name} is one for all apps")));
    };
    match (&status.value, common.json) {
        (_, true) => output::json(status),
        (Value::Rules(rules), false) => rules.iter().for_each(output::line),
        (value, false) => output::line(value),
    }
    Ok(Outcome::Done)
}

/// Done when live flows follow.
fn change(
    name: &str,
    value: Option<Value>,
    app: Option<&str>,
    common: &Common,
) -> Result<Outcome, ClientError> {
    let changes = BTreeMap::from([(name.to_owned(), value)]);
    let request = SettingsChange { app: app.map(str::to_owned), changes };
    let client = Client::new(&common.run_dir);
    let answer: PolicyChanged =
        client.send(Method::POST, "/v1/settings", Some(&request), SLOW, Repeat::Safe)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let settings = ask(app, common);
    let is_it = |status: &&SettingStatus| {
        status.name == name || setting::key_of(&status.name) == Some(name)
    };
    let generation = answer.policy.generation.0;
    let whose = app.map(|app| format!(" for {app}")).unwrap_or_default();
    let now = settings.as_ref().ok().and_then(|answer| answer.settings.iter().find(is_it));
    output::line(match now {
        Some(status) => {
            format!("{name} = {}{whose} (generation {generation})", status.value)
        }
        None => format!("{name} is said{whose} no more (generation {generation})"),
    });
    Ok(Outcome::Done)
}

fn ask(app: Option<&str>, common: &Common) -> Result<SettingsStatus, ClientError> {
    Client::new(&common.run_dir).get(&query("/v1/settings", app))
}

fn table(settings: &[SettingStatus]) -> Table<4> {
    let mut table = Table::new(["SETTING", "VALUE", "FROM", "WHAT IT DOES"]).flowing();
    for status in settings {
        let name = setting::key_of(&status.name).unwrap_or(&status.name);
        let style = if status.origin == Origin::Default { Style::Faint } else { Style::Plain };
        let from = match (status.origin, &status.stored) {
            (Origin::File, Some(_)) => "file (the store is not asked)",
            (origin, _) => origin.as_str(),
        };
        table.row([
            Cell::from(name),
            Cell::styled(style, &status.value.to_string()),
            Cell::styled(style, from),
            Cell::styled(Style::Faint, &meaning(status)),
        ]);
    }
    table
}

/// What it does, with the words that it takes.
fn meaning(status: &SettingStatus) -> String {
    match setting::find(&status.name).map(|setting| setting.kind) {
        Some(Kind::Choice(words)) => {
            let words: Vec<_> = words.iter().map(|(word, doc)| format!("{word}: {doc}")).collect();
            format!("{} ({})", status.doc, words.join("; "))
        }
        _ => status.doc.clone(),
    }
}

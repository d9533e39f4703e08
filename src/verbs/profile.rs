//! `seawall profile`: what is said of single apps, shown and changed.

use hyper::Method;
use seawall_messages::api::{ProfileChanged, ProfileList};
use seawall_messages::policy::{
    AppMatch, Fingerprint, NewProfile, Pattern, Profile, ProfileChange,
};
use seawall_messages::setting::{PRESETS, Preset, Value, Values};

use super::Outcome;
use crate::cli::{Common, ProfileVerb};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Cell, Style, Table};

pub(super) fn perform(what: &ProfileVerb, common: &Common) -> Result<Outcome, ClientError> {
    match what {
        ProfileVerb::List { all } => list(*all, common),
        ProfileVerb::Show { app } => show(app, common),
        ProfileVerb::Make { apps, name, preset } => {
            let settings = preset.as_deref().and_then(Preset::find).map(Preset::values);
            let matches = apps.iter().map(|app| fingerprint(app)).collect();
            let settings = settings.unwrap_or_default();
            let new = NewProfile { name: name.clone(), matches, settings };
            change(&ProfileChange::Make(new), "made", common)
        }
        ProfileVerb::Rename { app, name } => {
            let change_to = ProfileChange::Rename { app: app.clone(), name: name.clone() };
            change(&change_to, "renamed", common)
        }
        ProfileVerb::Remove { app } => {
            change(&ProfileChange::Remove { app: app.clone() }, "removed", common)
        }
        ProfileVerb::Disable { app } => {
            change(&ProfileChange::Disable { app: app.clone() }, "switched off", common)
        }
        ProfileVerb::Enable { app } => {
            change(&ProfileChange::Enable { app: app.clone() }, "switched on", common)
        }
        ProfileVerb::Presets => {
            presets(common);
            Ok(Outcome::Done)
        }
    }
}

fn list(all: bool, common: &Common) -> Result<Outcome, ClientError> {
    let mut answer: ProfileList = Client::new(&common.run_dir).get("/v1/profiles")?;
    let known = answer.profiles.iter().filter(|profile| !is_built_in(profile)).count();
    answer.profiles.retain(|profile| all || !profile.settings.is_empty());
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(["NAME", "FROM", "MATCHES", "SAYS"]).flowing();
    for profile in &answer.profiles {
        table.row([
            Cell::from(&*profile.name),
            Cell::from(from(profile)),
            Cell::from(matches(profile)),
            Cell::from(says(&profile.settings)),
        ]);
    }
    table.print();
    if answer.profiles.iter().all(is_built_in) {
        output::note(
            Style::Faint,
            "note:",
            &match known {
                0 => "there are no others; `seawall profile make` makes one".to_owned(),
                known => {
                    format!("no other says anything; --all shows the {known} apps that were seen")
                }
            },
        );
    }
    Ok(Outcome::Done)
}

fn show(app: &str, common: &Common) -> Result<Outcome, ClientError> {
    let answer: ProfileList = Client::new(&common.run_dir).get("/v1/profiles")?;
    let wanted = fingerprint(app);
    let is_named = |profile: &&Profile| match is_built_in(profile) {
        true => profile.name.eq_ignore_ascii_case(app),
        false => *profile.name == *app,
    };
    let by_name = answer.profiles.iter().find(is_named);
    let found = by_name
        .or_else(|| answer.profiles.iter().find(|profile| profile.matches.contains(&wanted)));
    let Some(profile) = found else {
        let problem = format!("there is no profile that is named or matches {app:?}");
        return Err(ClientError::Refused(problem));
    };
    if common.json {
        output::json(profile);
        return Ok(Outcome::Done);
    }
    let built_in = if is_built_in(profile) { ", built-in" } else { "" };
    output::line(format_args!("{} ({}){built_in}", profile.name, matches(profile)));
    for (key, value) in &profile.settings {
        match value {
            Value::Rules(rules) => {
                output::line(format_args!("  {key}"));
                rules.iter().for_each(|rule| output::line(format_args!("    {rule}")));
            }
            value => output::line(format_args!("  {key} = {value}")),
        }
    }
    for problem in &profile.problems {
        output::note(Style::Strong, "not used:", problem);
    }
    Ok(Outcome::Done)
}

/// Done when live flows follow.
fn change(change: &ProfileChange, done: &str, common: &Common) -> Result<Outcome, ClientError> {
    let client = Client::new(&common.run_dir);
    // Asked again, one that was made is there already, and one that is gone isn't found.
    let answer: ProfileChanged =
        client.send(Method::POST, "/v1/profiles", Some(change), SLOW, Repeat::Never)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let (profile, generation) = (&answer.profile, answer.policy.generation.0);
    let (name, whom) = (&profile.name, matches(profile));
    output::line(format_args!("profile \"{name}\" ({whom}) {done} (generation {generation})"));
    Ok(Outcome::Done)
}

fn presets(common: &Common) {
    if common.json {
        let all: std::collections::BTreeMap<_, _> =
            PRESETS.iter().map(|preset| (preset.name, preset.values())).collect();
        return output::json(&all);
    }
    let mut table = Table::new(["PRESET", "WHAT IT MAKES OF AN APP", "SAYS"]).flowing();
    for preset in PRESETS {
        let said = says(&preset.values());
        table.row([Cell::from(preset.name), Cell::from(preset.doc), Cell::from(said)]);
    }
    table.print();
}

fn is_built_in(profile: &Profile) -> bool {
    profile.id == 0
}

/// Where it is from, and whether it counts.
fn from(profile: &Profile) -> &'static str {
    match (is_built_in(profile), profile.problems.is_empty()) {
        (false, _) => "store",
        (true, true) => "built-in",
        (true, false) => "built-in, off",
    }
}

/// What is meant by a word for an app.
fn fingerprint(app: &str) -> Fingerprint {
    match AppMatch::of_text(app) {
        AppMatch::Path(path) => {
            Fingerprint { path: Some(Pattern::new(&path)), ..Fingerprint::default() }
        }
        AppMatch::Tag(tag) => {
            Fingerprint { tag: Some(Pattern::new(&tag)), ..Fingerprint::default() }
        }
    }
}

/// Whom it is about. Programs of the system are named once, not for each folder of the system.
fn matches(profile: &Profile) -> String {
    if !is_built_in(profile) {
        return profile.matches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    let mut names: Vec<String> = Vec::new();
    for of in &profile.matches {
        let name = match &of.path {
            Some(path) => path.as_str().rsplit('/').next().unwrap_or_default().to_owned(),
            None => of.to_string(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// Settings in a line.
fn says(settings: &Values) -> String {
    let said = settings.iter().map(|(key, value)| match value {
        Value::Rules(rules) => format!("{key}: {}", rules.len()),
        value => format!("{key} = {value}"),
    });
    let said = said.collect::<Vec<_>>().join(", ");
    if said.is_empty() { "nothing".to_owned() } else { said }
}

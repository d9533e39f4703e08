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
        ProfileVerb::Presets => {
            presets(common);
            Ok(Outcome::Done)
        }
    }
}

fn list(all: bool, common: &Common) -> Result<Outcome, ClientError> {
    let mut answer: ProfileList = Client::new(&common.run_dir).get("/v1/profiles")?;
    let known = answer.profiles.len();
    answer.profiles.retain(|profile| all || !profile.settings.is_empty());
    if common.json {
        output::json(&answer);
    } else if answer.profiles.is_empty() {
        output::line(match known {
            0 => "there are no profiles; `seawall profile make` makes one".to_owned(),
            known => {
                format!("no profile says anything; --all shows the {known} apps that were seen")
            }
        });
    } else {
        let mut table = Table::new(["NAME", "MATCHES", "SAYS"]).flowing();
        for profile in &answer.profiles {
            table.row([
                Cell::from(&*profile.name),
                Cell::from(matches(profile)),
                Cell::from(says(&profile.settings)),
            ]);
        }
        table.print();
    }
    Ok(Outcome::Done)
}

fn show(app: &str, common: &Common) -> Result<Outcome, ClientError> {
    let answer: ProfileList = Client::new(&common.run_dir).get("/v1/profiles")?;
    let wanted = fingerprint(app);
    let by_name = answer.profiles.iter().find(|profile| *profile.name == *app);
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
    output::line(format_args!("{} ({})", profile.name, matches(profile)));
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

fn matches(profile: &Profile) -> String {
    profile.matches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
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

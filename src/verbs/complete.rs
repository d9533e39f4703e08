//! `seawall completions SHELL -- WORDS`, which the shells' scripts call: what the last word of a line may
//! become that a running Seawall knows: apps, prompts, adopted entries, rules, networks.
//!
//! Quick, and silent whatever happens: somebody waits with a finger on Tab. What the command
//! line itself defines (verbs, options, settings) the scripts say.

mod place;
pub(super) mod shell;

use std::time::Duration;

use clap::CommandFactory as _;
use hyper::Method;
use seawall_messages::api::{AdoptedList, ProfileList, RulesInForce};
use seawall_messages::network::NetworkAnswer;
use seawall_messages::policy::RuleList;
use seawall_messages::prompt::{PromptState, Prompts};
use seawall_messages::setting::Origin;
use serde::de::DeserializeOwned;

use self::place::{Kind, Place, place};
use super::{Outcome, adopted, prompts, rule};
use crate::cli::{Cli, ShellName};
use crate::client::{Client, ClientError, Repeat};
use crate::output;

pub(super) use self::place::kind;

/// How long Seawall may take to answer.
const AT_MOST: Duration = Duration::from_millis(500);
/// Candidates that are printed: nobody reads more.
const MOST: usize = 500;

/// What a word may become, and a word about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    value: String,
    about: String,
}

/// Prints what the last of the words may become; of words that mean nothing to Seawall, nothing.
pub(super) fn perform(shell: ShellName, words: &[String]) -> Outcome {
    let typed = shell::typed(shell, words);
    let mut command = Cli::command();
    command.build();
    let Some(place) = place(&command, &typed.words) else { return Outcome::Done };
    let client = Client::new(&place.run_dir);
    // Whoever may not ask, or finds nobody, types on.
    let known = known(&place, &client).unwrap_or_default();
    for Candidate { value, about } in fitting(known, &place.text) {
        let value = format!("{}{value}", place.before);
        if let Some(line) = typed.line(&value, &about) {
            output::verbatim(format!("{line}\n").as_bytes());
        }
    }
    Outcome::Done
}

/// Those that begin as was typed, each once. Nothing of others gets to the terminal but whole lines.
fn fitting(mut known: Vec<Candidate>, text: &str) -> Vec<Candidate> {
    let mut seen = std::collections::HashSet::new();
    known.retain(|candidate| {
        candidate.value.starts_with(text)
            && output::one_line(&candidate.value) == candidate.value
            && seen.insert(candidate.value.clone())
    });
    known.truncate(MOST);
    known
}

fn known(place: &Place, client: &Client) -> Result<Vec<Candidate>, ClientError> {
    Ok(match place.kind {
        Kind::App => apps(&get(client, "/v1/profiles")?, true),
        Kind::Program => apps(&get(client, "/v1/profiles")?, false),
        Kind::Prompt => prompts(&get(client, "/v1/prompts")?, false),
        Kind::PromptOrAnswer => prompts(&get(client, "/v1/prompts")?, true),
        Kind::Adopted => get::<AdoptedList>(client, "/v1/adopted")?
            .adopted
            .iter()
            .map(|entry| candidate(entry.id, adopted::what(&entry.what).1))
            .collect(),
        Kind::Network => get::<NetworkAnswer>(client, "/v1/network")?
            .networks
            .iter()
            .map(|network| candidate(&network.name, if network.is_here { "here" } else { "" }))
            .collect(),
        Kind::StoredRule => rules(&get(client, "/v1/rules")?, place),
    })
}

fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, ClientError> {
    client.send(Method::GET, path, None::<&()>, AT_MOST, Repeat::Never)
}

fn candidate(value: impl ToString, about: impl ToString) -> Candidate {
    Candidate { value: value.to_string(), about: about.to_string() }
}

/// Every app that was on the network has a profile: by their names, and by the paths and ids that they are about.
fn apps(list: &ProfileList, with_names: bool) -> Vec<Candidate> {
    let mut names = Vec::new();
    let mut others = Vec::new();
    for profile in &list.profiles {
        let literal = profile.matches.iter().flat_map(|it| it.path.iter().chain(&it.tag));
        let literal: Vec<_> = literal.filter(|pattern| pattern.is_literal()).collect();
        let about = literal.first().map(|pattern| pattern.as_str()).unwrap_or_default();
        if with_names {
            names.push(candidate(&profile.name, about));
        }
        others.extend(literal.iter().map(|pattern| candidate(pattern.as_str(), &profile.name)));
    }
    others.sort_by(|one, other| one.value.cmp(&other.value));
    names.extend(others);
    names
}

fn prompts(list: &Prompts, with_answers: bool) -> Vec<Candidate> {
    let prompts = list.prompts.iter().map(|prompt| {
        let state = match prompt.state {
            PromptState::Waits { .. } => "waits",
            PromptState::Missed { .. } => "missed",
        };
        let what = prompts::words::what(prompt);
        candidate(prompt.id.0, format!("{state}: {} {what}", prompt.asker.app.name))
    });
    let answers = list.answers.iter().filter(|_| with_answers).map(|given| {
        let what = prompts::words::covered(given);
        candidate(given.id.0, format!("answer: {} {what}", given.asker.app.name))
    });
    prompts.chain(answers).collect()
}

/// Rules of the store: those of the app and the list that the line names so far.
fn rules(answer: &RulesInForce, place: &Place) -> Vec<Candidate> {
    let list = if place.incoming { RuleList::Incoming } else { RuleList::Outgoing };
    let stored = answer.rules.iter().filter(|it| it.origin == Origin::Store && it.list == list);
    let is_meant = |name: Option<&str>| match (name, place.app.as_deref()) {
        (None, None) => true,
        (Some(name), Some(app)) => rule::is_named(name, app),
        _ => false,
    };
    let meant = stored.filter(|it| is_meant(it.app.as_deref()));
    meant.map(|it| candidate(&it.rule, it.app.as_deref().unwrap_or("all"))).collect()
}

#[cfg(test)]
mod tests;

//! `seawall rule`: rules added, looked at and tried.

mod check;
mod expect;
mod list;

use hyper::Method;
use seawall_messages::api::RuleChanged;
use seawall_messages::policy::{AppMatch, ChangeRule, NewRule, RuleChange, RuleList, RulePlace};

pub(crate) use self::check::domain;
pub(super) use self::list::is_named;
use super::Outcome;
use crate::cli::{Common, RuleVerb, WhichRule};
use crate::client::{Client, ClientError, Repeat, SLOW};
use crate::output::{self, Style};

pub(super) fn perform(what: &RuleVerb, common: &Common) -> Result<Outcome, ClientError> {
    match what {
        RuleVerb::Add { app, incoming, rule } => {
            let app = app.as_deref().map(AppMatch::of_text);
            let list = if *incoming { RuleList::Incoming } else { RuleList::Outgoing };
            add(&NewRule { app, list, place: RulePlace::First, rule: rule.clone() }, common)
        }
        RuleVerb::Remove(which) => change(which, RuleChange::Remove, common),
        RuleVerb::Disable(which) => change(which, RuleChange::Disable, common),
        RuleVerb::Enable(which) => change(which, RuleChange::Enable, common),
        RuleVerb::List { app } => list::perform(app.as_deref(), common),
        RuleVerb::Check(asked) => Ok(check::perform(asked, common.json)),
        RuleVerb::Test { file, config } => Ok(expect::perform(file, &config.config, common.json)),
    }
}

/// Puts a rule into the store; done when live flows follow it.
fn add(new: &NewRule, common: &Common) -> Result<Outcome, ClientError> {
    let answer = Client::new(&common.run_dir).add_rule(new)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let list = &answer.added.list;
    output::line(match answer.added.was_there {
        true => format!("the rule is first in {list} already"),
        false => format!("added to {list}, in force (generation {})", answer.policy.generation.0),
    });
    if let Some(behind) = &answer.added.behind {
        output::note(Style::Strong, "note:", behind);
    }
    Ok(Outcome::Done)
}

/// Takes a rule out of the store, or switches it; done when live flows follow.
fn change(which: &WhichRule, change: RuleChange, common: &Common) -> Result<Outcome, ClientError> {
    let WhichRule { app, incoming, rule } = which.clone();
    let list = if incoming { RuleList::Incoming } else { RuleList::Outgoing };
    let request = ChangeRule { app, list, rule, change };
    let client = Client::new(&common.run_dir);
    // Asked again, a rule that is gone would not be found.
    let answer: RuleChanged =
        client.send(Method::POST, "/v1/rules/change", Some(&request), SLOW, Repeat::Never)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let list = &answer.changed.list;
    let generation = answer.policy.generation.0;
    let what = match change {
        RuleChange::Remove => "removed from",
        RuleChange::Disable => "switched off in",
        RuleChange::Enable => "switched on in",
    };
    let rule = &answer.changed.rule;
    output::line(format_args!("`{rule}` {what} {list} (generation {generation})"));
    Ok(Outcome::Done)
}

//! `seawall rule`: rules added, looked at and tried.

mod check;
mod expect;
mod list;

use seawall_messages::policy::{AppMatch, NewRule, RuleList, RulePlace};

pub(crate) use self::check::domain;
use super::Outcome;
use crate::cli::{Common, RuleVerb};
use crate::client::{Client, ClientError};
use crate::output;

pub(super) fn perform(what: &RuleVerb, common: &Common) -> Result<Outcome, ClientError> {
    match what {
        RuleVerb::Add { app, incoming, rule } => {
            let app = app.as_deref().map(AppMatch::of_text);
            let list = if *incoming { RuleList::Incoming } else { RuleList::Outgoing };
            add(&NewRule { app, list, place: RulePlace::First, rule: rule.clone() }, common)
        }
        RuleVerb::List { app } => list::perform(app.as_deref(), common),
        RuleVerb::Check(asked) => Ok(check::perform(asked, common.json)),
        RuleVerb::Test { file, config } => Ok(expect::perform(file, &config.config, common.json)),
    }
}

/// Puts a rule into the policy file; done when live flows follow it.
fn add(new: &NewRule, common: &Common) -> Result<Outcome, ClientError> {
    let answer = Client::new(&common.run_dir).add_rule(new)?;
    if common.json {
        output::json(&answer);
        return Ok(Outcome::Done);
    }
    let file = answer.policy.file.display();
    let list = &answer.added.list;
    output::line(match answer.added.was_there {
        true => format!("{file}: the rule is first in {list} already"),
        false => {
            format!("{file}: added to {list}, in force (generation {})", answer.policy.generation.0)
        }
    });
    Ok(Outcome::Done)
}

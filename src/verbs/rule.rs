//! `seawall rule add`: a rule into the policy file; done when live flows follow it.

use seawall_messages::policy::{AppMatch, NewRule, RuleList, RulePlace};

use super::Outcome;
use crate::cli::{Common, RuleVerb};
use crate::client::{Client, ClientError};
use crate::output;

pub(super) fn perform(what: &RuleVerb, common: &Common) -> Result<Outcome, ClientError> {
    let RuleVerb::Add { app, incoming, rule } = what;
    let new = NewRule {
        app: app.as_deref().map(AppMatch::of_text),
        list: if *incoming { RuleList::Incoming } else { RuleList::Outgoing },
        place: RulePlace::First,
        rule: rule.clone(),
    };
    let answer = Client::new(&common.run_dir).add_rule(&new)?;
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

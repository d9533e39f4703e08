//! The rule that an answer for good becomes. Pure.

use seawall_messages::Direction;
use seawall_messages::policy::{NewRule, RuleList, RulePlace};
use seawall_messages::prompt::{Choice, Covers};
use seawall_messages::rule::written_name;

use crate::book::Record;

/// The rule: first in the list of the app. `None` where no rule can mean the app alone.
pub(crate) fn rule(record: &Record, covers: Covers, choice: Choice) -> Option<NewRule> {
    let app = record.asker.in_rules()?;
    let list = match record.direction {
        Direction::Inbound => RuleList::Incoming,
        Direction::Outbound | Direction::Forwarded => RuleList::Outgoing,
    };
    let sign = match choice {
        Choice::Allow => '+',
        Choice::Block => '-',
    };
    let whom = match covers {
        Covers::App => "*".to_owned(),
        Covers::Address(address) | Covers::AddressPort(address, None) => address.to_string(),
        Covers::Port(port) => format!("* */{port}"),
        Covers::AddressPort(address, Some(port)) => format!("{address} */{port}"),
        Covers::Domain(name) => written_name(&name).to_owned(),
        Covers::Zone(name) => format!(".{}", written_name(&name)),
    };
    let rule = format!("{sign} {whom}");
    Some(NewRule { app: Some(app), list, place: RulePlace::First, rule })
}

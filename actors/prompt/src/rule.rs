//! The rule that an answer for good becomes. Pure.

use seawall_messages::Direction;
use seawall_messages::policy::{AppMatch, NewRule, RuleList, RulePlace};
use seawall_messages::prompt::{Choice, Covers};

use crate::book::Record;

/// The rule: first in the list of the app.
pub(crate) fn rule(record: &Record, covers: Covers, choice: Choice) -> NewRule {
    let app = match record.asker.is_named_by_path() {
        true => AppMatch::Path(record.asker.path.to_string()),
        false => AppMatch::Tag(record.asker.app.id.to_string()),
    };
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
    };
    NewRule { app: Some(app), list, place: RulePlace::First, rule: format!("{sign} {whom}") }
}

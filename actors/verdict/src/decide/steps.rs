//! The steps: what each of them says of a connection, if anything.

use seawall_messages::policy::{Adopted, AdoptedEntry, AppPolicy, DefaultAction, Filter};
use seawall_messages::rule::{Permission, Rule, Rules};
use seawall_messages::{Direction, Flow, Layer, Reason, Scope};

use super::Said;
use super::case::{Case, SettingOf};
use crate::always::always_passes;

pub(super) fn always(case: &Case<'_>) -> Option<Said> {
    let text = always_passes(case.flow)?;
    Some(plain(Permission::Permit, Layer::AlwaysPasses, text))
}

pub(super) fn adopted_session(case: &Case<'_>) -> Option<Said> {
    is_adopted(case, |what| matches!(what, AdoptedEntry::Session { .. })).then(|| {
        let text = "it was established when Seawall first started";
        plain(Permission::Permit, Layer::AdoptedSession, text)
    })
}

pub(super) fn paused(case: &Case<'_>) -> Option<Said> {
    let text = "Seawall is paused, and everything passes";
    case.snapshot.paused.then(|| plain(Permission::Permit, Layer::Paused, text))
}

pub(super) fn block_inbound(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || case.flow.direction != Direction::Inbound {
        return None;
    }
    let text = "block_inbound denies what others open";
    case.block(|app| app.block_inbound, |all| all.block_inbound, Layer::BlockInbound, text)
}

pub(super) fn block_internet(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || !case.is_internet() {
        return None;
    }
    let text = "block_internet denies the Internet";
    case.block(|app| app.block_internet, |all| all.block_internet, Layer::BlockInternet, text)
}

pub(super) fn block_lan(case: &Case<'_>) -> Option<Said> {
    if case.is_loopback || !Scope::of(case.flow.remote()).is_lan() {
        return None;
    }
    let text = "block_lan denies the LAN";
    case.block(|app| app.block_lan, |all| all.block_lan, Layer::BlockLan, text)
}

pub(super) fn block_local(case: &Case<'_>) -> Option<Said> {
    if !case.is_loopback {
        return None;
    }
    let text = "block_local denies connections of this machine with itself";
    case.block(|app| app.block_local, |all| all.block_local, Layer::BlockLocal, text)
}

pub(super) fn app_rules(case: &Case<'_>) -> Option<Said> {
    case.app.iter().find_map(|(whose, AppPolicy { name, filter, .. })| {
        let of = SettingOf { app: Some(name), whose, network: None };
        first_match((&filter.incoming_rules, &filter.outgoing_rules), of, case)
    })
}

pub(super) fn rules_for_all(case: &Case<'_>) -> Option<Said> {
    let Filter { incoming_rules, outgoing_rules, .. } = &case.snapshot.filter;
    first_match((incoming_rules, outgoing_rules), SettingOf::default(), case)
}

pub(super) fn invalid_address(case: &Case<'_>) -> Option<Said> {
    has_invalid_address(case.flow)
        .then(|| plain(Permission::Deny, Layer::InvalidAddress, "nobody may talk to this address"))
}

pub(super) fn loopback(case: &Case<'_>) -> Option<Said> {
    let text = "this machine talks to itself";
    case.is_loopback.then(|| plain(Permission::Permit, Layer::Loopback, text))
}

pub(super) fn adopted_listener(case: &Case<'_>) -> Option<Said> {
    is_adopted(case, |what| matches!(what, AdoptedEntry::Listener { .. })).then(|| {
        let text = "the service was listening when Seawall first started";
        plain(Permission::Permit, Layer::AdoptedListener, text)
    })
}

/// The last step, which always speaks.
pub(super) fn by_default(case: &Case<'_>) -> Said {
    let (default_action, of) = case.setting(|app| app.default_action, |all| all.default_action);
    let (permission, text) = match default_action {
        DefaultAction::Permit => {
            (Permission::Permit, "default_action permits what nothing else decides")
        }
        DefaultAction::Block => {
            (Permission::Deny, "default_action blocks what nothing else permits")
        }
        DefaultAction::Ask => {
            (Permission::Ask, "default_action asks about what nothing else decides")
        }
    };
    (permission, of.reason(Layer::DefaultAction, text))
}

pub(super) fn built_in_profile(case: &Case<'_>) -> Option<Said> {
    let AppPolicy { name, filter, .. } = case.app.built_in?;
    if case.flow.direction != Direction::Outbound || !case.snapshot.built_in_counts() {
        return None;
    }
    let (position, rule) = filter.outgoing_rules.first_match(&case.subject(), |_| true)?;
    let of = SettingOf { app: Some(name), ..SettingOf::default() };
    let text = "a built-in profile permits it";
    let rule = Some((position, rule.text.clone()));
    Some((Permission::Permit, Reason { rule, ..of.reason(Layer::BuiltIn, text) }))
}

/// The first that matches, of the incoming or of the outgoing rules.
fn first_match(
    (incoming, outgoing): (&Rules, &Rules),
    of: SettingOf<'_>,
    case: &Case<'_>,
) -> Option<Said> {
    let (rules, layer) = match case.flow.direction {
        Direction::Inbound => (incoming, Layer::IncomingRule),
        Direction::Outbound | Direction::Forwarded => (outgoing, Layer::OutgoingRule),
    };
    let subject = case.subject();
    let (position, rule) = rules.first_match(&subject, |rule| !spares_loopback(rule, case))?;
    let text = match rule.permission {
        Permission::Permit => "a rule permits it",
        Permission::Deny => "a rule denies it",
        Permission::Ask => "a rule has the user asked",
    };
    let rule_named = Some((position, rule.text.clone()));
    Some((rule.permission, Reason { rule: rule_named, ..of.reason(layer, text) }))
}

/// Whether a rule doesn't count because it would cut this machine off from itself without naming that.
pub(crate) fn spares_loopback(rule: &Rule, case: &Case<'_>) -> bool {
    case.is_loopback && rule.permission != Permission::Permit && !rule.entity.names_loopback()
}

fn has_invalid_address(flow: &Flow) -> bool {
    let is_invalid = |address| Scope::of(address) == Scope::Invalid;
    is_invalid(flow.remote())
        || (flow.direction == Direction::Forwarded && is_invalid(flow.initiator))
}

fn is_adopted(case: &Case<'_>, kind: impl Fn(&AdoptedEntry) -> bool) -> bool {
    let covers = |adopted: &Adopted| kind(&adopted.what) && adopted.what.covers(case.flow);
    case.snapshot.adopted.iter().any(covers)
}

fn plain(permission: Permission, layer: Layer, text: &'static str) -> Said {
    (permission, Reason::plain(layer, text))
}

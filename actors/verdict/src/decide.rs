//! What becomes of a connection: a pure function of the policy, the connection
//! and the app that it belongs to.
//!
//! The first step that speaks decides:
//!
//! 1. what always passes (`always`),
//! 2. connections that were established when Seawall first started,
//! 3. `block_inbound`, which never means loopback,
//! 4. `block_internet`, `block_lan`, `block_local`, both ways,
//! 5. the rules: incoming ones for inbound connections, outgoing ones for
//!    outbound and forwarded connections; the first that matches,
//! 6. addresses that nobody may talk to are denied,
//! 7. loopback passes,
//! 8. services that were listening when Seawall first started,
//! 9. `default_action`.
//!
//! Where the policy has an `[[app]]` for the connection's owner, each switch and
//! `default_action` is the app's if it says so, and else the one for all; the
//! app's rules are looked at before those for all of the same direction. The
//! order of steps is the same. Steps 1 and 2 don't depend on the app, so they
//! hold while nobody can tell whose connection it is ([`for_anyone`]).
//!
//! Force-blocks come before rules, so that a switch a user flips holds whatever
//! the rules say. Loopback is only cut by what names it: `block_local`, or a
//! rule about localhost or a loopback address; `- *` and `default_action` don't.
//!
//! A connection whose header is cut off can't be permitted by a rule that names
//! a port, and is denied by the first rule that might mean it.
//!
//! A forwarded connection is judged by the side that was called, as if the
//! container behind us were a program; `block_internet` and invalid addresses
//! count on either side, since the caller may be the stranger.

use std::sync::Arc;

use seawall_messages::policy::{
    Adopted, AdoptedEntry, AppFilter, AppPolicy, DefaultAction, Filter,
};
use seawall_messages::rule::{Permission, Rule};
use seawall_messages::{
    Action, Direction, Flow, Judgement, Layer, Lifetime, Reach, Reason, Scope, Snapshot, Transport,
};

use crate::always::{always_passes, may_be_dhcp};

/// What holds for a connection.
#[derive(Clone, Copy)]
struct Settings<'a> {
    app: Option<&'a AppPolicy>,
    all: &'a Filter,
}

/// A setting, and the app that it is from; `None` where it is the one for all.
type Said<'a, T> = (T, Option<&'a Arc<str>>);

/// Decides. `app` is the one that the connection's owner fits
/// ([`Snapshot::app_of`]), if any does.
pub fn decide(snapshot: &Snapshot, flow: &Flow, app: Option<&AppPolicy>) -> Judgement {
    let (permission, reason) =
        always_permitted(snapshot, flow).unwrap_or_else(|| permission_of(snapshot, flow, app));
    judgement(snapshot, flow, permission, reason)
}

/// The judgement of a connection that gets the same whosever it is: it always
/// passes, or was there when Seawall first started.
pub(crate) fn for_anyone(snapshot: &Snapshot, flow: &Flow) -> Option<Judgement> {
    let (permission, reason) = always_permitted(snapshot, flow)?;
    Some(judgement(snapshot, flow, permission, reason))
}

/// The judgement of a connection of which nobody could say whose it is, because
/// nobody answered: it may be the one that is forbidden.
pub(crate) fn for_unanswered(snapshot: &Snapshot, flow: &Flow) -> Judgement {
    let text = "it isn't known whose connection it is, because nobody answered in time";
    Judgement {
        action: action(Permission::Deny, flow),
        // The next attempt asks again.
        lifetime: Lifetime::Once,
        reason: Reason::plain(Layer::Unanswered, text),
        generation: snapshot.generation,
        reach: Reach::Flow,
    }
}

fn judgement(
    snapshot: &Snapshot,
    flow: &Flow,
    permission: Permission,
    reason: Reason,
) -> Judgement {
    Judgement {
        action: action(permission, flow),
        lifetime: lifetime(snapshot, flow),
        reason,
        generation: snapshot.generation,
        reach: reach(snapshot, flow),
    }
}

fn action(permission: Permission, flow: &Flow) -> Action {
    match (permission, flow.direction) {
        (Permission::Permit, _) => Action::Allow,
        (Permission::Deny, Direction::Inbound) => Action::Drop,
        (Permission::Deny, Direction::Outbound | Direction::Forwarded) => Action::Reject,
    }
}

fn plain(permission: Permission, layer: Layer, text: &'static str) -> (Permission, Reason) {
    (permission, Reason::plain(layer, text))
}

/// Steps 1 and 2.
fn always_permitted(snapshot: &Snapshot, flow: &Flow) -> Option<(Permission, Reason)> {
    if let Some(text) = always_passes(flow) {
        return Some(plain(Permission::Permit, Layer::AlwaysPasses, text));
    }
    is_adopted_session(snapshot, flow).then(|| {
        let text = "it was established when Seawall first started";
        plain(Permission::Permit, Layer::AdoptedSession, text)
    })
}

/// All other steps.
fn permission_of(
    snapshot: &Snapshot,
    flow: &Flow,
    app: Option<&AppPolicy>,
) -> (Permission, Reason) {
    use Permission::{Deny, Permit};
    let settings = Settings { app, all: &snapshot.filter };
    let is_loopback = is_loopback(flow);
    if let Some(reason) = force_block(settings, flow, is_loopback) {
        return (Deny, reason);
    }
    if let Some(decided) = by_rule(settings, flow, is_loopback) {
        return decided;
    }
    if has_invalid_address(flow) {
        return plain(Deny, Layer::InvalidAddress, "nobody may talk to this address");
    }
    if is_loopback {
        return plain(Permit, Layer::Loopback, "this machine talks to itself");
    }
    if is_adopted_listener(snapshot, flow) {
        let text = "the service was listening when Seawall first started";
        return plain(Permit, Layer::AdoptedListener, text);
    }
    let (default_action, of) = settings.say(|app| app.default_action, settings.all.default_action);
    let (permission, reason) = match default_action {
        DefaultAction::Permit => {
            plain(Permit, Layer::DefaultAction, "default_action permits what nothing else decides")
        }
        DefaultAction::Block => {
            plain(Deny, Layer::DefaultAction, "default_action blocks what nothing else permits")
        }
    };
    (permission, Reason { app: of.cloned(), ..reason })
}

impl<'a> Settings<'a> {
    /// The app's own setting, or else the one for all.
    fn say<T>(self, own: impl Fn(&AppFilter) -> Option<T>, all: T) -> Said<'a, T> {
        let own = self.app.and_then(|app| Some((own(&app.filter)?, Some(&app.name))));
        own.unwrap_or((all, None))
    }

    /// The reason of a switch that is on.
    fn block(
        self,
        own: impl Fn(&AppFilter) -> Option<bool>,
        all: bool,
        layer: Layer,
        text: &'static str,
    ) -> Option<Reason> {
        let (is_on, of) = self.say(own, all);
        is_on.then(|| Reason { app: of.cloned(), ..Reason::plain(layer, text) })
    }
}

/// A verdict for the rest of the flow, unless the policy wants to see every
/// packet or one packet says nothing about the next: ICMP messages other than
/// echo are no conversation, and a cut-off header may be another one next time.
fn lifetime(snapshot: &Snapshot, flow: &Flow) -> Lifetime {
    let is_conversation = match flow.transport {
        Transport::Ports { .. } | Transport::Portless => true,
        // Echo and its reply: RFC 792 and RFC 4443.
        Transport::Icmp { kind, .. } => match flow.responder.is_ipv4() {
            true => matches!(kind, 0 | 8),
            false => matches!(kind, 128 | 129),
        },
        Transport::Truncated => false,
    };
    if snapshot.permanent_verdicts && is_conversation { Lifetime::Flow } else { Lifetime::Packet }
}

/// Whether the verdict would be the same from any other port of the caller, be
/// it of the same process or of any. Not where a step looks at that port: DHCP, a socket that talks to itself,
/// and adopted sessions.
fn reach(snapshot: &Snapshot, flow: &Flow) -> Reach {
    let ends = (flow.initiator, flow.responder);
    let is_between_adopted_ends = |adopted: &Adopted| match &adopted.what {
        AdoptedEntry::Session { flow: session } => {
            ends == (session.initiator, session.responder)
                || ends == (session.responder, session.initiator)
        }
        AdoptedEntry::Listener { .. } => false,
    };
    let depends_on_port = flow.initiator == flow.responder
        || may_be_dhcp(flow)
        || snapshot.adopted.iter().any(is_between_adopted_ends);
    match (depends_on_port, snapshot.asks_for_apps()) {
        (true, _) => Reach::Flow,
        (false, true) => Reach::Process,
        (false, false) => Reach::Service,
    }
}

/// Steps 3 and 4.
fn force_block(settings: Settings<'_>, flow: &Flow, is_loopback: bool) -> Option<Reason> {
    let all = settings.all;
    if is_loopback {
        let text = "block_local denies connections of this machine with itself";
        return settings.block(|app| app.block_local, all.block_local, Layer::BlockLocal, text);
    }
    let remote = Scope::of(flow.remote());
    let is_inbound = flow.direction == Direction::Inbound;
    let caller_is_internet =
        || flow.direction == Direction::Forwarded && Scope::of(flow.initiator).is_internet();
    let is_internet = remote.is_internet() || caller_is_internet();
    let inbound = || {
        let text = "block_inbound denies what others open";
        settings.block(|app| app.block_inbound, all.block_inbound, Layer::BlockInbound, text)
    };
    let internet = || {
        let text = "block_internet denies the Internet";
        settings.block(|app| app.block_internet, all.block_internet, Layer::BlockInternet, text)
    };
    let lan = || {
        let text = "block_lan denies the LAN";
        settings.block(|app| app.block_lan, all.block_lan, Layer::BlockLan, text)
    };
    (is_inbound.then(inbound).flatten())
        .or_else(|| is_internet.then(internet).flatten())
        .or_else(|| remote.is_lan().then(lan).flatten())
}

/// Step 5: the app's rules, then those for all.
fn by_rule(settings: Settings<'_>, flow: &Flow, is_loopback: bool) -> Option<(Permission, Reason)> {
    let own = settings.app.and_then(|app| {
        let AppFilter { incoming_rules, outgoing_rules, .. } = &app.filter;
        let lists = (incoming_rules.as_slice(), outgoing_rules.as_slice());
        first_match(lists, Some(&app.name), flow, is_loopback)
    });
    let Filter { incoming_rules, outgoing_rules, .. } = settings.all;
    let lists = (incoming_rules.as_slice(), outgoing_rules.as_slice());
    own.or_else(|| first_match(lists, None, flow, is_loopback))
}

/// The first that matches, of the incoming or of the outgoing rules.
fn first_match(
    (incoming, outgoing): (&[Rule], &[Rule]),
    app: Option<&Arc<str>>,
    flow: &Flow,
    is_loopback: bool,
) -> Option<(Permission, Reason)> {
    let (rules, layer) = match flow.direction {
        Direction::Inbound => (incoming, Layer::IncomingRule),
        Direction::Outbound | Direction::Forwarded => (outgoing, Layer::OutgoingRule),
    };
    let applies = |rule: &Rule| {
        let spares =
            is_loopback && rule.permission == Permission::Deny && !rule.entity.names_loopback();
        !spares && rule.matches(flow)
    };
    let (position, rule) = (1..).zip(rules).find(|(_, rule)| applies(rule))?;
    let text = match rule.permission {
        Permission::Permit => "a rule permits it",
        Permission::Deny => "a rule denies it",
    };
    let rule_named = Some((position, rule.text.clone()));
    let reason = Reason { rule: rule_named, app: app.cloned(), ..Reason::plain(layer, text) };
    Some((rule.permission, reason))
}

/// Loopback addresses, or one address at both ends, whichever it is.
fn is_loopback(flow: &Flow) -> bool {
    flow.direction != Direction::Forwarded
        && (Scope::of(flow.remote()).is_localhost()
            || flow.initiator.to_canonical() == flow.responder.to_canonical())
}

fn has_invalid_address(flow: &Flow) -> bool {
    let is_invalid = |address| Scope::of(address) == Scope::Invalid;
    is_invalid(flow.remote())
        || (flow.direction == Direction::Forwarded && is_invalid(flow.initiator))
}

fn is_adopted_session(snapshot: &Snapshot, flow: &Flow) -> bool {
    snapshot.adopted.iter().any(|adopted| {
        matches!(adopted.what, AdoptedEntry::Session { .. }) && adopted.what.covers(flow)
    })
}

fn is_adopted_listener(snapshot: &Snapshot, flow: &Flow) -> bool {
    snapshot.adopted.iter().any(|adopted| {
        matches!(adopted.what, AdoptedEntry::Listener { .. }) && adopted.what.covers(flow)
    })
}

//! What becomes of a connection: a pure function of the policy and the connection.
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

use seawall_messages::policy::{Adopted, AdoptedEntry, DefaultAction};
use seawall_messages::rule::{Permission, Rule};
use seawall_messages::{
    Action, Direction, Flow, Judgement, Layer, Lifetime, Reach, Reason, Scope, Snapshot, Transport,
};

use crate::always::{always_passes, may_be_dhcp};

/// Decides.
pub fn decide(snapshot: &Snapshot, flow: &Flow) -> Judgement {
    let (permission, reason) = permission_of(snapshot, flow);
    let action = match (permission, flow.direction) {
        (Permission::Permit, _) => Action::Allow,
        (Permission::Deny, Direction::Inbound) => Action::Drop,
        (Permission::Deny, Direction::Outbound | Direction::Forwarded) => Action::Reject,
    };
    Judgement {
        action,
        lifetime: lifetime(snapshot, flow),
        reason,
        generation: snapshot.generation,
        reach: reach(snapshot, flow),
    }
}

fn permission_of(snapshot: &Snapshot, flow: &Flow) -> (Permission, Reason) {
    use Permission::{Deny, Permit};
    let plain = |permission, layer, text| (permission, Reason::plain(layer, text));

    if let Some(text) = always_passes(flow) {
        return plain(Permit, Layer::AlwaysPasses, text);
    }
    if is_adopted_session(snapshot, flow) {
        let text = "it was established when Seawall first started";
        return plain(Permit, Layer::AdoptedSession, text);
    }
    let is_loopback = is_loopback(flow);
    if let Some((layer, text)) = force_block(snapshot, flow, is_loopback) {
        return plain(Deny, layer, text);
    }
    if let Some(decided) = by_rule(snapshot, flow, is_loopback) {
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
    match snapshot.default_action {
        DefaultAction::Permit => {
            plain(Permit, Layer::DefaultAction, "default_action permits what nothing else decides")
        }
        DefaultAction::Block => {
            plain(Deny, Layer::DefaultAction, "default_action blocks what nothing else permits")
        }
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

/// Whether the verdict would be the same from any other port of the caller.
/// Not where a step looks at that port: DHCP, a socket that talks to itself,
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
    if depends_on_port { Reach::Flow } else { Reach::Service }
}

fn force_block(
    snapshot: &Snapshot,
    flow: &Flow,
    is_loopback: bool,
) -> Option<(Layer, &'static str)> {
    if is_loopback {
        return snapshot.block_local.then_some((
            Layer::BlockLocal,
            "block_local denies connections of this machine with itself",
        ));
    }
    if snapshot.block_inbound && flow.direction == Direction::Inbound {
        return Some((Layer::BlockInbound, "block_inbound denies what others open"));
    }
    let remote = Scope::of(flow.remote());
    let caller_is_internet =
        || flow.direction == Direction::Forwarded && Scope::of(flow.initiator).is_internet();
    if snapshot.block_internet && (remote.is_internet() || caller_is_internet()) {
        return Some((Layer::BlockInternet, "block_internet denies the Internet"));
    }
    if snapshot.block_lan && remote.is_lan() {
        return Some((Layer::BlockLan, "block_lan denies the LAN"));
    }
    None
}

fn by_rule(snapshot: &Snapshot, flow: &Flow, is_loopback: bool) -> Option<(Permission, Reason)> {
    let (rules, layer) = match flow.direction {
        Direction::Inbound => (&snapshot.incoming_rules, Layer::IncomingRule),
        Direction::Outbound | Direction::Forwarded => {
            (&snapshot.outgoing_rules, Layer::OutgoingRule)
        }
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
    let reason = Reason { rule: Some((position, rule.text.clone())), ..Reason::plain(layer, text) };
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

//! How far a judgement holds: for how long, for whose connections, and to where. Pure.

use seawall_messages::policy::{Adopted, AdoptedEntry};
use seawall_messages::rule::Permission;
use seawall_messages::{
    Breadth, Direction, Flow, Layer, Lifetime, Reach, Scope, Snapshot, Transport,
};

use crate::always::may_be_dhcp;
use crate::decide::Case;

/// A verdict for the rest of the flow, unless the policy wants to see every
/// packet or one packet says nothing about the next: ICMP messages other than
/// echo are no conversation, and a cut-off header may be another one next time.
pub(crate) fn lifetime(snapshot: &Snapshot, flow: &Flow) -> Lifetime {
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
/// and adopted sessions. Nor where a rule looks at the user, for a process may have sockets of many, or at the
/// interface, for the same address may be reached through another one next.
pub(crate) fn reach(case: &Case<'_>) -> Reach {
    let Case { snapshot, flow, .. } = *case;
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
        || case.looks_beyond_addresses()
        || snapshot.adopted.iter().any(is_between_adopted_ends);
    match (depends_on_port, snapshot.asks_for_app_of(flow)) {
        (true, _) => Reach::Flow,
        (false, true) => Reach::Process,
        (false, false) => Reach::Service,
    }
}

/// How far the verdict would be the same for other addresses and ports. Only
/// what passes: an adopted session may pass where others don't.
pub(crate) fn breadth(case: &Case<'_>, permission: Permission, decided: Layer) -> Breadth {
    let flow = case.flow;
    let may_be_wide = permission == Permission::Permit
        && flow.direction == Direction::Outbound
        && !case.is_loopback
        && matches!(flow.transport, Transport::Ports { .. });
    if !may_be_wide {
        return Breadth::Service;
    }
    let scope = Scope::of(flow.remote());
    let built_in = case.app.built_in.filter(|_| decided == Layer::BuiltIn);
    let apps = case.app.iter().map(|(_, app)| app).chain(built_in);
    let of_apps = apps.map(|app| app.filter.outgoing_rules.breadth(scope));
    let of_all = case.snapshot.filter.outgoing_rules.breadth(scope);
    of_apps.min().map_or(of_all, |of_apps| of_apps.min(of_all))
}

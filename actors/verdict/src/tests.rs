//! The table of cases: one line for each way through the order of steps.

use std::net::IpAddr;

use seawall_messages::policy::{
    Adopted, AdoptedEntry, AppPolicy, DefaultAction, Filter, PolicyGeneration,
};
use seawall_messages::rule::{Entity, Permission, Rule, ScopeSet, Service, When};
use seawall_messages::{
    Action, Direction, Flow, Judgement, Layer, Lifetime, Protocol, Snapshot, Transport,
};

mod always;
mod apps;
mod asking;
mod component;
mod explain;
mod identify;
mod networks;
mod reach;
mod users;

/// What is judged, or holds while nobody answers.
fn decide(snapshot: &Snapshot, flow: &Flow, app: Option<&AppPolicy>) -> Judgement {
    crate::decide(snapshot, flow, app).judgement()
}

const ECHO: Transport = Transport::Icmp { kind: 8, code: 0, identifier: 7 };

fn ports(initiator: u16, responder: u16) -> Transport {
    Transport::Ports { initiator, responder }
}

fn icmp6(kind: u8) -> Transport {
    Transport::Icmp { kind, code: 0, identifier: 0 }
}

fn flow(
    direction: Direction,
    protocol: Protocol,
    initiator: &str,
    responder: &str,
    transport: Transport,
) -> Flow {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let (initiator, responder) = (address(initiator), address(responder));
    Flow { direction, protocol, initiator, responder, transport }
}

fn outbound(responder: &str) -> Flow {
    let own = if responder.contains(':') { "2001:db8::5" } else { "192.168.1.5" };
    flow(Direction::Outbound, Protocol::TCP, own, responder, ports(40_000, 443))
}

fn inbound(initiator: &str, port: u16) -> Flow {
    flow(Direction::Inbound, Protocol::TCP, initiator, "192.168.1.5", ports(40_000, port))
}

fn forwarded(initiator: &str, responder: &str) -> Flow {
    flow(Direction::Forwarded, Protocol::TCP, initiator, responder, ports(40_000, 443))
}

fn loopback() -> Flow {
    flow(Direction::Outbound, Protocol::TCP, "127.0.0.1", "127.0.0.1", ports(40_000, 443))
}

fn rule(permission: Permission, entity: Entity, service: Option<Service>) -> Rule {
    Rule {
        permission,
        entity,
        service,
        when: When::default(),
        only: None,
        is_active: true,
        text: "as written".into(),
    }
}

fn deny_all() -> Rule {
    rule(Permission::Deny, Entity::Any, None)
}

fn permit_all() -> Rule {
    rule(Permission::Permit, Entity::Any, None)
}

fn scopes(localhost: bool, lan: bool, internet: bool) -> Entity {
    Entity::Scopes(ScopeSet { localhost, lan, internet })
}

fn tcp(port: u16) -> Option<Service> {
    Some(Service { protocol: Some(Protocol::TCP), ports: Some((port, port)) })
}

/// Permits everything.
fn permits() -> Filter {
    Filter::permit_all()
}

/// Blocks what nothing permits.
fn blocks() -> Filter {
    Filter { default_action: DefaultAction::Block, ..permits() }
}

/// Generation 3.
fn under(filter: Filter) -> Snapshot {
    let generation = PolicyGeneration(3);
    Snapshot { generation, filter, permanent_verdicts: true, ..Snapshot::unloaded() }
}

fn open() -> Snapshot {
    under(permits())
}

fn closed() -> Snapshot {
    under(blocks())
}

/// Every switch and a rule against everything.
fn shut() -> Snapshot {
    under(Filter {
        block_inbound: true,
        block_lan: true,
        block_internet: true,
        block_local: true,
        outgoing_rules: vec![deny_all()].into(),
        incoming_rules: vec![deny_all()].into(),
        ..blocks()
    })
}

fn check(cases: &[(&str, Snapshot, Flow, Action, Layer)]) {
    for (name, snapshot, flow, action, layer) in cases {
        let judgement = decide(snapshot, flow, None);
        assert_eq!((judgement.action, judgement.reason.layer), (*action, *layer), "{name}: {flow}");
        assert_eq!(judgement.generation, snapshot.generation, "{name}");
        assert_eq!(decide(snapshot, flow, None), judgement, "{name}: twice the same");
    }
}

#[test]
fn the_first_step_that_speaks_decides() {
    use Action::{Allow, Drop, Reject};
    let with_inbound_blocked = || {
        under(Filter {
            block_inbound: true,
            incoming_rules: vec![permit_all()].into(),
            ..permits()
        })
    };
    let with_internet_blocked = || {
        under(Filter {
            block_internet: true,
            outgoing_rules: vec![permit_all()].into(),
            ..permits()
        })
    };
    let with_lan_blocked = || {
        under(Filter { block_lan: true, outgoing_rules: vec![permit_all()].into(), ..permits() })
    };
    let with_local_blocked = || {
        under(Filter { block_local: true, outgoing_rules: vec![permit_all()].into(), ..permits() })
    };
    check(&[
        ("default", open(), outbound("9.9.9.9"), Allow, Layer::DefaultAction),
        ("default", closed(), outbound("9.9.9.9"), Reject, Layer::DefaultAction),
        ("default", closed(), inbound("9.9.9.9", 22), Drop, Layer::DefaultAction),
        ("default", closed(), forwarded("172.17.0.2", "9.9.9.9"), Reject, Layer::DefaultAction),
        (
            "nothing is loaded",
            Snapshot::unloaded(),
            outbound("9.9.9.9"),
            Reject,
            Layer::DefaultAction,
        ),
        // Force-blocks before rules.
        ("inbound", with_inbound_blocked(), inbound("192.168.1.9", 22), Drop, Layer::BlockInbound),
        ("inbound", with_inbound_blocked(), outbound("192.168.1.9"), Allow, Layer::DefaultAction),
        (
            "inbound",
            with_inbound_blocked(),
            forwarded("9.9.9.9", "172.17.0.2"),
            Allow,
            Layer::DefaultAction,
        ),
        ("internet", with_internet_blocked(), outbound("9.9.9.9"), Reject, Layer::BlockInternet),
        ("internet", with_internet_blocked(), outbound("230.1.1.1"), Reject, Layer::BlockInternet),
        ("internet", with_internet_blocked(), inbound("9.9.9.9", 22), Drop, Layer::BlockInternet),
        ("internet", with_internet_blocked(), outbound("192.168.1.1"), Allow, Layer::OutgoingRule),
        (
            "internet",
            with_internet_blocked(),
            forwarded("9.9.9.9", "172.17.0.2"),
            Reject,
            Layer::BlockInternet,
        ),
        (
            "internet",
            with_internet_blocked(),
            forwarded("172.17.0.2", "9.9.9.9"),
            Reject,
            Layer::BlockInternet,
        ),
        ("LAN", with_lan_blocked(), outbound("192.168.1.1"), Reject, Layer::BlockLan),
        ("LAN", with_lan_blocked(), outbound("169.254.0.1"), Reject, Layer::BlockLan),
        ("LAN", with_lan_blocked(), outbound("224.0.0.251"), Reject, Layer::BlockLan),
        ("LAN", with_lan_blocked(), outbound("fe80::1"), Reject, Layer::BlockLan),
        ("LAN", with_lan_blocked(), inbound("192.168.1.9", 22), Drop, Layer::BlockLan),
        ("LAN", with_lan_blocked(), outbound("9.9.9.9"), Allow, Layer::OutgoingRule),
        (
            "a container is no LAN",
            with_lan_blocked(),
            forwarded("172.17.0.2", "9.9.9.9"),
            Allow,
            Layer::OutgoingRule,
        ),
        ("local", with_local_blocked(), loopback(), Reject, Layer::BlockLocal),
        ("local", with_local_blocked(), outbound("192.168.1.5"), Reject, Layer::BlockLocal),
        ("local", with_local_blocked(), outbound("192.168.1.1"), Allow, Layer::OutgoingRule),
        // Addresses that are none, unless a rule says otherwise.
        ("invalid", open(), outbound("192.0.2.1"), Reject, Layer::InvalidAddress),
        ("invalid", open(), inbound("240.0.0.1", 22), Drop, Layer::InvalidAddress),
        ("invalid", open(), forwarded("192.0.2.1", "9.9.9.9"), Reject, Layer::InvalidAddress),
        (
            "invalid, permitted",
            under(Filter { outgoing_rules: vec![permit_all()].into(), ..permits() }),
            outbound("192.0.2.1"),
            Allow,
            Layer::OutgoingRule,
        ),
    ]);
}

#[test]
fn loopback_is_only_cut_by_what_names_it() {
    use Action::{Allow, Reject};
    let rules = |rules: Vec<Rule>| under(Filter { outgoing_rules: rules.into(), ..blocks() });
    let deny = |entity| rules(vec![rule(Permission::Deny, entity, None)]);
    let address = |text: &str| Entity::Address(text.parse().expect("an address"));
    let network = |text: &str| Entity::Network(text.parse().expect("a network"));
    let own_address = outbound("192.168.1.5");
    check(&[
        ("default", closed(), loopback(), Allow, Layer::Loopback),
        ("own address", closed(), own_address, Allow, Layer::Loopback),
        ("- *", deny(Entity::Any), loopback(), Allow, Layer::Loopback),
        ("- LAN", deny(scopes(false, true, false)), own_address, Allow, Layer::Loopback),
        ("- 0.0.0.0/0", deny(network("0.0.0.0/0")), loopback(), Allow, Layer::Loopback),
        ("- Localhost", deny(scopes(true, false, false)), loopback(), Reject, Layer::OutgoingRule),
        ("- 127.0.0.1", deny(address("127.0.0.1")), loopback(), Reject, Layer::OutgoingRule),
        ("- 127.0.0.2", deny(address("127.0.0.2")), loopback(), Allow, Layer::Loopback),
        ("- 127.0.0.0/8", deny(network("127.0.0.0/8")), loopback(), Reject, Layer::OutgoingRule),
        ("+ *", rules(vec![permit_all()]), loopback(), Allow, Layer::OutgoingRule),
        (
            "block_inbound",
            under(Filter { block_inbound: true, ..blocks() }),
            Flow { direction: Direction::Inbound, ..loopback() },
            Allow,
            Layer::Loopback,
        ),
    ]);
}

#[test]
fn rules_are_read_from_the_top_and_named_in_the_reason() {
    let lan_web = rule(Permission::Permit, scopes(false, true, false), tcp(443));
    let snapshot = under(Filter {
        outgoing_rules: vec![lan_web.clone(), deny_all(), permit_all()].into(),
        incoming_rules: vec![rule(Permission::Permit, Entity::Any, tcp(22))].into(),
        ..blocks()
    });
    let position = |flow| {
        let judgement = decide(&snapshot, &flow, None);
        (
            judgement.action,
            judgement.reason.layer,
            judgement.reason.rule.map(|(position, _)| position),
        )
    };
    let cases = [
        (outbound("192.168.1.1"), (Action::Allow, Layer::OutgoingRule, Some(1))),
        (outbound("9.9.9.9"), (Action::Reject, Layer::OutgoingRule, Some(2))),
        // Forwarded connections answer to the outgoing rules, about the side that was called.
        (forwarded("9.9.9.9", "172.17.0.2"), (Action::Allow, Layer::OutgoingRule, Some(1))),
        (forwarded("172.17.0.2", "9.9.9.9"), (Action::Reject, Layer::OutgoingRule, Some(2))),
        (inbound("9.9.9.9", 22), (Action::Allow, Layer::IncomingRule, Some(1))),
        (inbound("9.9.9.9", 23), (Action::Drop, Layer::DefaultAction, None)),
    ];
    for (flow, expected) in cases {
        assert_eq!(position(flow), expected, "{flow}");
    }
    let reason = decide(&snapshot, &outbound("192.168.1.1"), None).reason;
    assert_eq!(reason.rule, Some((1, lan_web.text)));
}

#[test]
fn a_header_that_is_cut_off_gets_no_permission_and_no_escape() {
    let cut = Flow { transport: Transport::Truncated, ..outbound("9.9.9.9") };
    let with =
        |rules: Vec<Rule>, base: Filter| under(Filter { outgoing_rules: rules.into(), ..base });
    let permit_web = rule(Permission::Permit, Entity::Any, tcp(443));
    let deny_web = rule(Permission::Deny, Entity::Any, tcp(443));
    let permit_tcp = rule(
        Permission::Permit,
        Entity::Any,
        Some(Service { protocol: Some(Protocol::TCP), ports: None }),
    );
    check(&[
        (
            "port permitted",
            with(vec![permit_web], blocks()),
            cut,
            Action::Reject,
            Layer::DefaultAction,
        ),
        ("port denied", with(vec![deny_web], permits()), cut, Action::Reject, Layer::OutgoingRule),
        (
            "protocol permitted",
            with(vec![permit_tcp], blocks()),
            cut,
            Action::Allow,
            Layer::OutgoingRule,
        ),
        (
            "everything permitted",
            with(vec![permit_all()], blocks()),
            cut,
            Action::Allow,
            Layer::OutgoingRule,
        ),
    ]);
}

#[test]
fn nobody_is_locked_out() {
    let session = inbound("192.168.1.9", 22);
    let listener = |address: &str, port| AdoptedEntry::Listener {
        protocol: Protocol::TCP,
        address: address.parse().expect("an address"),
        port,
    };
    let entries = [
        AdoptedEntry::Session { flow: session },
        listener("0.0.0.0", 80),
        listener("192.168.1.5", 443),
        listener("::", 8080),
    ];
    let adopted: Vec<Adopted> = (1..).zip(entries).map(|(id, what)| Adopted { id, what }).collect();
    let with = |base: Snapshot| Snapshot { adopted: adopted.clone(), ..base };
    let inbound_blocked = || under(Filter { block_inbound: true, ..permits() });
    let denied = || under(Filter { incoming_rules: vec![deny_all()].into(), ..permits() });
    let other = inbound("192.168.1.9", 2222);
    let elsewhere =
        Flow { responder: "10.0.0.1".parse().expect("an address"), ..inbound("192.168.1.9", 443) };
    let udp = Flow { protocol: Protocol::UDP, ..inbound("192.168.1.9", 80) };
    use Action::{Allow, Drop};
    check(&[
        ("a session beats all", with(shut()), session, Allow, Layer::AdoptedSession),
        (
            "another session doesn't",
            with(shut()),
            inbound("192.168.1.8", 22),
            Drop,
            Layer::BlockInbound,
        ),
        ("listener", with(closed()), inbound("9.9.9.9", 80), Allow, Layer::AdoptedListener),
        (
            "listener on one address",
            with(closed()),
            inbound("9.9.9.9", 443),
            Allow,
            Layer::AdoptedListener,
        ),
        ("not on another", with(closed()), elsewhere, Drop, Layer::DefaultAction),
        ("not over another protocol", with(closed()), udp, Drop, Layer::DefaultAction),
        (
            "an IPv6 listener takes no IPv4",
            with(closed()),
            inbound("9.9.9.9", 8080),
            Drop,
            Layer::DefaultAction,
        ),
        ("no listener", with(closed()), other, Drop, Layer::DefaultAction),
        (
            "block_inbound beats a listener",
            with(inbound_blocked()),
            inbound("9.9.9.9", 80),
            Drop,
            Layer::BlockInbound,
        ),
        (
            "a rule beats a listener",
            with(denied()),
            inbound("9.9.9.9", 80),
            Drop,
            Layer::IncomingRule,
        ),
    ]);
}

#[test]
fn a_verdict_stands_where_one_packet_speaks_for_the_next() {
    let with = |transport| Flow { transport, ..outbound("9.9.9.9") };
    let with_v6 = |transport| Flow { transport, ..outbound("2600::1") };
    let cases = [
        (outbound("9.9.9.9"), true, Lifetime::Flow),
        (outbound("9.9.9.9"), false, Lifetime::Packet),
        (with(Transport::Portless), true, Lifetime::Flow),
        (with(Transport::Truncated), true, Lifetime::Packet),
        (with(ECHO), true, Lifetime::Flow),
        (with(icmp6(0)), true, Lifetime::Flow),
        (with(icmp6(3)), true, Lifetime::Packet),
        (with_v6(icmp6(128)), true, Lifetime::Flow),
        (with_v6(icmp6(8)), true, Lifetime::Packet),
        (with_v6(icmp6(1)), true, Lifetime::Packet),
    ];
    for (flow, permanent_verdicts, expected) in cases {
        for base in [open(), closed()] {
            let snapshot = Snapshot { permanent_verdicts, ..base };
            assert_eq!(decide(&snapshot, &flow, None).lifetime, expected, "{flow}");
        }
    }
}

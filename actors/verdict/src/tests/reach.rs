//! A judgement that speaks for every caller of a service must be the one that each of them would get.

use proptest::prelude::*;
use seawall_messages::policy::{Adopted, AdoptedEntry, AppFilter, Filter};
use seawall_messages::rule::{Entity, Permission};
use seawall_messages::{Breadth, Direction, Flow, Protocol, Reach, Scope, Snapshot, Transport};

use super::apps::app;
use super::explain::{any_app_filter, any_filter};
use super::{
    closed, decide, deny_all, flow, inbound, loopback, open, outbound, permit_all, permits, ports,
    rule, tcp, under,
};

/// With an established session between this machine and 9.9.9.9.
fn with_session() -> Snapshot {
    let session = AdoptedEntry::Session { flow: outbound("9.9.9.9") };
    Snapshot { adopted: vec![Adopted { id: 1, what: session }], ..closed() }
}

fn dhcp() -> Flow {
    flow(Direction::Outbound, Protocol::UDP, "192.168.1.5", "192.168.1.1", ports(68, 67))
}

#[test]
fn a_judgement_reaches_as_far_as_the_callers_port_does_not_matter() {
    let to_itself =
        flow(Direction::Outbound, Protocol::TCP, "192.168.1.5", "192.168.1.5", ports(9, 9));
    let cases = [
        ("plain", open(), outbound("1.1.1.1"), Reach::Service),
        ("denied", closed(), outbound("1.1.1.1"), Reach::Service),
        ("inbound", open(), inbound("1.1.1.1", 22), Reach::Service),
        ("DHCP", closed(), dhcp(), Reach::Flow),
        ("one address at both ends", open(), to_itself, Reach::Flow),
        ("ends of an adopted session", with_session(), outbound("9.9.9.9"), Reach::Flow),
        ("other ends", with_session(), outbound("1.1.1.1"), Reach::Service),
    ];
    for (name, snapshot, flow, expected) in cases {
        assert_eq!(decide(&snapshot, &flow, None).reach, expected, "{name}");
    }
}

#[test]
fn with_rules_of_apps_a_judgement_speaks_for_one_process() {
    let with_app = |snapshot| Snapshot { apps: vec![app("a", AppFilter::default())], ..snapshot };
    let cases = [
        ("plain", open(), outbound("1.1.1.1"), Reach::Process),
        ("DHCP", closed(), dhcp(), Reach::Flow),
        ("ends of an adopted session", with_session(), outbound("9.9.9.9"), Reach::Flow),
        ("other ends", with_session(), outbound("1.1.1.1"), Reach::Process),
    ];
    for (name, snapshot, flow, expected) in cases {
        let snapshot = with_app(snapshot);
        assert_eq!(decide(&snapshot, &flow, None).reach, expected, "{name}");
        assert_eq!(decide(&snapshot, &flow, snapshot.apps.first()).reach, expected, "{name}");
    }
}

#[test]
fn whoever_a_judgement_reaches_would_get_the_same() {
    let snapshots = [
        open(),
        closed(),
        with_session(),
        under(Filter {
            incoming_rules: vec![deny_all()].into(),
            outgoing_rules: vec![deny_all()].into(),
            ..permits()
        }),
    ];
    let callers = [0, 1, 9, 67, 68, 443, 546, 547, 1024, 40_000, 65_535];
    for snapshot in &snapshots {
        for first in [outbound("9.9.9.9"), outbound("1.1.1.1"), inbound("9.9.9.9", 443), dhcp()] {
            let judgement = decide(snapshot, &first, None);
            if judgement.reach == Reach::Flow {
                continue;
            }
            for initiator in callers {
                let Transport::Ports { responder, .. } = first.transport else { continue };
                let other = Flow { transport: ports(initiator, responder), ..first };
                assert_eq!(decide(snapshot, &other, None), judgement, "{other}");
            }
        }
    }
}

#[test]
fn a_judgement_is_as_broad_as_rules_do_not_look_closer() {
    use Breadth::{Port, Scope, Service};
    let with = |rules: Vec<_>| under(Filter { outgoing_rules: rules.into(), ..permits() });
    let address = |text: &str| Entity::Address(text.parse().expect("an address"));
    let about = |entity| with(vec![rule(Permission::Deny, entity, None), permit_all()]);
    let cases = [
        ("nothing forbids", open(), outbound("1.1.1.1"), Scope),
        ("in the LAN", open(), outbound("192.168.1.9"), Scope),
        ("denied", closed(), outbound("1.1.1.1"), Service),
        ("inbound", open(), inbound("1.1.1.1", 22), Service),
        ("loopback", open(), loopback(), Service),
        ("multicast", open(), outbound("224.0.0.9"), Service),
        ("its own link", open(), outbound("169.254.1.1"), Service),
        (
            "a rule about a port",
            with(vec![rule(Permission::Deny, Entity::Any, tcp(25))]),
            outbound("1.1.1.1"),
            Port,
        ),
        ("a rule about an address", about(address("9.9.9.9")), outbound("1.1.1.1"), Service),
        ("one as far away", about(address("192.168.1.1")), outbound("1.1.1.1"), Scope),
    ];
    for (name, snapshot, flow, expected) in cases {
        assert_eq!(decide(&snapshot, &flow, None).breadth, expected, "{name}");
    }
}

/// Addresses of all scopes that hosts have.
fn any_host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "192.168.1.5",
        "192.168.1.6",
        "10.0.0.1",
        "1.1.1.1",
        "9.9.9.9",
        "169.254.0.1",
    ])
}

proptest! {
    #[test]
    fn wherever_a_judgement_reaches_the_verdict_is_the_same(
        all in any_filter(),
        of_app in prop::option::of(any_app_filter()),
        (there, elsewhere) in (any_host(), any_host()),
        (port, other_port) in (prop::sample::select(vec![22_u16, 443]), prop::sample::select(vec![22_u16, 67, 443])),
    ) {
        let apps = of_app.map(|filter| app("a", filter)).into_iter().collect();
        let snapshot = Snapshot { apps, ..under(all) };
        let to = |responder, port| {
            flow(Direction::Outbound, Protocol::TCP, "192.168.1.5", responder, ports(40_000, port))
        };
        let app = snapshot.apps.first();
        let judged = decide(&snapshot, &to(there, port), app);
        let port = match judged.breadth {
            Breadth::Service => return Ok(()),
            Breadth::Port => port,
            Breadth::Scope => other_port,
        };
        let other = to(elsewhere, port);
        let is_like = Scope::of(other.responder) == Scope::of(to(there, port).responder)
            && other.initiator != other.responder;
        prop_assume!(is_like);
        let otherwise = decide(&snapshot, &other, app);
        prop_assert_eq!((otherwise.action, otherwise.lifetime, otherwise.reason), (judged.action, judged.lifetime, judged.reason));
    }
}

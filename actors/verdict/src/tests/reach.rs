//! A judgement that speaks for every caller of a service must be the one that each of them would get.

use seawall_messages::policy::{Adopted, AdoptedEntry, AppFilter, Filter};
use seawall_messages::{Direction, Flow, Protocol, Reach, Snapshot, Transport};

use super::apps::app;
use super::{closed, deny_all, flow, inbound, open, outbound, permits, ports, under};
use crate::decide;

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
            incoming_rules: vec![deny_all()],
            outgoing_rules: vec![deny_all()],
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

//! Two cables, one rule.

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path};
use lab::{Family, Seawall, Talk, World, eventually};

use super::{CUT, EASY, MOVED, PATIENCE, path};

fn inside(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.desk, address(World::DESK_INSIDE), &world.inner, address(World::INNER))
}

fn from_inside(world: &World, family: Family) -> Path<'_> {
    let there = inside(world, family);
    Path::new(there.to, there.destination, there.from, there.source)
}

fn through(world: &World, family: Family) -> Path<'_> {
    let address = |pair| World::address(pair, family);
    Path::new(&world.inner, address(World::INNER), &world.peer, address(World::PEER))
}

#[test]
fn a_rule_means_the_interface_that_leads_to_the_other_end() {
    let world = World::new();
    let policy = "[filter]\n\
        outgoing_rules = [\"- * TCP/7401 interface=inn*\", \"- * TCP/7402 interface=peer\"]\n\
        incoming_rules = [\"- * TCP/7401 interface=inner\"]\n";
    let _seawall = Seawall::on(&world.desk).policy(policy).start();
    for family in Family::BOTH {
        let paths = [
            path(&world, family),
            inside(&world, family),
            super::back(&world, family),
            from_inside(&world, family),
            through(&world, family),
        ];
        use Outcome::{Connected, Refused, Silence};
        // To 7401 and 7402, as each path is.
        let expected = [
            (Connected, Refused),
            (Refused, Connected),
            (Connected, Connected),
            (Silence, Connected),
            // Of what is forwarded, the side that was called counts.
            (Connected, Refused),
        ];
        for (path, expected) in paths.iter().zip(expected) {
            let _listeners = [7401, 7402].map(|port| path.listen(Kind::Tcp, port));
            let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
            assert_eq!((send(7401), send(7402)), expected, "{path:?}");
        }
    }
}

#[test]
fn a_new_rule_cuts_what_goes_through_its_interface_alone() {
    let world = World::new();
    let seawall = Seawall::on(&world.desk).start();
    for family in Family::BOTH {
        seawall.set_policy("");
        let mut kept = Talk::open(&path(&world, family), 7402);
        let mut cut = Talk::open(&inside(&world, family), 7402);
        for talk in [&mut kept, &mut cut] {
            talk.round_trip(EASY).expect("a round trip before the rule");
        }
        // Its interface is noted within a moment.
        eventually("both are listed", Duration::from_secs(5), || {
            let ports = |it: &seawall_messages::datapath::Connection| {
                it.flow.destination_port() == Some(7402) && it.live && it.interface.is_some()
            };
            seawall.connections().connections.iter().filter(|it| ports(it)).count() >= 2
        });
        seawall.set_policy("[filter]\noutgoing_rules = [\"- * TCP interface=inner\"]\n");
        assert!(cut.caller_sees_the_end(CUT), "{family:?}: what goes there is cut");
        kept.round_trip(EASY).expect("what goes elsewhere goes on");
    }
}

#[test]
fn an_interface_that_comes_later_is_meant_too() {
    let world = World::new();
    let policy = "[filter]\noutgoing_rules = [\"- * TCP/7401 interface=late*\"]\n";
    let seawall = Seawall::on(&world.desk).policy(policy).start();
    let before = seawall.verb(&["status", "--json"]).json()["policy"]["generation"].as_u64();
    let late = world.another_host("late");
    World::cable((&world.desk, "late0"), (&late, "desk"));
    world.desk.ip("addr add 10.77.3.1/24 dev late0\n");
    late.ip("addr add 10.77.3.2/24 dev desk\n");
    let address = |text: &str| text.parse().expect("an address");
    let there = Path::new(&world.desk, address("10.77.3.1"), &late, address("10.77.3.2"));
    let _listeners = [7401, 7402].map(|port| there.listen(Kind::Tcp, port));
    let send = |port| there.send(Kind::Tcp, port, PATIENCE).outcome;
    // Before anybody looked at it and after: never let through.
    assert_eq!(send(7401), Outcome::Refused, "in doubt it is denied");
    eventually("the policy knows it", MOVED, || {
        seawall.verb(&["status", "--json"]).json()["policy"]["generation"].as_u64() > before
    });
    assert_eq!((send(7401), send(7402)), (Outcome::Refused, Outcome::Connected));
}

//! A flow whose program is gone, taken over by another one: the same addresses and ports, within a second.

use std::time::Duration;

use lab::process::run;
use lab::seawall::{initiator_port, process};
use lab::{Deed, Family, Held, Programs, Seawall, Serve, World, eventually, until};
use seawall_messages::Protocol;
use seawall_messages::keeper::Layout;
use seawall_platform::linux::conntrack::Conntrack;
use seawall_platform::linux::layout::{Epoch, MarkAction, label};

use super::common::{POLICY, at, runs};
use super::leaks::{ALLOWED, arrived, count_arrivals};

/// The source port of all of them, out of the range that the kernel draws from.
const FROM_PORT: u16 = 9001;
const LISTED: Duration = Duration::from_secs(15);
/// How long a datagram may take to be judged and to arrive.
const ARRIVES: Duration = Duration::from_secs(5);

const DEEDS: [(Deed, &str); 3] =
    [(Deed::Connect, "tcp"), (Deed::SendTo, "udp"), (Deed::ConnectAndSend, "udp")];

#[test]
fn a_flow_taken_over_is_its_new_programs() {
    let world = World::new();
    let programs = Programs::new();
    let to = at(Family::V4, ALLOWED);
    let _serve = Serve::start(&world.peer, &[to], &[to]);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let start = |number, deed| {
        let command = world.desk.command(&programs.app(number).to_string_lossy());
        Held::start_from(command, deed, to, FROM_PORT)
    };
    for (round, (deed, _)) in DEEDS.into_iter().enumerate() {
        let (first, second) = (2 * round, 2 * round + 1);
        start(first, deed).end();
        let _second = start(second, deed);
        let mut seen = None;
        let is_the_seconds = until(LISTED, || {
            let newest = seawall.connections().connections.into_iter().find(|connection| {
                connection.flow.protocol == deed.protocol()
                    && initiator_port(&connection.flow) == Some(FROM_PORT)
            });
            seen = newest;
            let process = seen.as_ref().and_then(process);
            process.filter(|process| runs(process, &programs.app(second))).map(|_| ())
        });
        assert!(is_the_seconds.is_some(), "{deed:?} is not the second program's: {seen:#?}");
    }
}

/// Whether any verdict stands for a datagram flow from this port. Of TCP the next connection starts afresh.
fn has_standing_verdict(from_port: u16) -> bool {
    let layout = Layout::default();
    let entries = Conntrack::open().and_then(|mut conntrack| conntrack.list());
    entries.expect("tracked flows can be listed").iter().any(|entry| {
        let stands = |action| {
            (1..=7).filter_map(Epoch::new).any(|epoch| {
                let bit = 1_u128 << label(&layout, action, epoch);
                entry.labels.is_some_and(|labels| labels & bit != 0)
            })
        };
        entry.original.protocol == Protocol::UDP
            && entry.original.source_port == from_port
            && (stands(MarkAction::Allow) || stands(MarkAction::Reject))
    })
}

#[test]
fn a_denied_program_gets_nothing_through_by_taking_over_an_allowed_flow() {
    takes_over("", &DEEDS);
}

#[test]
fn nor_does_it_by_tcp_where_every_packet_is_judged() {
    takes_over("[filter]\npermanent_verdicts = false\n", &DEEDS[..1]);
}

fn takes_over(filter: &str, deeds: &[(Deed, &str)]) {
    let world = World::new();
    let programs = Programs::new();
    let denied = programs.copy("denied-00");
    let to = at(Family::V4, ALLOWED);
    let _serve = Serve::start(&world.peer, &[to], &[to]);
    count_arrivals(&world.peer);
    let _seawall = Seawall::on(&world.desk)
        .policy(&format!(
            "{filter}[[app]]\nmatch = {{ path = \"{}\" }}\noutgoing_rules = [\"- *\"]\n",
            denied.display()
        ))
        .start();
    for &(deed, protocol) in deeds {
        let before = arrived(&world.peer, protocol, ALLOWED);
        let command = world.desk.command(&programs.app(1).to_string_lossy());
        Held::start_from(command, deed, to, FROM_PORT).end();
        eventually("the allowed program gets through", ARRIVES, || {
            arrived(&world.peer, protocol, ALLOWED) > before
        });
        let allowed = arrived(&world.peer, protocol, ALLOWED);
        // Some milliseconds after its socket closed, the verdict is taken back.
        eventually("the allowed program's verdict is taken back", ARRIVES, || {
            world.desk.inside(|| !has_standing_verdict(FROM_PORT))
        });
        for _ in 0..10 {
            let mut command = world.desk.command(&denied.to_string_lossy());
            command.args(["hold", deed.as_str(), &to.to_string(), &FROM_PORT.to_string()]);
            let finished = run(&mut command);
            assert!(finished.ok(), "{deed:?}: {finished:?}");
        }
        // What comes through after them was judged after them.
        let _last = Held::on(&world.desk, &programs.app(1), deed, to);
        eventually("the last one gets through", ARRIVES, || {
            arrived(&world.peer, protocol, ALLOWED) > allowed
        });
        assert_eq!(arrived(&world.peer, protocol, ALLOWED), allowed + 1, "{deed:?} leaked");
    }
}

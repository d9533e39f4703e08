//! A flow whose program is gone, taken over by another one: the same addresses and ports, within a second.

use std::path::Path;
use std::time::Duration;

use lab::process::run;
use lab::seawall::{initiator_port, process};
use lab::{Deed, Family, Held, Programs, Seawall, Serve, World, eventually, until};
use seawall_messages::datapath::Connection;
use seawall_messages::{Action, Protocol};
use seawall_platform::linux::conntrack::Conntrack;

use super::common::{POLICY, at, runs};
use super::leaks::{ALLOWED, arrived, count_arrivals};

/// The source port of all of them, out of the range that the kernel draws from.
const FROM_PORT: u16 = 9001;
const LISTED: Duration = Duration::from_secs(15);
/// How long a datagram may take to be judged and to arrive.
const ARRIVES: Duration = Duration::from_secs(5);

const DEEDS: [(Deed, &str); 3] =
    [(Deed::Connect, "tcp"), (Deed::SendTo, "udp"), (Deed::ConnectAndSend, "udp")];
/// Those whose socket the tables name exactly, however young it is.
const FOUND_BY_TABLES: [(Deed, &str); 2] = [(Deed::Connect, "tcp"), (Deed::ConnectAndSend, "udp")];

#[test]
fn a_flow_taken_over_is_its_new_programs() {
    is_its_new_programs(None, &DEEDS);
}

#[test]
fn a_flow_taken_over_is_its_new_programs_by_the_tables_too() {
    is_its_new_programs(BY_TABLES, &FOUND_BY_TABLES);
}

fn is_its_new_programs(environment: Option<(&str, &str)>, deeds: &[(Deed, &str)]) {
    let world = World::new();
    let programs = Programs::new();
    let to = at(Family::V4, ALLOWED);
    let _serve = Serve::start(&world.peer, &[to], &[to]);
    let mut seawall = Seawall::on(&world.desk).policy(POLICY);
    if let Some((name, value)) = environment {
        seawall = seawall.environment(name, value);
    }
    let seawall = seawall.start();
    let start = |number, deed| {
        let command = world.desk.command(&programs.app(number).to_string_lossy());
        Held::start_from(command, deed, to, FROM_PORT)
    };
    for (round, (deed, _)) in deeds.iter().copied().enumerate() {
        let (first, second) = (2 * round, 2 * round + 1);
        start(first, deed).end();
        let _second = start(second, deed);
        let mut seen = None;
        let is_the_seconds = until(LISTED, || {
            seen = newest(&seawall, deed);
            let process = seen.as_ref().and_then(process);
            process.filter(|process| runs(process, &programs.app(second))).map(|_| ())
        });
        assert!(is_the_seconds.is_some(), "{deed:?} is not the second program's: {seen:#?}");
    }
}

/// The latest connection from that port.
fn newest(seawall: &Seawall, deed: Deed) -> Option<Connection> {
    seawall.connections().connections.into_iter().find(|connection| {
        connection.flow.protocol == deed.protocol()
            && initiator_port(&connection.flow) == Some(FROM_PORT)
    })
}

/// Whether a datagram flow from this port is tracked: a verdict that is taken back has none.
fn is_tracked(from_port: u16) -> bool {
    let entries = Conntrack::open().and_then(|mut conntrack| conntrack.list());
    entries.expect("tracked flows can be listed").iter().any(|entry| {
        entry.original.protocol == Protocol::UDP && entry.original.source_port == from_port
    })
}

/// How verdicts are kept, and owners found.
#[derive(Clone, Copy)]
struct How {
    filter: &'static str,
    environment: Option<(&'static str, &'static str)>,
}

const STANDING: How = How { filter: "", environment: None };
const EVERY_PACKET: How =
    How { filter: "[filter]\npermanent_verdicts = false\n", environment: None };
/// Without the kernel's notes.
const BY_TABLES: Option<(&str, &str)> = Some(("SEAWALL_ATTRIBUTION", "socket-tables"));

impl How {
    fn is_by_tables(&self) -> bool {
        self.environment.is_some()
    }
}

#[test]
fn a_denied_program_gets_nothing_through_by_taking_over_an_allowed_flow() {
    takes_over(STANDING, &DEEDS);
}

#[test]
fn nor_does_it_where_every_packet_is_judged() {
    takes_over(EVERY_PACKET, &DEEDS);
}

#[test]
fn nor_where_the_kernel_takes_no_notes() {
    for how in [STANDING, EVERY_PACKET] {
        takes_over(How { environment: BY_TABLES, ..how }, &FOUND_BY_TABLES);
    }
}

fn takes_over(how: How, deeds: &[(Deed, &str)]) {
    let world = World::new();
    let programs = Programs::new();
    let denied = programs.copy("denied-00");
    let to = Family::BOTH.map(|family| at(family, ALLOWED));
    let _serve = Serve::start(&world.peer, &to, &to);
    count_arrivals(&world.peer);
    let mut seawall = Seawall::on(&world.desk).policy(&format!(
        "{}[[app]]\nmatch = {{ path = \"{}\" }}\noutgoing_rules = [\"- *\"]\n",
        how.filter,
        denied.display()
    ));
    if let Some((name, value)) = how.environment {
        seawall = seawall.environment(name, value);
    }
    let seawall = seawall.start();
    for &(deed, protocol) in deeds {
        for to in to {
            let what = format!("{deed:?} to {to}");
            let arrived = || arrived(&world.peer, protocol, ALLOWED);
            let start = |program: &Path| {
                let command = world.desk.command(&program.to_string_lossy());
                Held::start_from(command, deed, to, FROM_PORT)
            };
            let gets_through = |who: &str, before: u64| {
                eventually(&format!("{what}: {who} gets through"), ARRIVES, || arrived() > before);
            };
            let before = arrived();
            let mut first = start(&programs.app(1));
            if how.is_by_tables() {
                // Whose it is can't be found once the program is gone.
                gets_through("the allowed program", before);
            }
            first.end();
            gets_through("the allowed program", before);
            let allowed = arrived();
            // Some milliseconds after its socket closed, the verdict is taken back.
            if how.is_by_tables() || how.filter.is_empty() {
                eventually(&format!("{what}: the verdict is taken back"), ARRIVES, || {
                    world.desk.inside(|| !is_tracked(FROM_PORT))
                });
            }
            for _ in 0..10 {
                if how.is_by_tables() && deed.protocol() == Protocol::UDP {
                    let _held = start(&denied);
                    eventually(&format!("{what}: the denied one is told of"), LISTED, || {
                        newest(&seawall, deed).is_some_and(|it| it.action != Action::Allow)
                    });
                    continue;
                }
                let mut command = world.desk.command(&denied.to_string_lossy());
                command.args(["hold", deed.as_str(), &to.to_string(), &FROM_PORT.to_string()]);
                let finished = run(&mut command);
                assert!(finished.ok(), "{what}: {finished:?}");
            }
            // What comes through after them was judged after them. It takes over what was denied.
            start(&programs.app(1)).end();
            gets_through("the allowed program that comes after", allowed);
            assert_eq!(arrived(), allowed + 1, "{what} leaked");
        }
    }
}

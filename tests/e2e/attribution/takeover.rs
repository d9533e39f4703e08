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

/// How verdicts are kept, and owners found.
#[derive(Clone, Copy)]
struct How {
    every_packet_is_judged: bool,
    by_tables: bool,
}

const STANDING: How = How { every_packet_is_judged: false, by_tables: false };
const EVERY_PACKET: How = How { every_packet_is_judged: true, by_tables: false };

impl How {
    /// Without the kernel's notes.
    fn by_tables(self) -> Self {
        Self { by_tables: true, ..self }
    }

    fn start<'a>(self, world: &'a World, policy: &str) -> Seawall<'a> {
        let filter = match self.every_packet_is_judged {
            true => "[filter]\npermanent_verdicts = false\n",
            false => "",
        };
        let seawall = Seawall::on(&world.desk).policy(&format!("{filter}{policy}"));
        match self.by_tables {
            true => seawall.environment("SEAWALL_ATTRIBUTION", "socket-tables").start(),
            false => seawall.start(),
        }
    }
}

#[test]
fn a_flow_taken_over_is_its_new_programs() {
    is_its_new_programs(STANDING, &DEEDS);
}

#[test]
fn a_flow_taken_over_is_its_new_programs_by_the_tables_too() {
    is_its_new_programs(STANDING.by_tables(), &FOUND_BY_TABLES);
}

fn is_its_new_programs(how: How, deeds: &[(Deed, &str)]) {
    let world = World::new();
    let programs = Programs::new();
    let to = at(Family::V4, ALLOWED);
    let _serve = Serve::start(&world.peer, &[to], &[to]);
    let seawall = how.start(&world, POLICY);
    let start = |number, deed| {
        let command = world.desk.command(&programs.app(number).to_string_lossy());
        Held::start_from(command, deed, to, FROM_PORT)
    };
    let is_listed_as = |number, deed| {
        let mut seen = None;
        let is_it = until(LISTED, || {
            seen = newest(&seawall, deed);
            let process = seen.as_ref().and_then(process);
            process.filter(|process| runs(process, &programs.app(number))).map(|_| ())
        });
        assert!(is_it.is_some(), "{deed:?} is not the program's: {seen:#?}");
    };
    for (round, (deed, _)) in deeds.iter().copied().enumerate() {
        let (first, second) = (2 * round, 2 * round + 1);
        let mut held = start(first, deed);
        if how.by_tables {
            // Whose it is can't be found once the program is gone.
            is_listed_as(first, deed);
        }
        held.end();
        if how.by_tables {
            is_taken_back(&world, &format!("{deed:?}"));
        }
        let _second = start(second, deed);
        is_listed_as(second, deed);
    }
}

/// The latest connection from that port.
fn newest(seawall: &Seawall, deed: Deed) -> Option<Connection> {
    seawall.connections().connections.into_iter().find(|connection| {
        connection.flow.protocol == deed.protocol()
            && initiator_port(&connection.flow) == Some(FROM_PORT)
    })
}

/// Waits until no datagram flow from that port is tracked: some milliseconds after a socket closed its verdict is taken back.
#[track_caller]
fn is_taken_back(world: &World, what: &str) {
    eventually(&format!("{what}: the verdict is taken back"), ARRIVES, || {
        let entries = world.desk.inside(|| Conntrack::open().and_then(|mut it| it.list()));
        !entries.expect("tracked flows can be listed").iter().any(|entry| {
            entry.original.protocol == Protocol::UDP && entry.original.source_port == FROM_PORT
        })
    });
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
        takes_over(how.by_tables(), &FOUND_BY_TABLES);
    }
}

fn takes_over(how: How, deeds: &[(Deed, &str)]) {
    let world = World::new();
    let programs = Programs::new();
    let denied = programs.copy("denied-00");
    let to = Family::BOTH.map(|family| at(family, ALLOWED));
    let _serve = Serve::start(&world.peer, &to, &to);
    count_arrivals(&world.peer);
    let denied_path = denied.display();
    let policy =
        format!("[[app]]\nmatch = {{ path = \"{denied_path}\" }}\noutgoing_rules = [\"- *\"]\n");
    let seawall = how.start(&world, &policy);
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
            if how.by_tables {
                // Whose it is can't be found once the program is gone.
                gets_through("the allowed program", before);
            }
            first.end();
            gets_through("the allowed program", before);
            let allowed = arrived();
            // A standing verdict, and what is remembered of nobody known, lasts for some milliseconds more.
            if how.by_tables || !how.every_packet_is_judged {
                is_taken_back(&world, &what);
            }
            for _ in 0..10 {
                if how.by_tables && deed.protocol() == Protocol::UDP {
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

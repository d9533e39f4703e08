//! Prompts in the monitor: told of, listed, answered by a key.

use lab::{Running, Seawall, World, eventually};
use seawall_messages::prompt::{Covers, Prompts};

use super::common::{SOON, is_as_kept, is_given_back, monitor, peer};

/// Shells are asked about, all others pass.
const ASKED: &str = "[[app]]\nmatch = { path = \"/usr/bin/bash\" }\ndefault_action = \"ask\"\n";
const PORT: u16 = 7001;
const OTHER_PORT: u16 = 7002;

/// A shell that connects, says so, and holds the connection.
fn attempt(world: &World, port: u16) -> Running {
    let script = format!("exec 3<>/dev/tcp/{}/{port} && echo connected && read", peer(port).ip());
    world.desk.start("bash", &["-c", &script])
}

#[track_caller]
fn connects(program: &Running, what: &str) {
    assert_eq!(program.line(SOON).as_deref(), Some("connected"), "{what}");
}

#[track_caller]
fn is_refused(program: &mut Running, what: &str) {
    assert!(program.wait(SOON).is_some_and(|status| !status.success()), "{what}");
}

fn prompts(seawall: &Seawall<'_>) -> Prompts {
    let answer = seawall.verb(&["prompts", "--json"]);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("prompts: {error}"))
}

#[test]
fn prompts_are_shown_and_answered_by_a_key() {
    let world = World::new();
    let _servers = [PORT, OTHER_PORT].map(|port| world.peer.listen(peer(port)));
    let seawall = Seawall::on(&world.desk).policy(ASKED).start();
    let pane = monitor(&seawall, (100, 20));
    pane.shows_all(&["PROTECTED"]);
    let first = attempt(&world, PORT);
    pane.shows_all(&["1 wait for an answer: p shows them"]);
    pane.keys(&["p"]);
    is_as_kept("prompts", &pane.shows_all(&["1 wait, 0 missed", "to 10.77.1.2:7001 TCP", "once:"]));
    // Whoever moves has looked.
    pane.keys(&["Down", "a"]);
    connects(&first, "a key allowed it");
    pane.shows_all(&["allowed; 1 connection waited for it"]);

    // All at the port, for a time.
    let mut second = attempt(&world, PORT);
    pane.shows_all(&["1 wait, 0 missed", "usual"]);
    pane.keys(&["Home", "e", "e", "e"]);
    pane.shows_all(&["to port 7001, whichever key"]);
    pane.keys(&["W"]);
    is_refused(&mut second, "a key blocked it");
    pane.shows_all(&["blocked; 1 connection waited for it", "block to port 7001"]);
    is_refused(&mut attempt(&world, PORT), "the next, too");
    let of_port = |seawall: &Seawall<'_>| {
        prompts(seawall).answers.iter().any(|given| given.covers == Covers::Port(PORT))
    };
    assert!(of_port(&seawall));

    // Another port is asked about, and dismissed.
    let mut third = attempt(&world, OTHER_PORT);
    pane.shows_all(&["to 10.77.1.2:7002 TCP"]);
    pane.keys(&["Home", "d"]);
    is_refused(&mut third, "it was dismissed");
    pane.shows_all(&["dismissed"]);
    // An answer is found by the filter, and taken back.
    pane.keys(&["/"]);
    pane.keys(&["port 7001"]);
    pane.keys(&["Enter", "Home", "d"]);
    eventually("the answer is taken back", SOON, || !of_port(&seawall));
    pane.shows_all(&["nothing here has \"port 7001\" in it"]);
    pane.keys(&["Escape"]);
    pane.shows("all that counts", |text| !text.contains("filter:"));
    pane.keys(&["p"]);
    pane.shows_all(&["LAST MINUTE"]);
    pane.keys(&["q"]);
    is_given_back(&pane);
}

//! Without the kernel's notes: a program that calls again and again is soon known where its packets are met, and
//! what it becomes is not.

use std::process::Output;

use lab::seawall::sample;
use lab::{Family, Host, Programs, Seawall, Serve, World};

use super::common::at;
use super::leaks::{ALLOWED, DENIED, arrived, count_arrivals};

/// Calls so often, one after the other, and tells of each whether it got through; then becomes another program that
/// does the same with what is left of the arguments.
const SCRIPT: &str = r"
import os, socket, sys
count, address, port, *rest = sys.argv[2:]
for _ in range(int(count)):
    made = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    made.settimeout(5)
    try:
        made.connect((address, int(port)))
        print('through', flush=True)
    except OSError:
        print('refused', flush=True)
    made.close()
if rest:
    os.execv(rest[0], [rest[0], '-c', sys.argv[1], sys.argv[1], *rest[1:]])
";

/// Calls of each program.
const CALLS: usize = 20;
/// Those of the first program that may have to be asked about.
const ASKED: f64 = 6.0;

/// The allowed program calls, becomes the denied one, and calls elsewhere; in all namespaces as it is started.
fn run(desk: &Host, programs: &Programs, family: Family) -> Output {
    let [allowed, denied] = [0, 1].map(|number| programs.forker(number).display().to_string());
    let mut command = desk.command(&allowed);
    command.env("PYTHONHOME", &programs.interpreter().home).args(["-c", SCRIPT, SCRIPT]);
    let calls = CALLS.to_string();
    let to = [ALLOWED, DENIED].map(|port| at(family, port));
    let words = to.map(|to| [calls.clone(), to.ip().to_string(), to.port().to_string()]);
    let [first, second] = words;
    command.args(first).arg(&denied).args(second).output().expect("it runs")
}

#[test]
fn what_a_known_program_becomes_is_judged_for_itself() {
    let world = World::new();
    let programs = Programs::new();
    let to: Vec<_> =
        [DENIED, ALLOWED].iter().flat_map(|port| Family::BOTH.map(|f| at(f, *port))).collect();
    let _serve = Serve::start(&world.peer, &to, &to);
    count_arrivals(&world.peer);
    let denied = programs.forker(1);
    let seawall = Seawall::on(&world.desk)
        .environment("SEAWALL_ATTRIBUTION", "socket-tables")
        .policy(&format!(
            "[[app]]\nmatch = {{ path = \"{}\" }}\noutgoing_rules = [\"- *\"]\n",
            denied.display()
        ))
        .start();
    let asked = || {
        sample(&seawall.metrics(), "seawall_verdict_identified_total{from=\"asked\"}")
            .unwrap_or_default()
    };
    for family in Family::BOTH {
        let before = asked();
        let output = run(&world.desk, &programs, family);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = told.lines().collect();
        let expected = [["through"; CALLS], ["refused"; CALLS]].concat();
        assert_eq!(lines, expected, "{family:?}: {}", String::from_utf8_lossy(&output.stderr));
        let asked = asked() - before;
        assert!(asked <= 2.0 * ASKED, "{asked} of {} calls were asked about", 2 * CALLS);
    }
    assert_eq!(arrived(&world.peer, "tcp", DENIED), 0);
    assert_eq!(arrived(&world.peer, "tcp", ALLOWED), 2 * CALLS as u64);
}

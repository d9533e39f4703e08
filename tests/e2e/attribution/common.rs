//! What the tests of attribution share: where programs connect to, and the policy that makes owners matter.

use std::net::SocketAddr;
use std::path::Path;

use lab::{Family, Serve, World};
use seawall_messages::process::Process;
use serde::Serialize;

/// Ports in one round. A source port drawn twice matters less the more there are.
const PORTS: u16 = 8;
const FIRST_PORT: u16 = 7001;

/// Says something of a program that nobody runs, so that every connection is
/// attributed before it is judged.
pub(crate) const POLICY: &str =
    "[[app]]\nmatch = { path = \"/usr/bin/nobody-runs-this\" }\noutgoing_rules = [\"- * TCP/1\"]\n";

/// A whole number of the environment.
pub(crate) fn number(variable: &str, otherwise: u32) -> u32 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => otherwise,
    }
}

/// How many short-lived programs a test starts.
pub(crate) fn oneshots() -> u32 {
    number("ONESHOTS", 10_000)
}

/// Addresses and ports on `peer`, other ones for each round.
pub(crate) fn targets(round: u32) -> Vec<SocketAddr> {
    let first = FIRST_PORT + round as u16 * PORTS;
    let ports = first..first + PORTS;
    ports.flat_map(|port| Family::BOTH.map(|family| at(family, port))).collect()
}

/// A port of `peer`.
pub(crate) fn at(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(World::address(World::PEER, family), port)
}

/// Servers on `peer` for so many rounds.
pub(crate) fn serve(world: &World, rounds: u32) -> Serve {
    let targets: Vec<SocketAddr> = (0..rounds).flat_map(targets).collect();
    Serve::start(&world.peer, &targets, &targets)
}

/// Whether a process runs this file.
pub(crate) fn runs(process: &Process, executable: &Path) -> bool {
    Path::new(&*process.path) == executable
}

/// Writes what was measured, as JSON.
#[allow(clippy::print_stdout, reason = "the reader of a test run wants to see the shares")]
pub(crate) fn record(name: &str, measured: &impl Serialize) {
    let text = serde_json::to_string_pretty(measured).expect("it is plain data");
    let file = lab::report_folder("attribution").join(format!("{name}.json"));
    std::fs::write(&file, &text).expect("the report folder is writable");
    println!("{name}: {text}");
}

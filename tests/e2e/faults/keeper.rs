//! The keeper, killed: the mode decides what new flows do, and decided flows go on.

use std::time::Duration;

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Family, Seawall, Stream, World, eventually, vitals};

use super::load::{self, BULK, FORBIDDEN, OPEN, POLICY};

const GONE: Duration = Duration::from_secs(10);
const PATIENCE: Patience = Patience(Duration::from_millis(2500));

/// Kills the keeper while a stream runs; gives what new connections to the open
/// and to the forbidden port saw then, and shows that a fresh start judges again.
fn kill_the_keeper(lockdown: bool) -> (Outcome, Outcome) {
    let world = World::new();
    let _serve = load::serve(&world);
    let builder = Seawall::on(&world.desk).policy(POLICY);
    let mut seawall = if lockdown { builder.lockdown().start() } else { builder.start() };
    let worker = seawall.worker_pid();
    let stream = Stream { bytes_per_second: 50_000_000, ..Stream::down(load::at(BULK), 60.0) };
    let stream = stream.start(&world.desk);
    stream.wait_until_under_way();

    seawall.kill_keeper();
    eventually("the worker goes with its keeper", GONE, || !vitals::alive(worker));
    let address = |pair| World::address(pair, Family::V4);
    let path = Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER));
    let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
    let seen = (send(OPEN), send(FORBIDDEN));
    let streamed = stream.stop();
    assert!(streamed.broken.is_empty(), "the decided stream goes on: {streamed:?}");
    assert!(
        streamed.longest_gap_us < 1_000_000,
        "the decided stream does not notice: {streamed:?}"
    );
    drop(seawall);

    let again = Seawall::on(&world.desk).policy(POLICY).start();
    assert_eq!(send(OPEN), Outcome::Connected, "after the fresh start");
    assert_eq!(send(FORBIDDEN), Outcome::Refused, "after the fresh start");
    drop(again);
    seen
}

#[test]
fn in_open_mode_new_flows_pass_without_the_keeper() {
    assert_eq!(kill_the_keeper(false), (Outcome::Connected, Outcome::Connected));
}

#[test]
fn in_lockdown_new_flows_drop_without_the_keeper() {
    assert_eq!(kill_the_keeper(true), (Outcome::Silence, Outcome::Silence));
}

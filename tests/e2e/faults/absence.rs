//! What traffic does when something is missing for longer: the table in ARCHITECTURE.md, row by row.

use std::time::{Duration, Instant};

use lab::probe::{Kind, Outcome, Path, Patience};
use lab::{Family, Seawall, World, eventually};
use rustix::process::{Pid, Signal, kill_process};

use super::load::{self, FORBIDDEN, OPEN, POLICY};

const PATIENCE: Patience = Patience(Duration::from_millis(2500));
/// Five crashes within thirty seconds are a crash loop.
const CRASHES: usize = 5;
const SUCCESSOR: Duration = Duration::from_secs(20);

fn path(world: &World) -> Path<'_> {
    let address = |pair| World::address(pair, Family::V4);
    Path::new(&world.desk, address(World::DESK), &world.peer, address(World::PEER))
}

/// Kills workers until the keeper gives up for a while. Gives what new
/// connections to the open and the forbidden port saw then.
fn crash_loop(lockdown: bool) -> (Outcome, Outcome) {
    let world = World::new();
    let _serve = load::serve(&world);
    let builder = Seawall::on(&world.desk).policy(POLICY);
    let mut seawall = if lockdown { builder.lockdown().start() } else { builder.start() };
    for _ in 1..CRASHES {
        let old = seawall.kill_worker();
        assert!(seawall.wait_for_successor(old, SUCCESSOR).is_some(), "a successor of {old}");
    }
    seawall.kill_worker();
    let not_protected = || {
        let status = seawall.verb(&["status"]);
        status.code == Some(4) && status.stdout.starts_with("NOT PROTECTED")
    };
    eventually("the crash loop is said", Duration::from_secs(4), not_protected);
    let path = path(&world);
    let send = |port| path.send(Kind::Tcp, port, PATIENCE).outcome;
    let seen = (send(OPEN), send(FORBIDDEN));
    eventually("the keeper tries again", Duration::from_secs(60), || {
        seawall.verb(&["status"]).code == Some(0)
    });
    assert_eq!((send(OPEN), send(FORBIDDEN)), (Outcome::Connected, Outcome::Refused), "afterwards");
    seen
}

#[test]
fn in_open_mode_new_flows_pass_during_a_crash_loop() {
    assert_eq!(crash_loop(false).0, Outcome::Connected);
}

#[test]
fn in_lockdown_new_flows_drop_during_a_crash_loop() {
    assert_eq!(crash_loop(true), (Outcome::Silence, Outcome::Silence));
}

#[test]
fn a_flow_that_nobody_answers_for_is_denied_in_time_and_asked_about_again() {
    let world = World::new();
    let _serve = load::serve(&world);
    let seawall = Seawall::on(&world.desk).policy(POLICY).start();
    seawall.fault(&["verdict", "mailbox-full", "--duration-ms", "60000"]);
    let path = path(&world);
    let begun = Instant::now();
    let denied = path.send(Kind::Tcp, OPEN, Patience(Duration::from_secs(20))).outcome;
    assert_eq!(denied, Outcome::Refused, "after {:?}", begun.elapsed());
    assert!((4..=8).contains(&begun.elapsed().as_secs()), "denied after {:?}", begun.elapsed());
    eventually("the reason is listed", Duration::from_secs(5), || {
        seawall.verb(&["connections", "--json"]).stdout.contains("unanswered")
    });

    seawall.fault(&["verdict", "clear"]);
    let again = path.send(Kind::Tcp, OPEN, PATIENCE).outcome;
    assert_eq!(again, Outcome::Connected, "asked about again");
}

#[test]
fn a_worker_that_is_silent_is_replaced_and_nobody_loses_a_connection() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let mut seawall = Seawall::on(&world.desk).policy(POLICY).start();
    let load = load::Load::start(&world);
    let old = seawall.worker_pid();
    let pid = Pid::from_raw(old as i32).expect("a process id");
    kill_process(pid, Signal::STOP).expect("the worker can be stopped");
    assert!(seawall.wait_for_successor(old, SUCCESSOR).is_some(), "a successor of {old}");
    load.go_on(&mut serve);
    let row = load.stop("worker silent");
    let mut findings = lab::Findings::new();
    row.judge(&mut findings);
    load::record("silent", &[row]);
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.settle();
}

//! Upgrades to programs that fail, each in its way: the old one comes back.

use std::time::Duration;

use lab::{World, until, vitals};
use rustix::process::{Pid, Signal, kill_process};

use super::rig::{Rig, inode_of, runs, under_load};
use crate::load;

/// The file fails; the keeper that runs is there afterwards as before.
fn rolls_back(how: &str, reason: &str) {
    let world = World::new();
    let mut serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let (keeper, running) = (seawall.keeper_pid(), runs(seawall.keeper_pid()));
    let file = rig.impostor(how);
    let name = how.replace(' ', "-");
    let answer = under_load(&name, &world, &seawall, &mut serve, &[&file.to_string_lossy()]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains(reason) && answer.stderr.contains("is back"), "{answer:?}");
    let status = seawall.status();
    assert_eq!(status.keeper_pid, keeper);
    assert_eq!(runs(status.worker_pid), running, "the old program's worker is back");
    assert_eq!(status.worker_crashes, 0, "what the new program did is not held against the old");
    let installed = std::process::Command::new(rig.installed()).arg("--version").output();
    let version = installed.expect("the installed program runs").stdout;
    assert!(!String::from_utf8_lossy(&version).contains("9.9.9"), "the file was put back");
    // And a good one still works.
    let good = seawall.verb(&["upgrade", &rig.good().to_string_lossy()]);
    assert_eq!(good.code, Some(0), "{good:?}\n{}", seawall.log());
    assert_eq!(runs(seawall.keeper_pid()), inode_of(rig.installed()));
}

#[test]
fn a_worker_that_crashes_at_once_is_rolled_back() {
    rolls_back("worker crash", "ended before it greeted");
}

#[test]
fn a_worker_that_crashes_after_its_greeting_is_rolled_back() {
    rolls_back("worker greet-and-crash", "its worker ended");
}

#[test]
fn a_worker_that_says_nothing_is_rolled_back() {
    rolls_back("worker silent", "did not greet");
}

#[test]
fn a_worker_that_never_judges_is_rolled_back() {
    rolls_back("worker idle", "did not judge");
}

#[test]
fn a_program_that_does_not_start_at_all_changes_nothing() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let (worker, running) = (seawall.worker_pid(), runs(seawall.keeper_pid()));
    let whole = std::fs::read(rig.good()).expect("readable");
    let broken = rig.impostor("");
    std::fs::write(&broken, &whole[..4096]).expect("writable");
    let path = broken.to_string_lossy().into_owned();

    // Given by name, it is found out before it is installed.
    let answer = under_load("no-start-file", &world, &seawall, &mut serve, &[&path]);
    assert!(answer.code == Some(1) && answer.stderr.contains("can't be run"), "{answer:?}");
    assert_eq!(seawall.worker_pid(), worker, "nothing was touched");

    // Put in place by others, by the keeper.
    rig.put_in_place(&broken);
    let answer = under_load("no-start-in-place", &world, &seawall, &mut serve, &[]);
    assert!(answer.code == Some(1) && answer.stderr.contains("is back"), "{answer:?}");
    assert_eq!(runs(seawall.worker_pid()), running);
    let size = std::fs::metadata(rig.installed()).expect("there").len();
    assert_eq!(size, whole.len() as u64, "the file was put back");
}

/// The worker does well, and the keeper fails after the exec: the guardian takes its place.
fn guardian_steps_in(how: &str) {
    let world = World::new();
    let mut serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let (keeper, running) = (seawall.keeper_pid(), runs(seawall.keeper_pid()));
    let real = rig.good().to_string_lossy().into_owned();
    let file = rig.impostor(&format!("keeper {how} {real}"));
    let name = format!("keeper-{how}");
    let answer = under_load(&name, &world, &seawall, &mut serve, &[&file.to_string_lossy()]);
    let status = seawall.status();
    assert!(answer.code == Some(1) && answer.stderr.contains("is back"), "{answer:?}");
    assert!(answer.stderr.contains("the new keeper failed"), "{answer:?}");
    assert_ne!(status.keeper_pid, keeper, "another process is the keeper");
    assert!(!vitals::alive(keeper) || runs_nothing(keeper), "the failed keeper is gone");
    assert_eq!(runs(status.keeper_pid), running, "the old program keeps");
    assert_eq!(runs(status.worker_pid), running, "the old program judges");

    let guardian = Pid::from_raw(status.keeper_pid.cast_signed()).expect("a process id");
    kill_process(guardian, Signal::TERM).expect("it is there");
    let gone = until(Duration::from_secs(15), || (!vitals::alive(status.keeper_pid)).then_some(()));
    assert!(gone.is_some(), "it stops in order");
    let left = world.desk.filters();
    assert!(!left.contains("SEAWALL") && !left.contains("table inet seawall"), "{left}");
}

/// Whether it is dead and waits for its parent.
fn runs_nothing(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_err()
}

#[test]
fn a_keeper_that_crashes_after_taking_over_is_followed_by_the_guardian() {
    guardian_steps_in("crash");
}

#[test]
fn a_keeper_that_says_nothing_after_taking_over_is_ended_by_the_guardian() {
    guardian_steps_in("silent");
}

//! What a service manager is told and keeps: with it even the keeper may be killed.

use lab::{Findings, Seawall, Serve, World, eventually};

use super::manager::{Manager, TOLD};
use crate::load::{self, Load};
use crate::rig::{Rig, inode_of, runs};

/// What the keeper makes itself.
const OWN: [&str; 5] = ["queue/new@", "queue/rest@", "journal/new@", "journal/rest@", "rules@"];

fn start<'a>(world: &'a World, manager: &Manager, rig: &Rig) -> Seawall<'a> {
    let seawall = Seawall::on(&world.desk).policy(load::POLICY);
    let seawall = manager.start(seawall, &rig.installed()).start();
    manager.started();
    seawall
}

/// Starts the service again after its keeper has died, as `Restart=always` does.
fn restart<'a>(world: &'a World, manager: &Manager, rig: &Rig, dead: Seawall<'a>) -> Seawall<'a> {
    let folder = dead.leave_behind().expect("its folder");
    let seawall = Seawall::on(&world.desk).policy(load::POLICY).folder(folder);
    let seawall = manager.start(seawall, &rig.installed()).start();
    manager.started();
    seawall
}

fn has_all(manager: &Manager) -> bool {
    let stored = manager.stored();
    let has = |prefix: &str| stored.iter().filter(|name| name.starts_with(prefix)).count();
    OWN.iter().all(|own| has(own) == 1)
        && has("listener/command/") == 1
        && has("listener/metrics@") == 1
        && has("ebpf/") > 0
}

#[test]
fn the_manager_is_told_and_keeps_what_must_outlive_the_keeper_until_it_stops() {
    let world = World::new();
    let (manager, rig) = (Manager::new(), Rig::new());
    let seawall = start(&world, &manager, &rig);
    eventually("the store is whole", TOLD, || has_all(&manager));
    eventually("it is told that all is well", TOLD, || manager.told("READY=1") >= 1);
    eventually("the watchdog is fed", TOLD, || manager.told("WATCHDOG=1") >= 3);
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0));
    eventually("it is told of the stop", TOLD, || manager.told("STOPPING=1") == 1);
    eventually("an ordered stop leaves nothing", TOLD, || manager.stored().is_empty());
}

/// Kills the keeper under load, and starts the service again.
fn kill_under_load<'a>(
    name: &str,
    world: &'a World,
    under: (&Manager, &Rig),
    serve: &mut Serve,
    mut seawall: Seawall<'a>,
    findings: &mut Findings,
) -> Seawall<'a> {
    let (manager, rig) = under;
    let load = Load::start(world);
    load.go_on(serve);
    seawall.kill_keeper();
    let seawall = restart(world, manager, rig, seawall);
    load.go_on(serve);
    let row = load.stop(name);
    row.judge(findings);
    load::record(name, &[row]);
    load::nothing_crossed(&serve.report(), findings);
    findings.check(has_all(manager), format!("{name}: the store: {:?}", manager.stored()));
    seawall
}

#[test]
fn killing_the_keeper_under_a_manager_loses_no_connection() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let (manager, rig) = (Manager::new(), Rig::new());
    let mut seawall = start(&world, &manager, &rig);
    eventually("the store is whole", TOLD, || has_all(&manager));
    let mut findings = Findings::new();
    for round in 0..2 {
        let name = format!("keeper-managed-{round}");
        let under = (&manager, &rig);
        seawall = kill_under_load(&name, &world, under, &mut serve, seawall, &mut findings);
    }
    let log = seawall.log();
    findings.check(!log.contains("takes no notes"), format!("the notes were taken up: {log}"));
    findings.settle();
}

#[test]
fn a_keeper_that_was_upgraded_is_still_the_managers() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let (manager, rig) = (Manager::new(), Rig::new());
    let seawall = start(&world, &manager, &rig);
    eventually("the store is whole", TOLD, || has_all(&manager));
    let answer = seawall.verb(&["upgrade", &rig.good().to_string_lossy()]);
    assert_eq!(answer.code, Some(0), "{answer:?}\n{}", seawall.log());
    assert_eq!(runs(seawall.keeper_pid()), inode_of(rig.installed()));
    let fed = manager.told("WATCHDOG=1");
    eventually("the watchdog is fed", TOLD, || manager.told("WATCHDOG=1") >= fed + 3);
    assert!(has_all(&manager), "{:?}", manager.stored());

    let mut findings = Findings::new();
    let under = (&manager, &rig);
    let seawall =
        kill_under_load("keeper-upgraded", &world, under, &mut serve, seawall, &mut findings);
    findings.settle();
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0));
    eventually("an ordered stop leaves nothing", TOLD, || manager.stored().is_empty());
}

#[test]
fn an_upgrade_whose_keeper_fails_is_undone_with_the_manager() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let (manager, rig) = (Manager::new(), Rig::new());
    let mut seawall = start(&world, &manager, &rig);
    eventually("the store is whole", TOLD, || has_all(&manager));
    let running = std::fs::metadata(rig.installed()).expect("there").len();
    let real = rig.good().to_string_lossy().into_owned();
    let file = rig.impostor(&format!("keeper crash {real}"));

    let mut findings = Findings::new();
    let load = Load::start(&world);
    let answer = seawall.verb(&["upgrade", &file.to_string_lossy()]);
    findings.check(answer.code == Some(1), format!("{answer:?}"));
    eventually("the keeper is dead", TOLD, || seawall.ended().is_some());
    let installed = std::fs::metadata(rig.installed()).expect("there").len();
    findings.check(installed == running, "the file was not put back");
    let seawall = restart(&world, &manager, &rig, seawall);
    load.go_on(&mut serve);
    let row = load.stop("upgrade undone, under a manager");
    row.judge(&mut findings);
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.check(seawall.verb(&["status"]).code == Some(0), "it protects again");
    findings.settle();
}

#[test]
fn rules_of_a_later_epoch_that_stand_at_the_start_let_nothing_through() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let (manager, rig) = (Manager::new(), Rig::new());
    let mut seawall = start(&world, &manager, &rig);
    eventually("the store is whole", TOLD, || has_all(&manager));
    let mut findings = Findings::new();
    for round in 0..3 {
        // Each change of policy is another epoch.
        for change in 0..=round {
            seawall.set_policy(&format!("{}# {change}\n", load::POLICY));
        }
        let name = format!("keeper-managed-later-{round}");
        let under = (&manager, &rig);
        seawall = kill_under_load(&name, &world, under, &mut serve, seawall, &mut findings);
    }
    findings.settle();
}

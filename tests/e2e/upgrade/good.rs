//! An upgrade that goes well.

use lab::{Seawall, World, until, vitals};
use std::time::Duration;

use super::rig::{Rig, inode_of, runs, under_load};
use crate::load;

/// Descriptors and names of the keeper, which an upgrade must not add to.
fn held(seawall: &Seawall<'_>) -> usize {
    vitals::descriptors(seawall.keeper_pid()).expect("the keeper lives")
}

#[test]
fn an_upgrade_replaces_both_processes_and_no_connection_notices() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    let keeper = seawall.keeper_pid();
    let before = held(&seawall);
    for round in 0..3 {
        let (worker, old) = (seawall.worker_pid(), inode_of(rig.installed()));
        let new = rig.good();
        let name = format!("good-{round}");
        let file = new.to_string_lossy();
        let answer = under_load(&name, &world, &seawall, &mut serve, &[&file]);
        assert_eq!(answer.code, Some(0), "{answer:?}\n{}", seawall.log());
        let status = seawall.status();
        assert_eq!(status.keeper_pid, keeper, "the keeper's process stays");
        assert_ne!(status.worker_pid, worker, "the worker is another one");
        assert_eq!(status.worker_crashes, 0, "nobody crashed");
        let installed = inode_of(rig.installed());
        assert_ne!(installed, old);
        assert_eq!(runs(keeper), installed, "the keeper runs what is installed");
        assert_eq!(runs(status.worker_pid), installed, "the worker runs what is installed");
        assert!(rig.previous().exists(), "the old one is kept");
    }
    // The applicant's socket and the guardian's go a moment later.
    let settled = until(Duration::from_secs(10), || (held(&seawall) <= before).then_some(()));
    assert!(settled.is_some(), "{before} descriptors before, {} after", held(&seawall));
    let (code, _) = seawall.stop();
    assert_eq!(code, Some(0), "an upgraded Seawall stops in order");
    let left = world.desk.filters();
    assert!(!left.contains("SEAWALL") && !left.contains("table inet seawall"), "{left}");
}

#[test]
fn what_a_package_manager_put_in_place_is_taken_over() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let rig = Rig::new();
    let seawall = rig.start(&world);
    rig.put_in_place(&rig.good());
    let answer = under_load("in-place", &world, &seawall, &mut serve, &[]);
    assert_eq!(answer.code, Some(0), "{answer:?}\n{}", seawall.log());
    assert_eq!(runs(seawall.keeper_pid()), inode_of(rig.installed()));
    // Once more there is nothing to do.
    let again = seawall.verb(&["upgrade"]);
    assert!(again.code == Some(0) && again.stdout.contains("runs already"), "{again:?}");
    let worker = seawall.worker_pid();
    assert_eq!(runs(worker), inode_of(rig.installed()));
}

#[test]
fn a_worker_that_dies_after_an_upgrade_is_followed_by_one_of_the_new_program() {
    let world = World::new();
    let _serve = load::serve(&world);
    let rig = Rig::new();
    let mut seawall = rig.start(&world);
    let new = rig.good();
    let answer = seawall.verb(&["upgrade", &new.to_string_lossy()]);
    assert_eq!(answer.code, Some(0), "{answer:?}\n{}", seawall.log());
    let old = seawall.kill_worker();
    let successor = seawall.wait_for_successor(old, Duration::from_secs(20));
    let successor = successor.unwrap_or_else(|| panic!("a successor of {old}"));
    assert_eq!(runs(successor), inode_of(rig.installed()));
    assert_eq!(seawall.status().worker_crashes, 1);
}

//! The worker process, killed under load.

use std::time::Duration;

use lab::{Findings, World};

use super::load::{self, Load};

const SUCCESSOR: Duration = Duration::from_secs(20);

#[test]
fn killing_the_worker_loses_no_connection() {
    let world = World::new();
    let mut serve = load::serve(&world);
    let mut seawall = load::seawall(&world);
    let mut findings = Findings::new();
    let mut rows = Vec::new();
    let rows_wanted = [
        ("kill -9 worker", 1, load::POLICY),
        ("kill -9 worker, twice", 2, load::POLICY),
        ("kill -9 worker, every packet judged", 1, load::EVERY_PACKET),
    ];
    for (name, kills, policy) in rows_wanted {
        seawall.set_policy(policy);
        let load = Load::start(&world);
        for _ in 0..kills {
            let old = seawall.kill_worker();
            let successor = seawall.wait_for_successor(old, SUCCESSOR);
            findings.check(successor.is_some(), format!("{name}: no successor of {old}"));
        }
        load.go_on(&mut serve);
        let row = load.stop(name);
        row.judge(&mut findings);
        rows.push(row);
    }
    load::record("worker", &rows);
    load::nothing_crossed(&serve.finish(), &mut findings);
    findings.check(seawall.status().worker_crashes == 4, "the crashes were counted");
    findings.settle();
}

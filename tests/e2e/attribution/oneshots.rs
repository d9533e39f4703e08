//! Ten thousand programs that are gone before anybody can look, with the kernel's notes and without.

use std::time::Duration;

use lab::oneshot::{Judged, Ledger};
use lab::{OneShots, Programs, Seawall, Shot, World, until};

use super::common::{POLICY, oneshots, record, serve, targets};

/// Programs in a round: the list of connections holds a few rounds' at most.
const ROUND: u32 = 2000;
/// How long it may take until what a round did is listed.
const LISTED: Duration = Duration::from_secs(15);

/// Runs rounds of the whole matrix; `pending` counts what is not yet told of.
fn rounds(environment: &[(&str, &str)], pending: fn(&Ledger, &[Shot]) -> usize) -> Judged {
    let world = World::new();
    let programs = Programs::new();
    let count = oneshots();
    let _serve = serve(&world, count.div_ceil(ROUND));
    let mut builder = Seawall::on(&world.desk).policy(POLICY);
    for (name, value) in environment {
        builder = builder.environment(name, value);
    }
    let seawall = builder.start();
    let mut judged = Judged::default();
    for round in 0..count.div_ceil(ROUND) {
        let matrix = OneShots::matrix(targets(round), ROUND.min(count - round * ROUND));
        let shots = matrix.run(&world.desk, &programs);
        let failed = shots.iter().find(|shot| shot.outcome != "ok" || shot.from_port == 0);
        assert!(failed.is_none(), "a program failed: {failed:?}");
        let mut ledger = Ledger::default();
        until(LISTED, || {
            ledger.note(&seawall.connections().connections);
            (pending(&ledger, &shots) == 0).then_some(())
        });
        judged = judged.plus(ledger.judge(&shots));
    }
    judged
}

#[test]
fn ten_thousand_programs_that_are_gone_at_once_get_their_right_executable() {
    let judged = rounds(&[], Ledger::unowned);
    record("kernel-notes", &judged);
    assert_eq!(judged.right, judged.programs, "{judged:#?}");
}

#[test]
fn without_the_kernels_notes_nobody_is_taken_for_another() {
    let judged = rounds(&[("SEAWALL_ATTRIBUTION", "socket-tables")], Ledger::unlisted);
    record("socket-tables", &judged);
    assert_eq!((judged.wrong, judged.unlisted), (0, 0), "{judged:#?}");
}

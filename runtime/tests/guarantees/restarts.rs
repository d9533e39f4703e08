//! What fails is started again, and nothing that waits is lost.

use std::time::Duration;

use seawall_runtime::{ComponentState, Intensity, Spec, TreeError};

use crate::puppet::{
    Arguments, Journal, Order, Puppet, Single, Start, builder, hasty, spec, until,
};

#[test]
fn a_component_that_panics_is_started_again() {
    let single = Single::new();
    single.tell(Order::Panic);
    single.echo(7);
    let status = single.status();
    assert_eq!((status.generation, status.restarts, status.hangs), (2, 1, 0));
    until("it is known to run", || single.status().state == ComponentState::Running);
    let failure = single.last_failure();
    assert!(failure.starts_with("panicked at ") && failure.ends_with(": as told"), "{failure}");
    assert!(failure.contains("puppet.rs:"), "{failure}");
    assert_eq!(single.journal.lines(), ["start puppet 1", "drop puppet", "start puppet 2"]);
}

#[test]
fn a_component_that_gives_up_is_started_again() {
    let single = Single::new();
    single.tell(Order::Fail);
    single.echo(7);
    assert_eq!(single.last_failure(), "gave up");
    assert_eq!(single.status().restarts, 1);
}

#[test]
fn a_panic_in_a_task_of_its_own_is_no_failure() {
    let single = Single::new();
    single.tell(Order::TaskPanic);
    until("the component goes on", || single.journal.has("went on"));
    single.echo(1);
    assert_eq!(single.status().restarts, 0);
    single.tell(Order::Fail);
    single.echo(2);
    assert_eq!(single.last_failure(), "gave up");
}

#[test]
fn messages_that_wait_survive_a_crash_in_order() {
    let single = Single::new();
    for order in [Order::Note("a"), Order::Panic, Order::Note("b"), Order::Fail, Order::Note("c")] {
        single.tell(order);
    }
    single.echo(0);
    let mut notes = single.journal.lines();
    notes.retain(|line| line.len() == 1);
    assert_eq!(notes, ["a", "b", "c"]);
}

#[test]
fn a_start_that_fails_is_tried_again() {
    let patient = spec("puppet", "root");
    let hasty = hasty(patient.clone());
    for (bad, spec, reason) in [
        ((|_| Start::Bad) as fn(_) -> _, &patient, "no luck"),
        (|_| Start::Panics, &patient, "in the start"),
        (|_| Start::Hangs, &hasty, "hung: did not finish its start within 400ms"),
    ] {
        let (mut tree, _) = builder();
        let address = tree.declare(Spec {
            intensity: Intensity { restarts: 1, window: Duration::from_secs(60) },
            ..spec.clone()
        });
        let arguments = Arguments { start: bad, ..Arguments::new("puppet", &Journal::default()) };
        tree.actor::<Puppet>(&address, arguments);
        let introspect = tree.introspect();
        match tree.start() {
            Err(TreeError::Start { name, reason: told }) => {
                assert_eq!(name, "puppet");
                assert!(told.ends_with(reason), "{told}");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("started"),
        }
        assert_eq!(introspect.components()[0].generation, 2);
        assert!(address.tell(Order::Panic).is_err());
    }
}

#[test]
fn a_start_that_fails_at_first_only_takes_longer() {
    let single = Single::with(spec("puppet", "root"), |arguments| {
        arguments.start = |generation| if generation.0 < 4 { Start::Bad } else { Start::Good };
    });
    assert_eq!(single.status().generation, 4);
    single.echo(1);
}

#[test]
fn failing_starts_count_like_crashes() {
    let single = Single::with(spec("puppet", "root"), |arguments| {
        arguments.start = |generation| if generation.0 > 1 { Start::Bad } else { Start::Good };
    });
    single.tell(Order::Panic);
    // Five restarts of the component are tolerated, ten of the root group's children.
    until("the tree gives up", || !single.fatal.lines().is_empty());
    assert_eq!(single.fatal.lines(), ["group root fails: puppet: no luck"]);
    until("it is stopped", || single.status().state == ComponentState::Stopped);
    assert_eq!(single.status().generation, 6);
    assert!(single.kernel.stop(Duration::from_secs(5)).is_empty());
}

#[test]
fn a_tree_that_makes_no_sense_is_not_started() {
    let malformed = |declare: fn(&mut seawall_runtime::TreeBuilder)| {
        let (mut tree, _) = builder();
        declare(&mut tree);
        match tree.start() {
            Err(TreeError::Malformed(reason)) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("started"),
        }
    };
    let reason = malformed(|tree| drop(tree.declare::<Order>(spec("idle", "root"))));
    assert_eq!(reason, "nothing runs behind idle");
    let reason = malformed(|tree| {
        let address = tree.declare(Spec { asks: &["a"], ..spec("a", "root") });
        tree.actor::<Puppet>(&address, Arguments::new("a", &Journal::default()));
    });
    assert_eq!(reason, "asks go in a circle: a -> a");
    let reason = malformed(|tree| {
        let address = tree.declare(spec("a", "root"));
        let arguments = Arguments::new("a", &Journal::default());
        tree.actor::<Puppet>(&address, arguments.clone());
        tree.actor::<Puppet>(&address, arguments);
    });
    assert_eq!(reason, "a can't have that actor");
}

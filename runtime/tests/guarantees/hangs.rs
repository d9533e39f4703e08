//! What hangs is replaced, and what it does afterwards no longer counts.

use std::time::Duration;

use seawall_runtime::{AskError, Lender, Published};

use crate::puppet::{
    Arguments, Gate, Journal, Order, Puppet, SOON, Single, builder, hasty, spec, until,
};

#[test]
fn a_future_that_stays_pending_is_dropped_and_replaced() {
    let single = Single::hasty();
    assert_eq!(single.ask(Order::HangOn), Err(AskError::Crashed));
    single.echo(1);
    let status = single.status();
    assert_eq!((status.restarts, status.hangs), (1, 1));
    let told = "hung: did not finish a message within 400ms";
    assert_eq!(single.last_failure(), told);
    until("the old one is dropped", || single.journal.has("drop puppet"));
}

#[test]
fn a_thread_that_spins_is_left_behind_and_refused() {
    let (publisher, published) = Published::new(0);
    let single = Single::with(hasty(spec("puppet", "root")), |arguments| {
        arguments.publisher = Some(publisher.clone());
    });
    let gate = Gate::default();
    assert_eq!(single.ask(|reply| Order::Spin(gate.clone(), reply)), Err(AskError::Crashed));
    single.echo(1);
    assert_eq!(single.status().hangs, 1);
    gate.open();
    until("the old one goes on", || single.journal.has("abandoned: true"));
    assert!(single.journal.has("late publication taken: false"));
    assert_eq!(*published.load(), 0);
    until("the old one ends", || single.journal.has("drop puppet"));
    single.tell(Order::Publish(publisher, 7));
    until("the successor publishes", || *published.load() == 7);
    assert_eq!(single.fatal.lines(), [""; 0]);
}

#[test]
fn a_start_that_hangs_is_tried_again() {
    let single = Single::with(hasty(spec("puppet", "root")), |arguments| {
        arguments.start = |generation| match generation.0 {
            1 => crate::puppet::Start::Hangs,
            _ => crate::puppet::Start::Good,
        };
    });
    assert_eq!(single.status().hangs, 1);
    single.echo(1);
}

#[test]
fn two_leaked_threads_at_once_are_fatal() {
    let single = Single::hasty();
    let gate = Gate::default();
    for _ in 0..2 {
        assert_eq!(single.ask(|reply| Order::Spin(gate.clone(), reply)), Err(AskError::Crashed));
    }
    until("the tree gives up", || !single.fatal.lines().is_empty());
    gate.open();
    assert_eq!(single.fatal.lines(), ["threads leaked: puppet, puppet"]);
}

#[test]
fn a_leaked_thread_that_ends_is_forgiven() {
    let single = Single::hasty();
    for round in 0..3 {
        let gate = Gate::default();
        assert_eq!(single.ask(|reply| Order::Spin(gate.clone(), reply)), Err(AskError::Crashed));
        gate.open();
        let drops = || single.journal.lines().iter().filter(|it| *it == "drop puppet").count();
        until("the thread ends", || drops() > round);
    }
    single.echo(1);
    assert_eq!((single.status().hangs, single.fatal.lines().len()), (3, 0));
}

#[test]
fn one_that_spins_starves_nobody_else() {
    let (mut tree, _) = builder();
    let journal = Journal::default();
    let spinning = tree.declare(hasty(spec("spinning", "root")));
    let other = tree.declare(spec("other", "root"));
    tree.actor::<Puppet>(&spinning, Arguments::new("spinning", &journal));
    tree.actor::<Puppet>(&other, Arguments::new("other", &journal));
    let kernel = tree.start().unwrap();
    let gate = Gate::default();
    let sink = std::sync::Arc::new(crate::puppet::NotingSink(Journal::default()));
    let spin = |reply| Order::Spin(gate.clone(), reply);
    assert!(spinning.ask_into(sink, 0, spin).is_ok());
    for value in 0..100 {
        assert_eq!(other.ask_blocking(SOON, |reply| Order::Echo(value, reply)), Ok(value));
    }
    until("it is replaced", || spinning.generation().0 == 2);
    gate.open();
    assert!(kernel.stop(Duration::from_secs(5)).is_empty());
}

#[test]
fn a_component_at_work_within_its_deadline_is_left_alone() {
    let single = Single::hasty();
    // Far more than the deadline in all, each message far less.
    let until_over = std::time::Instant::now() + Duration::from_millis(1200);
    while std::time::Instant::now() < until_over {
        let gate = Gate::default();
        let opener = gate.clone();
        let opens = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            opener.open();
        });
        assert_eq!(single.ask(|reply| Order::Spin(gate, reply)), Ok(666));
        opens.join().unwrap();
    }
    assert_eq!(single.status().hangs, 0);
}

#[test]
fn a_lease_is_lost_to_the_successor() {
    let single = Single::hasty();
    let lender = Lender::new(0);
    let first = lender.lend(single.address.generation()).unwrap();
    assert!(first.with(|value| *value = 1).is_ok());
    single.tell(Order::Panic);
    single.echo(0);
    let second = lender.lend(single.address.generation()).unwrap();
    assert!(first.with(|value| *value = 666).is_err());
    assert_eq!(second.with(|value| *value), Ok(1));
}

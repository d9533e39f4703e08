//! An ordered stop.

use std::time::Duration;

use crate::puppet::{
    Arguments, Gate, Journal, NotingSink, Order, Puppet, SOON, Single, builder, hasty, spec, until,
};

#[test]
fn components_stop_in_reverse_order() {
    let (mut tree, fatal) = builder();
    let journal = Journal::default();
    for name in ["a", "b", "c"] {
        let address = tree.declare(spec(name, "root"));
        tree.actor::<Puppet>(&address, Arguments::new(name, &journal));
    }
    let specs: Vec<_> = tree.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(specs, ["a", "b", "c"]);
    let kernel = tree.start().unwrap();
    journal.clear();
    assert!(kernel.stop(SOON).is_empty());
    assert_eq!(journal.lines(), ["stop c", "drop c", "stop b", "drop b", "stop a", "drop a"]);
    assert!(fatal.lines().is_empty(), "stopped on purpose");
}

#[test]
fn one_that_does_not_stop_in_time_is_abandoned() {
    let (mut tree, _) = builder();
    let journal = Journal::default();
    for name in ["a", "b", "c"] {
        let address = tree.declare(hasty(spec(name, "root")));
        let hang_in_stop = name == "b";
        let arguments = Arguments { hang_in_stop, ..Arguments::new(name, &journal) };
        tree.actor::<Puppet>(&address, arguments);
    }
    let kernel = tree.start().unwrap();
    assert_eq!(kernel.stop(SOON), ["b"]);
    assert!(journal.has("stop a"));
}

#[test]
fn one_that_spins_does_not_hold_up_the_stop() {
    let single = Single::new();
    let gate = Gate::default();
    let sink = std::sync::Arc::new(NotingSink(Journal::default()));
    let spin = |reply| Order::Spin(gate.clone(), reply);
    assert!(single.address.ask_into(sink, 0, spin).is_ok());
    until("it is at work", || single.address.depth() == 0);
    assert_eq!(single.kernel.stop(Duration::from_millis(50)), ["puppet"]);
    gate.open();
}

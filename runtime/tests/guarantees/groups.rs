//! Who is restarted along with whom.

use std::time::Duration;

use seawall_runtime::{Address, Intensity, Kernel, Spec, Strategy};

use crate::puppet::{Arguments, Journal, Order, Puppet, SOON, builder, spec, until};

struct Family {
    kernel: Kernel,
    members: Vec<Address<Order>>,
    journal: Journal,
    fatal: Journal,
}

/// Three puppets in a group, and one after them outside of it.
fn family(strategy: Strategy, spec_of: fn(Spec) -> Spec, group: Intensity) -> Family {
    let (mut tree, fatal) = builder();
    let journal = Journal::default();
    tree.group("family", None, strategy, group);
    let mut members = Vec::new();
    for (name, group) in [("a", "family"), ("b", "family"), ("c", "family"), ("d", "root")] {
        let address = tree.declare(spec_of(spec(name, group)));
        tree.actor::<Puppet>(&address, Arguments::new(name, &journal));
        members.push(address);
    }
    let kernel = tree.start().unwrap();
    assert_eq!(journal.lines(), ["start a 1", "start b 1", "start c 1", "start d 1"]);
    journal.clear();
    Family { kernel, members, journal, fatal }
}

fn often() -> Intensity {
    Intensity { restarts: 100, window: Duration::from_secs(60) }
}

impl Family {
    fn crash(&self, index: usize) {
        assert!(self.members[index].tell(Order::Panic).is_ok());
    }

    fn generations(&self) -> Vec<u64> {
        self.members.iter().map(|address| address.generation().0).collect()
    }

    fn all_answer(&self) {
        for address in &self.members {
            assert_eq!(address.ask_blocking(SOON, |reply| Order::Echo(1, reply)), Ok(1));
        }
    }
}

#[test]
fn each_strategy_restarts_whom_it_should() {
    let cases = [
        (Strategy::OneForOne, [1, 2, 1, 1], "drop b, start b 2"),
        (Strategy::RestForOne, [1, 2, 2, 1], "drop b, stop c, drop c, start b 2, start c 2"),
        (
            Strategy::OneForAll,
            [2, 2, 2, 1],
            "drop b, stop c, drop c, stop a, drop a, start a 2, start b 2, start c 2",
        ),
    ];
    for (strategy, generations, journal) in cases {
        let family = family(strategy, |spec| spec, often());
        family.crash(1);
        let expected: Vec<&str> = journal.split(", ").collect();
        until("all is done", || family.journal.lines().len() >= expected.len());
        family.all_answer();
        assert_eq!(family.generations(), generations, "{strategy:?}");
        assert_eq!(family.journal.lines(), expected, "{strategy:?}");
    }
}

#[test]
fn a_group_whose_member_fails_too_often_is_restarted_whole() {
    let once = |spec| Spec {
        intensity: Intensity { restarts: 1, window: Duration::from_secs(60) },
        ..spec
    };
    let family = family(Strategy::OneForOne, once, often());
    family.crash(0);
    family.all_answer();
    assert_eq!(family.generations(), [2, 1, 1, 1]);
    family.crash(0);
    until("the group is restarted", || family.generations() == [3, 2, 2, 1]);
    family.all_answer();
    assert!(family.kernel.stop(SOON).is_empty());
}

#[test]
fn a_group_that_fails_too_often_goes_up_to_the_root_which_gives_up() {
    let family = family(
        Strategy::OneForOne,
        |spec| Spec { intensity: often(), ..spec },
        Intensity { restarts: 0, window: Duration::from_secs(60) },
    );
    // Each failure fails the group. The root tolerates ten within ten seconds.
    for round in 2..=11 {
        family.crash(2);
        until("the group is restarted", || family.generations() == [round, round, round, 1]);
        family.all_answer();
    }
    assert_eq!(family.fatal.lines(), [""; 0]);
    family.crash(2);
    until("the root gives up", || !family.fatal.lines().is_empty());
    let reason = family.fatal.lines().remove(0);
    assert!(reason.starts_with("group root fails: c: panicked at "), "{reason}");
}

use std::time::Duration;

use proptest::prelude::{Just, any, prop, prop_assert, prop_oneof, proptest};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A plan under a clock of its own.
struct Bench {
    plan: Plan,
    now: Instant,
}

fn intensity(restarts: u32) -> Intensity {
    Intensity { restarts, window: Duration::from_secs(10) }
}

fn group(name: &'static str, parent: Option<usize>, strategy: Strategy, restarts: u32) -> Group {
    Group { name, parent, strategy, intensity: intensity(restarts) }
}

fn child(group: usize, restarts: u32) -> Child {
    Child { group, intensity: intensity(restarts), backoff: Backoff::default() }
}

impl Bench {
    fn new(groups: Vec<Group>, children: Vec<Child>) -> Self {
        let now = Instant::now();
        Self { plan: Plan::new(groups, children, Jitter::new(7), now), now }
    }

    /// A root group with that strategy and so many components, all running.
    fn flat(strategy: Strategy, components: usize) -> Self {
        let children = (0..components).map(|_| child(0, 100)).collect();
        let mut bench = Self::new(vec![group("root", None, strategy, 100)], children);
        bench.boot();
        bench
    }

    fn boot(&mut self) {
        while !self.plan.all_run() {
            for step in self.plan.steps(self.now) {
                let Step::Start(index) = step else { panic!("{step:?} while booting") };
                self.plan.running(index, self.now);
            }
        }
        self.plan.booted();
    }

    fn steps(&mut self) -> Vec<Step> {
        self.plan.steps(self.now)
    }

    fn fail(&mut self, index: usize) -> Result<(), GiveUp> {
        self.plan.ended(index, self.now)
    }

    fn stopped(&mut self, index: usize) {
        self.plan.ended(index, self.now).unwrap();
    }

    fn running(&mut self, index: usize) {
        self.plan.running(index, self.now);
    }

    /// The wait before the restart that has just been planned.
    fn wait(&self) -> Duration {
        self.plan.next_due(self.now).map_or(Duration::ZERO, |due| due - self.now)
    }

    /// Waits, restarts what is due, and says that it runs.
    fn restart(&mut self, index: usize) {
        self.now += self.wait();
        assert_eq!(self.steps(), [Step::Start(index)]);
        self.running(index);
    }
}

#[test]
fn components_start_one_after_the_other() {
    let groups = vec![group("root", None, Strategy::OneForOne, 10)];
    let mut bench = Bench::new(groups, vec![child(0, 10), child(0, 10)]);
    assert_eq!(bench.steps(), [Step::Start(0)]);
    assert_eq!(bench.steps(), []);
    // A failing start counts like a crash; the others wait for it.
    bench.fail(0).unwrap();
    assert_eq!(bench.steps(), [Step::Start(0)]);
    bench.running(0);
    assert_eq!(bench.steps(), [Step::Start(1)]);
    bench.running(1);
    assert!(bench.plan.all_run());
}

#[test]
fn a_component_that_cannot_be_started_ends_the_boot() {
    let groups = vec![group("root", None, Strategy::OneForOne, 100)];
    let mut bench = Bench::new(groups, vec![child(0, 2)]);
    for _ in 0..2 {
        bench.now += bench.wait();
        assert_eq!(bench.steps(), [Step::Start(0)]);
        bench.fail(0).unwrap();
    }
    bench.now += bench.wait();
    assert_eq!(bench.steps(), [Step::Start(0)]);
    assert_eq!(bench.fail(0), Err(GiveUp { index: 0, group: "root" }));
}

#[test]
fn waits_double_up_to_a_limit_with_up_to_a_quarter_of_jitter() {
    let mut bench = Bench::flat(Strategy::OneForOne, 1);
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.fail(0).unwrap();
        waits.push(bench.wait());
        bench.restart(0);
    }
    assert_eq!(waits[0], Duration::ZERO);
    for (wait, base) in waits[1..].iter().zip([10, 20, 40, 80, 160, 320, 640, 1000, 1000]) {
        let range = base * MS..=base * MS * 5 / 4;
        assert!(range.contains(wait), "{wait:?} is not in {range:?}");
    }
    assert_ne!(waits[8], waits[9], "jitter");
}

#[test]
fn a_long_life_clears_the_wait() {
    let mut bench = Bench::flat(Strategy::OneForOne, 1);
    for _ in 0..3 {
        bench.fail(0).unwrap();
        bench.restart(0);
    }
    bench.now += Duration::from_millis(4999);
    bench.fail(0).unwrap();
    assert!(bench.wait() >= 40 * MS);
    bench.restart(0);
    bench.now += Duration::from_secs(5);
    bench.fail(0).unwrap();
    assert_eq!(bench.wait(), Duration::ZERO);
}

#[test]
fn each_strategy_restarts_whom_it_should_in_order() {
    let cases = [
        (Strategy::OneForOne, vec![], vec![1]),
        (Strategy::RestForOne, vec![3, 2], vec![1, 2, 3]),
        (Strategy::OneForAll, vec![3, 2, 0], vec![0, 1, 2, 3]),
    ];
    for (strategy, stopped, started) in cases {
        let mut bench = Bench::flat(strategy, 4);
        bench.fail(1).unwrap();
        for index in stopped {
            assert_eq!(bench.steps(), [Step::Stop(index)], "{strategy:?}");
            assert_eq!(bench.steps(), [], "one at a time");
            bench.stopped(index);
        }
        for index in started {
            assert_eq!(bench.steps(), [Step::Start(index)], "{strategy:?}");
            assert_eq!(bench.steps(), [], "one at a time");
            bench.running(index);
        }
        assert_eq!(bench.steps(), []);
        assert!(bench.plan.all_run());
    }
}

#[test]
fn another_failure_in_the_middle_of_a_group_restart_is_taken_in() {
    let mut bench = Bench::flat(Strategy::OneForAll, 3);
    bench.fail(0).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(2)]);
    // 1 crashes before its turn to stop comes.
    bench.stopped(1);
    bench.stopped(2);
    assert_eq!(bench.steps(), [Step::Start(0)]);
    bench.running(0);
    assert_eq!(bench.steps(), [Step::Start(1)]);
    // And now its start fails: all again.
    bench.fail(1).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(0)]);
    bench.stopped(0);
    for index in 0..3 {
        bench.now += bench.wait();
        assert_eq!(bench.steps(), [Step::Start(index)]);
        bench.running(index);
    }
}

#[test]
fn a_component_that_waits_holds_up_nobody_else() {
    let mut bench = Bench::flat(Strategy::OneForOne, 2);
    for _ in 0..2 {
        bench.fail(0).unwrap();
        if bench.wait().is_zero() {
            bench.restart(0);
        }
    }
    assert!(bench.wait() > Duration::ZERO);
    bench.fail(1).unwrap();
    assert_eq!(bench.steps(), [Step::Start(1)]);
}

/// Root: 0, group inner: 1 2, root: 3.
fn nested(root: Strategy, inner_restarts: u32, root_restarts: u32) -> Bench {
    let groups = vec![
        group("root", None, root, root_restarts),
        group("inner", Some(0), Strategy::OneForOne, inner_restarts),
    ];
    let mut bench = Bench::new(groups, vec![child(0, 50), child(1, 2), child(1, 2), child(0, 50)]);
    bench.boot();
    bench
}

#[test]
fn a_component_beyond_its_intensity_has_its_group_restarted_whole() {
    let mut bench = nested(Strategy::OneForOne, 50, 50);
    for _ in 0..2 {
        bench.fail(1).unwrap();
        bench.restart(1);
    }
    bench.fail(1).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(2)]);
    bench.stopped(2);
    bench.now += bench.wait();
    assert_eq!(bench.steps(), [Step::Start(1)]);
    bench.running(1);
    assert_eq!(bench.steps(), [Step::Start(2)]);
    bench.running(2);
    // With a clean record.
    bench.fail(1).unwrap();
    bench.restart(1);
}

#[test]
fn a_group_counts_the_failures_of_all_its_children() {
    let mut bench = nested(Strategy::OneForOne, 2, 50);
    for index in [1, 2] {
        bench.fail(index).unwrap();
        bench.restart(index);
    }
    bench.fail(2).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(1)]);
}

#[test]
fn old_failures_are_forgotten() {
    let mut bench = nested(Strategy::OneForOne, 50, 50);
    for _ in 0..20 {
        bench.fail(1).unwrap();
        bench.restart(1);
        bench.now += Duration::from_millis(5100);
    }
}

#[test]
fn the_parents_strategy_holds_for_a_failed_group() {
    let mut bench = nested(Strategy::RestForOne, 0, 50);
    bench.fail(2).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(3)]);
    bench.stopped(3);
    assert_eq!(bench.steps(), [Step::Stop(1)]);
    bench.stopped(1);
    for index in 1..=3 {
        assert_eq!(bench.steps(), [Step::Start(index)]);
        bench.running(index);
    }
}

#[test]
fn a_root_group_beyond_its_intensity_gives_up() {
    let mut bench = nested(Strategy::OneForOne, 0, 2);
    for _ in 0..2 {
        bench.fail(1).unwrap();
        assert_eq!(bench.steps(), [Step::Stop(2)]);
        bench.stopped(2);
        bench.now += bench.wait();
        for index in [1, 2] {
            assert_eq!(bench.steps(), [Step::Start(index)]);
            bench.running(index);
        }
    }
    assert_eq!(bench.fail(1), Err(GiveUp { index: 1, group: "root" }));
}

#[test]
fn the_end_stops_in_reverse_order_and_starts_nothing() {
    let mut bench = Bench::flat(Strategy::OneForAll, 4);
    bench.fail(2).unwrap();
    assert_eq!(bench.steps(), [Step::Stop(3)]);
    bench.plan.end();
    assert_eq!(bench.steps(), [], "3 is still stopping");
    bench.stopped(3);
    for index in [1, 0] {
        assert_eq!(bench.steps(), [Step::Stop(index)]);
        bench.stopped(index);
    }
    assert!(bench.plan.all_down());
    bench.now += Duration::from_secs(60);
    assert_eq!(bench.steps(), []);
    assert_eq!(bench.plan.next_due(bench.now), None);
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::RestForOne), Just(Strategy::OneForAll)]
}

proptest! {
    /// Whatever fails, in whatever state: the tree comes to run again, and
    /// nothing is started twice or stopped when it isn't there.
    #[test]
    fn every_failure_is_recovered_from(
        root in strategies(),
        inner in strategies(),
        events in prop::collection::vec((0_usize..5, any::<bool>()), 1..80),
    ) {
        let groups = vec![group("root", None, root, 1000), group("inner", Some(0), inner, 3)];
        let children = [0, 1, 1, 0, 1].map(|group| child(group, 1000)).into();
        let mut bench = Bench::new(groups, children);
        bench.boot();
        let mut up = [true; 5];
        let mut calm = 0;
        let mut events = events.into_iter();
        let mut rounds = 0;
        while calm < 3 {
            rounds += 1;
            prop_assert!(rounds < 1000, "the tree never comes to rest");
            for step in bench.steps() {
                match step {
                    Step::Start(index) => {
                        prop_assert!(!up[index], "{index} is started twice");
                        up[index] = true;
                    }
                    Step::Stop(index) => prop_assert!(up[index], "{index} is not there to stop"),
                }
            }
            if let Some((index, crashes)) = events.next() {
                match bench.plan.phase(index) {
                    Phase::Down => {}
                    Phase::Starting if !crashes => bench.running(index),
                    Phase::Running if !crashes => {}
                    _ => {
                        up[index] = false;
                        prop_assert!(bench.fail(index).is_ok());
                    }
                }
            } else {
                for (index, up) in up.iter_mut().enumerate() {
                    match bench.plan.phase(index) {
                        Phase::Starting => bench.running(index),
                        Phase::Stopping => {
                            *up = false;
                            bench.stopped(index);
                        }
                        Phase::Down | Phase::Running => {}
                    }
                }
                calm = if bench.plan.all_run() { calm + 1 } else { 0 };
                bench.now += bench.wait();
            }
        }
    }
}

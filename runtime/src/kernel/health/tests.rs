use super::*;

const DEADLINES: Deadlines = Deadlines {
    start: Duration::from_secs(2),
    handle: Duration::from_secs(1),
    stop: Duration::from_millis(500),
};
const LOOK: Duration = Duration::from_millis(100);
const CREDIT: Credit = Credit { still: LOOK, begun: LOOK };
const NEW: Duration = Duration::ZERO;

/// How many looks it takes until that activity counts as hung, out of 100.
fn looks_until_hung(activity: Activity) -> Option<usize> {
    let mut watch = Watch::new();
    (1..=100).find(|_| watch.look(activity, NEW, CREDIT, &DEADLINES))
}

#[test]
fn each_activity_has_its_deadline() {
    // The first look only notes what goes on.
    assert_eq!(looks_until_hung(Activity::Resting), None);
    assert_eq!(looks_until_hung(Activity::Starting), Some(22));
    assert_eq!(looks_until_hung(Activity::Busy(17)), Some(12));
    assert_eq!(looks_until_hung(Activity::Ignoring(3)), Some(12));
    assert_eq!(looks_until_hung(Activity::Ending), Some(7));
}

#[test]
fn progress_begins_the_count_anew() {
    let mut watch = Watch::new();
    let mut looks = |activity: fn(u64) -> Activity| {
        (0..1000).any(|look| watch.look(activity(look / 10), NEW, CREDIT, &DEADLINES))
    };
    assert!(!looks(Activity::Busy), "no message took more than a second");
    let hung = looks(Activity::Ignoring);
    assert!(!hung, "messages were taken all the time");
}

#[test]
fn time_in_which_the_checker_did_not_run_makes_nobody_look_hung() {
    let begin = Instant::now();
    let mut pulse = Pulse::new(begin);
    let mut watch = Watch::new();
    pulse.plan(LOOK);
    let mut now = begin;
    for pause in [LOOK, Duration::from_secs(3600), LOOK, Duration::from_secs(60)] {
        now += pause;
        let credit = pulse.credit(now);
        assert!(credit.still <= 2 * LOOK, "{credit:?} of {pause:?}");
        assert_eq!(credit.begun, if pause > LOOK { Duration::ZERO } else { LOOK });
        assert!(!watch.look(Activity::Busy(1), pause, credit, &DEADLINES));
        pulse.plan(LOOK);
    }
}

#[test]
fn what_began_between_two_looks_is_counted_from_its_begin() {
    let second = Duration::from_secs(1);
    let pause = Credit { still: second, begun: second };
    let cases = [
        // (its age at the first look, looks after that until it counts as hung)
        (Duration::ZERO, 11),
        (Duration::from_millis(450), 6),
        (Duration::from_millis(950), 1),
        (Duration::from_secs(60), 1),
    ];
    for (age, expected) in cases {
        let mut watch = Watch::new();
        assert!(!watch.look(Activity::Busy(9), age, pause, &DEADLINES), "{age:?}");
        let looks =
            (1..100).find(|_| watch.look(Activity::Busy(9), age, CREDIT, &DEADLINES)).unwrap();
        assert_eq!(looks, expected, "{age:?}");
    }
}

#[test]
fn the_checker_looks_less_often_while_all_rests() {
    assert_eq!(Activity::Resting.pause(&DEADLINES), IDLE_PAUSE);
    assert_eq!(Activity::Busy(1).pause(&DEADLINES), Duration::from_millis(100));
    assert_eq!(Activity::Ending.pause(&DEADLINES), Duration::from_micros(62_500));
}

#[test]
fn something_with_a_deadline_brings_the_next_look_forward() {
    let begin = Instant::now();
    let mut pulse = Pulse::new(begin);
    assert_eq!(pulse.due(), begin + IDLE_PAUSE);
    pulse.hurry(begin + Duration::from_millis(50));
    assert_eq!(pulse.due(), begin + Duration::from_millis(150));
    pulse.hurry(begin + Duration::from_millis(120));
    assert_eq!(pulse.due(), begin + Duration::from_millis(150), "never put off");
}

#[test]
fn looks_at_resting_components_keep_step_with_the_clock() {
    let begin = Instant::now();
    let mut pulse = Pulse::new(begin);
    let cases = [
        // (a look comes after ms, the next one is due after ms)
        (0, 1024),
        (900, 1024),
        (1024, 2048),
        (1025, 2048),
        (5000, 5120),
    ];
    for (at, due) in cases {
        pulse.credit(begin + Duration::from_millis(at));
        pulse.plan(IDLE_PAUSE);
        assert_eq!(pulse.due(), begin + Duration::from_millis(due), "after a look at {at} ms");
    }
}

use super::*;

const DEADLINES: Deadlines = Deadlines {
    start: Duration::from_secs(2),
    handle: Duration::from_secs(1),
    stop: Duration::from_millis(500),
};
const LOOK: Duration = Duration::from_millis(100);

/// How many looks it takes until that activity counts as hung, out of 100.
fn looks_until_hung(activity: Activity) -> Option<usize> {
    let mut watch = Watch::new();
    (1..=100).find(|_| watch.look(activity, LOOK, &DEADLINES))
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
    let hung = (0..1000).any(|look| watch.look(Activity::Busy(look / 10), LOOK, &DEADLINES));
    assert!(!hung, "no message took more than a second");
    let hung = (0..1000).any(|look| watch.look(Activity::Ignoring(look / 10), LOOK, &DEADLINES));
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
        let credited = pulse.credit(now);
        assert!(credited <= 2 * LOOK, "{credited:?} of {pause:?}");
        assert!(!watch.look(Activity::Busy(1), credited, &DEADLINES));
        pulse.plan(LOOK);
    }
}

#[test]
fn the_checker_looks_less_often_while_all_rests() {
    assert_eq!(Activity::Resting.pause(&DEADLINES), Duration::from_millis(500));
    assert_eq!(Activity::Busy(1).pause(&DEADLINES), Duration::from_millis(100));
    assert_eq!(Activity::Ending.pause(&DEADLINES), Duration::from_micros(62_500));
}

#[test]
fn something_with_a_deadline_brings_the_next_look_forward() {
    let begin = Instant::now();
    let mut pulse = Pulse::new(begin);
    assert_eq!(pulse.due(), begin + Duration::from_millis(500));
    pulse.hurry(begin + Duration::from_millis(50));
    assert_eq!(pulse.due(), begin + Duration::from_millis(150));
    pulse.hurry(begin + Duration::from_millis(120));
    assert_eq!(pulse.due(), begin + Duration::from_millis(150), "never put off");
}

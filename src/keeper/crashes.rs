//! Counts crashed workers: when to start the next one, and when to stop trying.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Crashes within [`LOOP_WINDOW`] that make a crash loop.
const LOOP_CRASHES: usize = 5;

/// See [`LOOP_CRASHES`]. A worker that lives this long ends the loop.
const LOOP_WINDOW: Duration = Duration::from_secs(30);

/// Wait before the first attempt in a crash loop.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Wait before every later one.
const LATER_WAIT: Duration = Duration::from_secs(30);

/// What counts as recent for a worker that asks whether to trust what its forerunners held.
const RECENT: Duration = Duration::from_secs(10);

/// When the next worker starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Now: packets wait in the kernel.
    AtOnce,
    /// Crash loop: the queues are closed, and it is tried again after this long.
    After(Duration),
}

/// The crashes so far.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    times: VecDeque<Instant>,
    total: u32,
    looping: bool,
}

impl Crashes {
    /// So many before, of which no time is known.
    pub(super) fn after(total: u32) -> Self {
        Self { total, ..Self::default() }
    }

    /// Counts a crash of a worker that lived for `lived`.
    pub(super) fn record(&mut self, now: Instant, lived: Duration) -> Next {
        self.total = self.total.saturating_add(1);
        self.times.push_back(now);
        self.times.retain(|time| now.saturating_duration_since(*time) < LOOP_WINDOW);
        if self.looping && lived < LOOP_WINDOW {
            return Next::After(LATER_WAIT);
        }
        self.looping = self.times.len() >= LOOP_CRASHES;
        if self.looping { Next::After(FIRST_WAIT) } else { Next::AtOnce }
    }

    /// Crashes within the last ten seconds.
    pub(super) fn recent(&self, now: Instant) -> u32 {
        let recent =
            self.times.iter().filter(|time| now.saturating_duration_since(**time) < RECENT);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// All of them, since the keeper started.
    pub(super) fn total(&self) -> u32 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each crash: seconds since the one before, seconds that the worker lived, what follows.
    fn check(case: &str, crashes: &[(u64, u64, Next)]) {
        let mut log = Crashes::default();
        let mut now = Instant::now();
        for (index, (after, lived, expected)) in crashes.iter().enumerate() {
            now += Duration::from_secs(*after);
            let next = log.record(now, Duration::from_secs(*lived));
            assert_eq!(next, *expected, "{case}: crash {index}");
        }
        assert_eq!(log.total() as usize, crashes.len());
    }

    #[test]
    fn five_crashes_in_thirty_seconds_are_a_loop() {
        let now = Next::AtOnce;
        let first = Next::After(FIRST_WAIT);
        let later = Next::After(LATER_WAIT);
        check("a single one", &[(0, 100, now)]);
        check("four", &[(0, 1, now), (1, 1, now), (1, 1, now), (1, 1, now)]);
        let five = [(0, 1, now), (1, 1, now), (1, 1, now), (1, 1, now), (1, 1, first)];
        check("five", &five);
        let slow = [(0, 1, now), (8, 8, now), (8, 8, now), (8, 8, now), (8, 8, now)];
        check("five in more than thirty seconds", &slow);
        check("again soon", &[&five[..], &[(5, 0, later), (30, 0, later)]].concat());
        check("again after a good while", &[&five[..], &[(40, 35, now)]].concat());
    }

    #[test]
    fn only_the_last_ten_seconds_are_recent() {
        let mut log = Crashes::default();
        let start = Instant::now();
        log.record(start, Duration::ZERO);
        log.record(start + Duration::from_secs(6), Duration::from_secs(6));
        assert_eq!(log.recent(start + Duration::from_secs(7)), 2);
        assert_eq!(log.recent(start + Duration::from_secs(11)), 1);
        assert_eq!(log.recent(start + Duration::from_secs(17)), 0);
        assert_eq!(log.total(), 2);
    }
}

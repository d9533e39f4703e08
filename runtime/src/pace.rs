//! How often something may be done whose cost grows with what there is to look at.

use std::time::{Duration, Instant};

/// How much longer than a look the pause after it is: two hundredths of a
/// core, however long a look takes.
const PAUSE_PER_LOOK: u32 = 50;

/// Says when it is time to look again. Time in, answer out.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    at_least: Duration,
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// At most once in so long.
    pub fn new(at_least: Duration) -> Self {
        Self { at_least, last: None }
    }

    /// Whether it is time.
    pub fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|(when, took)| {
            now.duration_since(when) >= self.at_least.max(took * PAUSE_PER_LOOK)
        })
    }

    /// It was done then, and took so long.
    pub fn done(&mut self, when: Instant, took: Duration) {
        self.last = Some((when, took));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_after_its_pause_and_one_that_takes_long_after_a_longer_one() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new(Duration::from_millis(500));
        assert!(pace.is_due(start), "nobody looked yet");
        pace.done(start, Duration::from_millis(2));
        assert!(!pace.is_due(after(499)));
        assert!(pace.is_due(after(500)));
        pace.done(start, Duration::from_millis(40));
        assert!(!pace.is_due(after(1_999)));
        assert!(pace.is_due(after(2_000)));
    }
}

//! Whether a component is hung, judged from outside.
//!
//! The checker adds up how long it saw the same thing go on. It credits no
//! more than the pause that it had planned, so that time in which it did not
//! run itself (a loaded machine, a suspended one) makes nobody look hung.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::clock;
use crate::spec::Deadlines;

/// What a component was seen doing. Equal at two looks means: no progress between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing, and nothing waits for it.
    Resting,
    /// It starts.
    Starting,
    /// It works, since this stamp.
    Busy(u64),
    /// It doesn't work although messages wait; so many were taken.
    Ignoring(u64),
    /// It is to stop, or its actor has ended and its thread not yet.
    Ending,
}

/// How long one incarnation has been seen doing the same.
pub(super) struct Watch {
    activity: Activity,
    seen_for: Duration,
}

/// Counts the checker's own time.
pub(super) struct Pulse {
    origin: Instant,
    last: Instant,
    planned: Duration,
}

/// How much of the time since the last look counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credit {
    /// Against what was seen then, too.
    pub(super) still: Duration,
    /// Against what has begun since.
    pub(super) begun: Duration,
}

/// Longest pause between looks while something goes on.
const MOST_PAUSE: Duration = Duration::from_millis(100);
/// Shortest.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Pause while everything rests: a look costs some 100 us of a machine that has
/// other things to do, and all of us together may idle at a thousandth of a core.
/// Tokio's timers turn in steps of 64 ms and wake twice for what lies between.
const IDLE_PAUSE: Duration = Duration::from_millis(16 * 64);

impl Activity {
    /// How long this may go on.
    pub(super) fn limit(self, deadlines: &Deadlines) -> Option<Duration> {
        match self {
            Self::Resting => None,
            Self::Starting => Some(deadlines.start),
            Self::Busy(_) | Self::Ignoring(_) => Some(deadlines.handle),
            Self::Ending => Some(deadlines.stop),
        }
    }

    /// As told to people.
    pub(super) fn describe(self, limit: Duration) -> String {
        let what = match self {
            Self::Resting => "rested",
            Self::Starting => "did not finish its start",
            Self::Busy(_) => "did not finish a message",
            Self::Ignoring(_) => "did not take up its messages",
            Self::Ending => "did not stop",
        };
        format!("hung: {what} within {limit:?}")
    }

    /// How long it has gone on, where that can be told from itself.
    pub(super) fn age(self) -> Duration {
        match self {
            Self::Busy(since) => clock::since(since),
            Self::Resting | Self::Starting | Self::Ignoring(_) | Self::Ending => Duration::ZERO,
        }
    }

    /// How long the checker may pause for one that does this.
    pub(super) fn pause(self, deadlines: &Deadlines) -> Duration {
        match self.limit(deadlines) {
            Some(limit) => (limit / 8).clamp(LEAST_PAUSE, MOST_PAUSE),
            None => IDLE_PAUSE,
        }
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { activity: Activity::Resting, seen_for: Duration::ZERO }
    }

    /// Takes a look at an activity of that age. Whether it has gone on for longer
    /// than it may, which nobody is told of at the first look that sees it.
    pub(super) fn look(
        &mut self,
        activity: Activity,
        age: Duration,
        credit: Credit,
        deadlines: &Deadlines,
    ) -> bool {
        if self.activity != activity {
            *self = Self { activity, seen_for: age.min(credit.begun) };
            return false;
        }
        self.seen_for += credit.still;
        activity.limit(deadlines).is_some_and(|limit| self.seen_for > limit)
    }
}

impl Pulse {
    /// From `origin` on, when the checker's clock began.
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, last: origin, planned: IDLE_PAUSE }
    }

    /// The time since the last look that counts.
    pub(super) fn credit(&mut self, now: Instant) -> Credit {
        let elapsed = now.saturating_duration_since(self.last);
        self.last = now;
        let late = elapsed.saturating_sub(self.planned);
        Credit {
            still: elapsed.min(self.planned.saturating_mul(2)),
            begun: elapsed.min(self.planned).saturating_sub(late),
        }
    }

    /// Plans the next look.
    pub(super) fn plan(&mut self, pause: Duration) {
        self.planned = if pause < IDLE_PAUSE { pause } else { self.until_next_beat() };
    }

    /// Brings the next look forward: something has begun that has a deadline.
    pub(super) fn hurry(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last);
        self.planned = self.planned.min(elapsed + MOST_PAUSE);
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Instant {
        self.last + self.planned
    }

    /// From the last look to the next whole multiple of the idle pause.
    fn until_next_beat(&self) -> Duration {
        let since = self.last.saturating_duration_since(self.origin).as_nanos();
        let over = since % IDLE_PAUSE.as_nanos();
        IDLE_PAUSE.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or_default()))
    }
}

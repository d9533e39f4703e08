//! A pause: everything passes, for a time that was set.

use std::time::{Duration, Instant, SystemTime};

/// Longest pause: whoever wants more wants another policy.
pub const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// A pause that was begun. It ends by whichever clock says so first: the one on
/// the wall goes on while a machine sleeps, the other can't be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// When it began.
    pub(crate) begun: SystemTime,
    /// How long it lasts.
    pub(crate) length: Duration,
    end: Instant,
}

impl Pause {
    /// One that begins now.
    pub(crate) fn begin(length: Duration, wall: SystemTime, now: Instant) -> Self {
        let length = length.min(MAX_PAUSE);
        Self { begun: wall, length, end: now + length }
    }

    /// One that was begun before this process started, if it isn't over. A
    /// clock that was set back since ends it: nobody knows how long it has lasted.
    pub(crate) fn resume(
        begun: SystemTime,
        length: Duration,
        wall: SystemTime,
        now: Instant,
    ) -> Option<Self> {
        let length = length.min(MAX_PAUSE);
        let left = length.checked_sub(wall.duration_since(begun).ok()?)?;
        (!left.is_zero()).then_some(Self { begun, length, end: now + left })
    }

    /// How much of it is left; `None`: it is over.
    pub(crate) fn left(&self, wall: SystemTime, now: Instant) -> Option<Duration> {
        let by_wall = match wall.duration_since(self.begun) {
            Ok(elapsed) => self.length.saturating_sub(elapsed),
            Err(_) => self.length,
        };
        let left = self.end.saturating_duration_since(now).min(by_wall);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(600);

    fn wall(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn it_ends_by_whichever_clock_says_so_first() {
        let now = Instant::now();
        let pause = Pause::begin(TEN, wall(1_000), now);
        // Seconds on the wall, seconds that passed, seconds that are left.
        let cases = [
            (1_000, 0, Some(600)),
            (1_200, 200, Some(400)),
            (1_600, 600, None),
            // The machine slept.
            (1_700, 10, None),
            // The clock was set back.
            (500, 200, Some(400)),
            (500, 600, None),
        ];
        for (at, passed, left) in cases {
            let found = pause.left(wall(at), now + Duration::from_secs(passed));
            assert_eq!(found, left.map(Duration::from_secs), "{at} {passed}");
        }
        assert_eq!(Pause::begin(2 * MAX_PAUSE, wall(0), now).length, MAX_PAUSE);
    }

    #[test]
    fn what_is_left_of_it_is_taken_up_after_a_restart() {
        let now = Instant::now();
        let cases =
            [(1_000, Some(600)), (1_599, Some(1)), (1_600, None), (9_000, None), (999, None)];
        for (at, left) in cases {
            let pause = Pause::resume(wall(1_000), TEN, wall(at), now);
            let found = pause.and_then(|pause| pause.left(wall(at), now));
            assert_eq!(found, left.map(Duration::from_secs), "{at}");
        }
    }
}

//! Whether the worker still gives signs of life.

use std::time::{Duration, Instant};

/// How long a worker may be silent once it beat for the first time.
const SILENCE: Duration = Duration::from_secs(3);

/// How long a worker may take to its first heartbeat: it opens its database meanwhile.
const FIRST_SIGN: Duration = Duration::from_secs(10);

/// How long a worker may take to die after it closed the link: it has an exit code to tell.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// The clock of one worker. Time in which the keeper itself could not listen does not count.
#[derive(Debug)]
pub(super) struct Liveness {
    last_sign: Instant,
    patience: Duration,
}

impl Liveness {
    /// For a worker that starts now.
    pub(super) fn new(now: Instant) -> Self {
        Self { last_sign: now, patience: FIRST_SIGN }
    }

    /// A frame that is no heartbeat came: a sign of life from a worker that still starts.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_sign = now;
    }

    /// A heartbeat came: from now on the worker is expected to go on like that.
    pub(super) fn beat(&mut self, now: Instant) {
        self.last_sign = now;
        self.patience = SILENCE;
    }

    /// It closed the link, so there will be no other sign.
    pub(super) fn hung_up(&mut self, now: Instant) {
        self.last_sign = now;
        self.patience = LAST_BREATH;
    }

    /// The keeper did not listen for so long.
    pub(super) fn deaf_for(&mut self, time: Duration) {
        self.last_sign += time;
    }

    /// When patience ends, unless something comes.
    pub(super) fn deadline(&self) -> Instant {
        self.last_sign + self.patience
    }

    /// Whether it has ended.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now >= self.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_long_before_the_first_heartbeat_and_short_after() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut liveness = Liveness::new(start);
        assert!(!liveness.is_silent(at(9)));
        assert!(liveness.is_silent(at(10)));
        liveness.heard(at(5));
        assert!(!liveness.is_silent(at(14)));
        liveness.beat(at(14));
        assert!(!liveness.is_silent(at(16)));
        assert!(liveness.is_silent(at(17)));
    }

    #[test]
    fn who_hung_up_has_little_time_left() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start);
        liveness.hung_up(start);
        assert!(!liveness.is_silent(start + Duration::from_millis(999)));
        assert!(liveness.is_silent(start + Duration::from_secs(1)));
    }

    #[test]
    fn time_in_which_the_keeper_was_deaf_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut liveness = Liveness::new(start);
        liveness.beat(start);
        liveness.deaf_for(Duration::from_secs(60));
        assert!(!liveness.is_silent(at(62)));
        assert!(liveness.is_silent(at(63)));
    }
}

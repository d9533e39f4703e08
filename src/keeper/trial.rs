//! A new program on trial: how far its worker is, and how long each step may
//! take. Until it judges, packets wait in the kernel, so that time is short:
//! a connection that waits must not be given up by the program that opens it.
//!
//! The old keeper stays in charge of queues and rules until the trial is
//! passed, and takes its own program's worker back at the first failure.

use std::time::{Duration, Instant};

/// How long the new worker may take from its welcome until packets are judged:
/// it loads policy, and where they changed the programs in the kernel. At a thousand new
/// connections a second, those that wait so long are fewer than may be parked.
const TO_JUDGE: Duration = Duration::from_secs(3);

/// How long it must have judged packets without a crash.
const TO_PROVE: Duration = Duration::from_secs(1);

/// How long whoever asked for the upgrade may take to look whether all is well.
const TO_ACCEPT: Duration = Duration::from_secs(15);

/// How far the new worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Judging,
    Proven,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// Ask whether it is accepted. Said once.
    Ask,
    /// It took too long, with this.
    Fail(&'static str),
}

/// The clock of one trial.
#[derive(Debug)]
pub(super) struct Trial {
    stage: Stage,
    since: Instant,
}

impl Trial {
    /// Of a worker that is welcomed now.
    pub(super) fn new(now: Instant) -> Self {
        Self { stage: Stage::Preparing, since: now }
    }

    /// It judges packets.
    pub(super) fn judges(&mut self, now: Instant) {
        if self.stage == Stage::Preparing {
            *self = Self { stage: Stage::Judging, since: now };
        }
    }

    /// Whether it may be accepted.
    pub(super) fn is_proven(&self) -> bool {
        self.stage == Stage::Proven
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        let allowed = match self.stage {
            Stage::Preparing => TO_JUDGE,
            Stage::Judging => TO_PROVE,
            Stage::Proven => TO_ACCEPT,
        };
        self.since + allowed
    }

    /// What there is to do at this time.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if now < self.due() {
            return Step::Wait;
        }
        match self.stage {
            Stage::Preparing => Step::Fail("its worker did not judge packets within 3 s"),
            Stage::Proven => Step::Fail("nobody said within 15 s that it does well"),
            Stage::Judging => {
                *self = Self { stage: Stage::Proven, since: now };
                Step::Ask
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_well_is_asked_about_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trial = Trial::new(start);
        assert_eq!((trial.step(at(2999)), trial.due()), (Step::Wait, at(3000)));
        trial.judges(at(2000));
        trial.judges(at(2500));
        assert!(!trial.is_proven());
        assert_eq!((trial.step(at(2999)), trial.due()), (Step::Wait, at(3000)));
        assert_eq!(trial.step(at(3000)), Step::Ask);
        assert!(trial.is_proven());
        assert_eq!((trial.step(at(3001)), trial.due()), (Step::Wait, at(18_000)));
    }

    #[test]
    fn who_takes_too_long_fails_at_any_stage() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut idle = Trial::new(start);
        assert_eq!(idle.step(at(2)), Step::Wait);
        assert!(matches!(idle.step(at(3)), Step::Fail(why) if why.contains("judge")));
        let mut unloved = Trial::new(start);
        unloved.judges(at(1));
        assert_eq!(unloved.step(at(2)), Step::Ask);
        assert!(matches!(unloved.step(at(17)), Step::Fail(why) if why.contains("nobody")));
    }
}

//! How often something failed of late, and how long to wait before it is tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::random::xorshift;
use crate::spec::{Backoff, Intensity};

/// Failures within a window.
#[derive(Default)]
pub(super) struct History {
    failures: VecDeque<Instant>,
}

/// Spreads restarts, so that what failed together isn't tried together again.
pub(in crate::kernel) struct Jitter {
    state: u64,
}

impl History {
    /// Notes a failure. Whether they are more than the intensity allows.
    pub(super) fn record(&mut self, now: Instant, intensity: &Intensity) -> bool {
        let is_old = |failure: &Instant| now.saturating_duration_since(*failure) > intensity.window;
        while self.failures.front().is_some_and(is_old) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let exceeded = self.failures.len() > intensity.restarts as usize;
        if exceeded {
            self.failures.pop_front();
        }
        exceeded
    }
}

impl Jitter {
    /// Seeded, so that tests repeat.
    pub(in crate::kernel) fn new(seed: u64) -> Self {
        Self { state: seed.max(1) }
    }

    /// The wait before the restart after so many failures in a row.
    pub(super) fn delay(&mut self, backoff: &Backoff, failures_in_a_row: u32) -> Duration {
        let Some(doublings) = failures_in_a_row.checked_sub(2) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let wait = backoff.first.saturating_mul(factor).min(backoff.most);
        self.state = xorshift(self.state);
        // Up to a quarter, in steps of a 1/1024th of it.
        let share = u32::try_from(self.state % 1024).unwrap_or_default();
        wait + wait / 4 * share / 1024
    }
}

//! Waiting for conditions, and collecting what is wrong before saying so.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Times that wait for something to happen are so much longer: `LAB_SLOWNESS`, for machines that are
/// translated instruction by instruction. Times that show that something doesn't happen stay.
pub fn patient(within: Duration) -> Duration {
    let slowness = std::env::var("LAB_SLOWNESS").ok().and_then(|text| text.parse().ok());
    within * slowness.unwrap_or(1)
}

/// Looks until `look` gives something; `None` after `within`.
pub fn until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let within = patient(within);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() >= within {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Looks until the condition holds, and panics with `what` when it doesn't within the time.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    assert!(
        until(within, || condition().then_some(())).is_some(),
        "{what}: not within {} ms",
        patient(within).as_millis()
    );
}

/// Repeats a system call that was interrupted: a receive with a time limit isn't repeated by the kernel.
pub fn uninterrupted<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Collects what a long test finds wrong, so that one bad row doesn't hide the others.
#[derive(Debug, Default)]
pub struct Findings {
    checked: usize,
    wrong: Vec<String>,
}

impl Findings {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes `what` unless the condition holds.
    pub fn check(&mut self, holds: bool, what: impl Display) {
        self.checked += 1;
        if !holds {
            self.wrong.push(what.to_string());
        }
    }

    /// Takes in what another look found.
    pub fn join(&mut self, other: Self) {
        self.checked += other.checked;
        self.wrong.extend(other.wrong);
    }

    /// How many were wrong so far.
    pub fn wrong(&self) -> usize {
        self.wrong.len()
    }

    /// Panics with everything that was wrong, or when nothing was checked at all.
    #[track_caller]
    pub fn settle(self) {
        assert!(self.checked > 0, "nothing was checked");
        assert!(
            self.wrong.is_empty(),
            "{} of {} checks failed:\n  {}",
            self.wrong.len(),
            self.checked,
            self.wrong.join("\n  ")
        );
    }
}

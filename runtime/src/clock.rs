//! Monotonic time as a number that fits an atomic.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since some moment early in the life of this process. Never 0.
pub(crate) fn now_ns() -> u64 {
    let origin = ORIGIN.get_or_init(Instant::now);
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Time since a stamp of [`now_ns`].
pub(crate) fn since(stamp_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(stamp_ns))
}

//! Tells `prompt` whether a process still runs.

use std::time::{Duration, SystemTime};

use seawall_messages::process::ProcessKey;
use seawall_platform::linux::processes;
use seawall_prompt::Processes;

/// Asks `/proc`.
pub(super) struct RunningProcesses;

impl Processes for RunningProcesses {
    fn runs(&self, process: &ProcessKey, at: SystemTime) -> bool {
        // After a boot, another process may have the same id and start.
        let booted = SystemTime::now().checked_sub(since_boot());
        booted.is_none_or(|booted| at >= booted)
            && processes::started_ticks(process.pid) == Some(process.started_ticks)
    }
}

fn since_boot() -> Duration {
    const TICK_MS: u64 = 10;
    Duration::from_millis(processes::uptime_ticks().saturating_mul(TICK_MS))
}

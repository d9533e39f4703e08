//! Tells `prompt` and `policy` whether a process still runs, and `policy` when it has ended.

use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use seawall_messages::Snapshot;
use seawall_messages::process::ProcessKey;
use seawall_messages::rule::Run;
use seawall_platform::linux::processes::{self, Started};
use seawall_policy::{Running, RunningError, Wait, Wanted};
use seawall_process::oldest_running;
use seawall_prompt::Processes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// Most processes whose end the kernel is asked to tell of: each takes a descriptor. Others are looked at.
const MOST_TOLD_OF: usize = 256;

/// How often it is looked whether a process runs whose end nobody tells of.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks `/proc`.
pub(super) struct RunningProcesses;

impl Running for RunningProcesses {
    fn goes_on(&self, run: &Run) -> bool {
        processes::runs(started(run))
    }

    fn oldest(
        &self,
        app: &Wanted<'_>,
        snapshot: &Snapshot,
    ) -> Result<Option<ProcessKey>, RunningError> {
        oldest_running(app.matches, app.is_it, snapshot)
            .map_err(|error| RunningError(Box::new(error)))
    }

    fn one_ends(&self, runs: Vec<Run>) -> Wait {
        Box::pin(async move {
            // Those that are still waited for are dropped with it.
            let mut ends = JoinSet::new();
            for (number, run) in runs.iter().enumerate() {
                let end = match number < MOST_TOLD_OF {
                    true => processes::end_of(started(run)),
                    false => Err(rustix::io::Errno::MFILE.into()),
                };
                ends.spawn(ended(started(run), end));
            }
            ends.join_next().await;
        })
    }
}

/// Waits until the kernel tells of the end of a process, or else looks again and again.
async fn ended(process: Started, end: std::io::Result<Option<OwnedFd>>) {
    match end {
        Ok(None) => return,
        Ok(Some(descriptor)) => {
            if let Ok(end) = readable(descriptor)
                && end.readable().await.is_ok()
            {
                return;
            }
        }
        Err(_) => {}
    }
    while processes::runs(process) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[allow(
    deprecated,
    reason = "its successor is unsafe, because some types may change their descriptor behind tokio's back; an OwnedFd can't"
)]
fn readable(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

fn started(run: &Run) -> Started {
    Started { pid: run.pid, started_ticks: run.started_ticks }
}

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

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn cat() -> (Child, Run) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
        let started_ticks = processes::started_ticks(child.id()).expect("it runs");
        let boot = seawall_policy::rule::this_boot().expect("the kernel says it");
        let run = Run { pid: child.id(), started_ticks, boot };
        (child, run)
    }

    /// Whether one of them has ended by the time that the others are asked.
    async fn has_one_ended(runs: Vec<Run>, within: Duration) -> bool {
        tokio::time::timeout(within, RunningProcesses.one_ends(runs)).await.is_ok()
    }

    #[test]
    fn the_end_of_one_is_told_and_nothing_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let ((mut one, first), (mut other, second)) = (cat(), cat());
            let both = vec![first, second];
            assert!(!has_one_ended(both.clone(), Duration::from_millis(50)).await);
            drop(one.stdin.take());
            assert!(has_one_ended(both.clone(), SOON).await);
            assert!(has_one_ended(both, SOON).await, "who asks later is told at once");
            assert!(!RunningProcesses.goes_on(&first) && RunningProcesses.goes_on(&second));
            // Where the kernel doesn't tell, it is looked.
            let refused = || Err(rustix::io::Errno::NOSYS.into());
            drop(other.stdin.take());
            assert!(tokio::time::timeout(SOON, ended(started(&second), refused())).await.is_ok());
            one.wait().and_then(|_| other.wait()).expect("both have ended");
        });
    }
}

//! Whether a socket can have been used by somebody else than the process that has it open.

use std::time::{Duration, Instant};

use seawall_platform::linux::processes;
use seawall_runtime::BoundedTable;

/// The longest that a packet waits before its owner is looked for.
const PACKETS_WAIT: Duration = Duration::from_secs(5);
pub(crate) const PACKETS_WAIT_TICKS: u64 = 500;
/// Processes whose children are watched.
const MOST_PARENTS: usize = 4_096;

/// What was seen of processes and their children.
pub(crate) struct Sharing {
    /// Page faults of a process's ended children, and since when there are so many.
    children: BoundedTable<(u32, u64), (u64, Instant)>,
}

impl Sharing {
    pub(crate) fn new() -> Self {
        Self { children: BoundedTable::new(MOST_PARENTS) }
    }

    /// When the process started, in hundredths of a second since boot, unless another program may have
    /// used a socket that it has open, and ended since the packet was sent: a child, or
    /// whoever left it the socket. When children ended, only looking again and again tells.
    pub(crate) fn used_alone(&mut self, pid: u32, inode: u32) -> Option<u64> {
        let ended = processes::ended_children(pid)?;
        let started = ended.parent_started_ticks;
        let is_young = |started: u64| processes::uptime_ticks() < started + PACKETS_WAIT_TICKS;
        if ended.waits_for_some || ended.youngest_ticks.is_some_and(is_young) {
            return None;
        }
        if is_young(started)
            && (processes::stays_open_over_exec(pid, inode) || same_file(pid, ended.grandparent))
        {
            return None;
        }
        let now = Instant::now();
        let known = self.children.get(&(pid, started)).copied();
        let since = match known {
            Some((faults, since)) if faults == ended.page_faults => since,
            _ => {
                self.children.insert((pid, started), (ended.page_faults, now));
                now
            }
        };
        let is_settled = ended.page_faults == 0 || now.duration_since(since) >= PACKETS_WAIT;
        is_settled.then_some(started)
    }
}

/// Whether a process runs the same file as its parent: then it may be about to become another program.
fn same_file(pid: u32, parent: u32) -> bool {
    let file = |pid: u32| processes::file_id(format!("/proc/{pid}/exe"));
    file(parent).is_none_or(|theirs| file(pid) == Some(theirs))
}

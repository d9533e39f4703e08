//! Which processes run, the oldest first, and when one has ended.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::owners::{list, open_proc};
use super::{ProcessesError, text};

/// A process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id in our pid namespace.
    pub pid: u32,
    /// When it started, in hundredths of a second since boot.
    pub started_ticks: u64,
}

/// All that run now, threads of the kernel aside, the oldest first. At most
/// [`MAX_PROCESSES`](super::MAX_PROCESSES) are looked at.
pub fn all_running() -> Result<Vec<Started>, ProcessesError> {
    let started = |pid: u32| {
        let stat = stat(pid).filter(|stat| !stat.is_kernel_thread && !stat.has_ended)?;
        Some(Started { pid, started_ticks: stat.started_ticks })
    };
    let listed = list(&open_proc()?)?;
    let mut running: Vec<_> = listed.iter().filter_map(|it| started(it.pid)).collect();
    running.sort_unstable_by_key(|process| (process.started_ticks, process.pid));
    Ok(running)
}

/// Whether the process with this id that started then runs: one whose parent has yet to be told
/// that it ended does not.
pub fn runs(process: Started) -> bool {
    stat(process.pid)
        .is_some_and(|stat| stat.started_ticks == process.started_ticks && !stat.has_ended)
}

/// A descriptor that can be read from once the process has ended (pidfd_open(2)). `None`: it has.
pub fn end_of(process: Started) -> std::io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        // Looked at afterwards: who has that id and that start now had it when it was opened.
        Ok(descriptor) => Ok(runs(process).then_some(descriptor)),
        Err(Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn stat(pid: u32) -> Option<text::Stat> {
    text::stat(&text::read_once(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn is_readable(descriptor: &OwnedFd, within: Duration) -> bool {
        let within = Timespec::try_from(within).expect("a short time");
        let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
        poll(&mut polled, Some(&within)).is_ok_and(|ready| ready == 1)
    }

    #[test]
    fn a_process_runs_until_it_has_ended_and_not_until_its_parent_knows() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
        let started_ticks = super::super::started_ticks(child.id()).expect("it runs");
        let process = Started { pid: child.id(), started_ticks };
        assert!(runs(process));
        let all = all_running().expect("they are listed");
        assert!(all.contains(&process));
        assert!(all.is_sorted_by_key(|process| process.started_ticks));
        let end = end_of(process).expect("pidfd_open works").expect("it runs");
        assert!(!is_readable(&end, Duration::ZERO));
        drop(child.stdin.take());
        assert!(is_readable(&end, SOON), "it is told of");
        assert!(!runs(process), "a zombie");
        assert!(end_of(process).expect("pidfd_open works").is_none());
        assert!(!all_running().expect("they are listed").contains(&process));
        child.wait().expect("it has ended");
        assert!(!runs(process));
        assert!(end_of(process).expect("pidfd_open works").is_none());
    }

    #[test]
    fn another_process_of_the_same_id_is_another() {
        let pid = std::process::id();
        let started_ticks = super::super::started_ticks(pid).expect("we run") + 1;
        let other = Started { pid, started_ticks };
        assert!(!runs(other));
        assert!(end_of(other).expect("pidfd_open works").is_none());
        let nobody = Started { pid: u32::MAX, started_ticks };
        assert!(!runs(nobody));
        assert!(end_of(nobody).expect("no process has that id").is_none());
    }
}

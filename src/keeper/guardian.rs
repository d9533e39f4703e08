//! The guardian: a process of the old program that waits beside an exec of the
//! keeper, with a copy of every descriptor, so that no queue closes whatever
//! the new program does. Once the new keeper has heard its worker it says so,
//! and the guardian ends.
//!
//! If the new keeper dies instead, or says nothing in time, the guardian ends
//! it and takes its place. Under a service manager it leaves that to it: the
//! manager has copies of the descriptors, and starts the service again.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::estate::{
    self, Belongings, ESTATE_VARIABLE, Estate, EstateError, GuardianPart, Passage,
};
use super::{Keeper, KeeperError, events, service_manager};

/// How long the new keeper may take to hear its worker, who speaks twice a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a killed process may take to be gone.
const DEATH: Duration = Duration::from_secs(5);

/// What the new keeper says once all is well.
const WELL: &[u8] = b"well";

/// The guardian, as the old keeper sees it.
pub(super) struct Guardian {
    pid: Pid,
    link: UnixStream,
}

impl Guardian {
    /// Starts one that has these descriptors, which are those of the estate.
    pub(super) fn spawn(
        estate: &Estate,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Self, KeeperError> {
        let (ours, theirs) = UnixStream::pair().map_err(KeeperError::Spawn)?;
        let memory = estate.write()?;
        let mut passing = descriptors.to_vec();
        passing.push(memory.as_fd());
        let passage = Passage::open(passing)?;
        let child = Command::new("/proc/self/exe")
            .arg0("seawall")
            .arg("guardian")
            .env(ESTATE_VARIABLE, estate::number(&memory).to_string())
            // What the terminal sends reaches the keeper alone.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(KeeperError::Spawn)?;
        drop(passage);
        Ok(Self { pid: Pid::from_child(&child), link: ours })
    }

    /// What the new keeper must know of it.
    pub(super) fn part(&self) -> GuardianPart {
        GuardianPart { pid: self.pid.as_raw_pid(), link: estate::number(&self.link) }
    }

    /// The keeper's end: when the last copy is closed, the keeper is dead.
    pub(super) fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// The exec failed, and the old keeper is still there.
    pub(super) fn dismiss(mut self) {
        say_well(&mut self.link);
        // It ends at once. What can fail is only that it did before.
        let _ = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED);
    }
}

/// The guardian, as the new keeper sees it.
pub(super) enum Guard {
    /// There is none.
    None,
    /// It waits for the word.
    Watching { pid: Pid, link: UnixStream },
    /// It has it, and ends.
    Leaving(Pid),
}

impl Guard {
    /// The one that the old keeper started.
    pub(super) fn take_over(part: Option<GuardianPart>) -> Result<Self, EstateError> {
        let Some(GuardianPart { pid, link }) = part else { return Ok(Self::None) };
        let pid =
            Pid::from_raw(pid).ok_or_else(|| EstateError::Missing("a guardian".to_owned()))?;
        let link = estate::adopt("the link to the guardian", link)?.into();
        Ok(Self::Watching { pid, link })
    }

    /// Whether the new keeper is still to prove itself.
    pub(super) fn is_watching(&self) -> bool {
        matches!(self, Self::Watching { .. })
    }

    /// All is well.
    pub(super) fn confirm(&mut self) {
        if let Self::Watching { pid, link } = self {
            say_well(link);
            *self = Self::Leaving(*pid);
        }
    }

    /// Looks whether it has ended: it is a child of this process.
    pub(super) fn reap(&mut self) {
        if let Self::Leaving(pid) = self {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            if !matches!(waitid(WaitId::Pid(*pid), how), Ok(None)) {
                *self = Self::None;
            }
        }
    }
}

/// What the guardian does: waits, and comes back if it must.
pub(super) fn watch() -> Result<(), KeeperError> {
    let number = estate::handed_on();
    let number = number.ok_or_else(|| EstateError::Missing("its estate".to_owned()))?;
    let estate = Estate::take(number)?;
    let belongings = estate.take_belongings()?;
    let keeper = process(estate.keeper_pid.cast_signed());
    let worker = estate.worker.and_then(|worker| {
        // Only the keeper's end of the worker's link may outlive the exec: the
        // worker must see that the keeper is gone.
        drop(estate::adopt("the link to the worker", worker.link));
        process(worker.pid)
    });
    let reason = match wait_for_word() {
        Word::Well => return Ok(()),
        Word::Gone => "it ended before it had heard the worker",
        Word::Nothing => "it did not hear the worker in time",
    };
    events::guardian_steps_in(reason);
    for process in [keeper, worker].into_iter().flatten() {
        end(&process);
    }
    if service_manager::is_there() {
        // It has copies of all that would be lost, and starts the service again.
        return Err(KeeperError::LeftToManager);
    }
    come_back(estate, belongings, &format!("the new keeper failed: {reason}"))
}

fn come_back(estate: Estate, belongings: Belongings, reason: &str) -> Result<(), KeeperError> {
    Keeper::come_back(estate, belongings, reason)?.guard()
}

enum Word {
    Well,
    Gone,
    Nothing,
}

/// What the new keeper says over standard input.
fn wait_for_word() -> Word {
    let stdin = std::io::stdin();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Word::Nothing;
        }
        if !wait_readable(stdin.as_fd(), left) {
            continue;
        }
        let mut buffer = [0; WELL.len()];
        return match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) => Word::Gone,
            Ok(_) => Word::Well,
            Err(Errno::INTR) => continue,
            Err(_) => Word::Gone,
        };
    }
}

fn process(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Kills a process and waits until it is gone.
fn end(process: &OwnedFd) {
    // Fails only where it is gone already.
    let _ = pidfd_send_signal(process, Signal::KILL);
    let deadline = Instant::now() + DEATH;
    while Instant::now() < deadline && !wait_readable(process.as_fd(), DEATH) {}
}

fn wait_readable(descriptor: BorrowedFd<'_>, at_most: Duration) -> bool {
    let timeout = Timespec::try_from(at_most).ok();
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    matches!(poll(&mut polled, timeout.as_ref()), Ok(1..))
}

/// One that died meanwhile doesn't need to know.
fn say_well(link: &mut UnixStream) {
    let _ = link.write_all(WELL);
}

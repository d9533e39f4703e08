//! Wakes a thread that polls descriptors.
//!
//! One word of state, as in a thread's park token: a waker leaves
//! `NOTIFIED` behind, and only the one that finds the thread asleep pays for a
//! system call. The fences pair "work, then look at the state" on one side
//! with "state, then look for work" on the other: at least one side sees the
//! other's write, so no wake-up is lost.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use seawall_runtime::Wake;

/// The thread is busy and nobody called since its last wait.
const AWAKE: u32 = 0;
/// The thread sleeps, or is about to: wakers must write the eventfd.
const ASLEEP: u32 = 1;
/// Somebody called: the current or next wait returns at once.
const NOTIFIED: u32 = 2;

/// An eventfd that is written only while the thread sleeps, so a busy thread costs its wakers one atomic read.
#[derive(Debug)]
pub struct EventWake {
    eventfd: OwnedFd,
    state: AtomicU32,
}

impl EventWake {
    /// Makes one.
    pub fn new() -> std::io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { eventfd, state: AtomicU32::new(AWAKE) })
    }

    /// Waits until `fd` is readable, somebody wakes us, or the time is over;
    /// returns at once if `has_work` says so after the flag is up. May return
    /// for no reason. Returns whether `fd` was seen to be readable; `false`
    /// where it was not looked at. For one thread at a time.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        at_most: Option<Duration>,
        has_work: impl Fn() -> bool,
    ) -> std::io::Result<bool> {
        let asleep =
            self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        fence(Ordering::SeqCst);
        let outcome = if asleep && !has_work() { self.sleep(fd, at_most) } else { Ok(false) };
        self.state.store(AWAKE, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        outcome
    }

    /// As [`wait`](Self::wait), but looks for work in a busy loop for up to `spin` before it sleeps.
    pub fn wait_spinning(
        &self,
        spin: Duration,
        fd: BorrowedFd<'_>,
        at_most: Option<Duration>,
        has_work: impl Fn() -> bool,
    ) -> std::io::Result<bool> {
        let until = Instant::now() + spin;
        while Instant::now() < until {
            if has_work() || self.state.load(Ordering::Relaxed) == NOTIFIED {
                self.state.store(AWAKE, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                return Ok(false);
            }
            std::hint::spin_loop();
        }
        self.wait(fd, at_most, has_work)
    }

    fn sleep(&self, fd: BorrowedFd<'_>, at_most: Option<Duration>) -> std::io::Result<bool> {
        // A time that the kernel can't express is as good as none.
        let timeout = at_most.and_then(|time| Timespec::try_from(time).ok());
        let mut descriptors = [
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
            PollFd::new(&self.eventfd, PollFlags::IN),
        ];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !descriptors[1].revents().is_empty() {
            let mut count = [0_u8; 8];
            match rustix::io::read(&self.eventfd, &mut count) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(!descriptors[0].revents().is_empty())
    }
}

impl Wake for EventWake {
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) == NOTIFIED {
            return;
        }
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP {
            // Fails only when the counter is full, and then the thread is awake already.
            let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
        }
    }
}

impl AsFd for EventWake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

#[cfg(test)]
mod tests;

//! Signals as a descriptor, for a single-threaded loop that polls.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals that end `seawall run` and one that is taken politely and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish in order.
    Stop,
    /// SIGHUP: nothing to do, files are watched.
    Hangup,
}

/// A signalfd (`signalfd(2)`) for SIGTERM, SIGINT and SIGHUP.
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// Blocks the three signals in this thread and opens the descriptor.
    /// Called before the process has another thread.
    pub fn open() -> io::Result<Self> {
        system::open().map(|fd| Self { fd })
    }

    /// The next signal, if one came. Never blocks.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut record) {
            Ok(_) => {
                // `ssi_signo` is the first field: a native-endian u32.
                let [a, b, c, d, ..] = record;
                let hangup = u32::from_ne_bytes([a, b, c, d]) == libc::SIGHUP.cast_unsigned();
                Ok(Some(if hangup { Signal::Hangup } else { Signal::Stop }))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[allow(unsafe_code, reason = "rustix has neither sigprocmask nor signalfd")]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::{FromRawFd, OwnedFd};

    pub(super) fn open() -> io::Result<OwnedFd> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set that the others read; all
        // pointers are to live locals, and a null old set is allowed.
        let raw = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let refused =
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            if refused != 0 {
                return Err(io::Error::from_raw_os_error(refused));
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor, nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_to_this_thread_is_read_not_delivered() {
        // A thread of its own: the mask stays with it.
        std::thread::spawn(|| {
            let signals = SignalFd::open().expect("a signalfd");
            assert_eq!(signals.next().expect("readable"), None);
            for (raise, expected) in [(libc::SIGHUP, Signal::Hangup), (libc::SIGTERM, Signal::Stop)]
            {
                let pid =
                    rustix::process::Pid::from_raw(rustix::thread::gettid().as_raw_nonzero().get())
                        .expect("a thread id");
                let signal = rustix::process::Signal::from_named_raw(raise).expect("a signal");
                tkill(pid, signal);
                assert_eq!(signals.next().expect("readable"), Some(expected));
            }
        })
        .join()
        .expect("the thread ends well");
    }

    #[allow(unsafe_code, reason = "rustix has no tgkill")]
    fn tkill(thread: rustix::process::Pid, signal: rustix::process::Signal) {
        // SAFETY: a system call on plain numbers; the signal is blocked in the thread named.
        let result = unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                libc::getpid(),
                thread.as_raw_nonzero().get(),
                signal.as_raw(),
            )
        };
        assert_eq!(result, 0);
    }
}

//! Descriptors that a service manager kept for us: the file descriptor store
//! of systemd (`sd_listen_fds(3)`).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// First descriptor number passed on (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// More than this is not ours.
const MOST: i32 = 64;

/// Takes the descriptors named in LISTEN_FDS and LISTEN_FDNAMES, with their
/// names, and makes them close-on-exec. Only the first call gets any; none if
/// LISTEN_PID is not this process. Called before the process opens others.
pub fn take() -> Vec<(String, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let number = |name| std::env::var(name).ok()?.parse::<i32>().ok();
    if number("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MOST);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    (FIRST..FIRST + count)
        .zip(names)
        .filter_map(|(raw, name)| Some((name, system::adopt(raw)?)))
        .collect()
}

#[allow(unsafe_code, reason = "a number becomes an owned descriptor")]
mod system {
    use std::os::fd::{FromRawFd, OwnedFd};

    pub(super) fn adopt(raw: i32) -> Option<OwnedFd> {
        // SAFETY: F_GETFD on any number is harmless; it fails where nothing is open.
        if unsafe { libc::fcntl(raw, libc::F_GETFD) } < 0 {
            return None;
        }
        // SAFETY: the service manager passed it to this process by number
        // (LISTEN_PID says so), it is open, and `take` hands it out only once.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
        Some(fd)
    }
}

//! Descriptors that came over an exec: those that a service manager kept for
//! us, the file descriptor store of systemd (`sd_listen_fds(3)`), and those
//! that a process hands on to the program that takes its place.
//!
//! What Seawall opens is close-on-exec, always. So a descriptor without that
//! flag was inherited, and nobody in this process has it yet.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
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

/// Takes the descriptor of that number, which was handed on with [`hand_on`]
/// over an exec, and makes it close-on-exec. `None`: there is none, or it is
/// one of the three streams, or somebody in this process has it.
pub fn adopt(raw: RawFd) -> Option<OwnedFd> {
    (raw >= FIRST).then(|| system::adopt(raw)).flatten()
}

/// Lets a descriptor through the next exec or spawn, or (`false`) no longer.
pub fn hand_on(descriptor: BorrowedFd<'_>, through: bool) -> io::Result<()> {
    let flags = if through { rustix::io::FdFlags::empty() } else { rustix::io::FdFlags::CLOEXEC };
    Ok(rustix::io::fcntl_setfd(descriptor, flags)?)
}

/// Puts another program in the place of this one, with the same process id.
/// Blocked signals stay blocked, and those that wait go on waiting. Returns
/// only when it failed.
pub fn replace_program(
    program: impl AsFd,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    system::execute(program.as_fd(), arguments, environment)
}

#[allow(
    unsafe_code,
    reason = "a number becomes an owned descriptor; an exec that keeps the signal mask"
)]
mod system {
    use std::ffi::CString;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

    pub(super) fn execute(
        program: BorrowedFd<'_>,
        arguments: &[CString],
        environment: &[CString],
    ) -> io::Error {
        let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(arguments), pointers(environment));
        // SAFETY: both lists end with a null pointer and point to strings that
        // the caller holds; an empty path with AT_EMPTY_PATH means the descriptor.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                program.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        io::Error::last_os_error()
    }

    pub(super) fn adopt(raw: i32) -> Option<OwnedFd> {
        // SAFETY: F_GETFD on any number is harmless; it fails where nothing is open.
        let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
        if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
            return None;
        }
        // SAFETY: it is open, and without close-on-exec: whoever started this
        // program passed it on. From here on it has the flag, so that it is
        // handed out only once.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
        Some(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_what_was_handed_on_is_adopted_and_only_once() {
        let file = std::fs::File::open("/dev/null").expect("there is a null device");
        let number = file.as_raw_fd();
        assert!(adopt(number).is_none(), "it is ours");
        hand_on(file.as_fd(), true).expect("flags can be set");
        hand_on(file.as_fd(), false).expect("flags can be set");
        assert!(adopt(number).is_none(), "it was kept after all");
        hand_on(file.as_fd(), true).expect("flags can be set");
        std::mem::forget(file);
        let adopted = adopt(number).expect("it was handed on");
        assert!(adopt(number).is_none(), "it has an owner");
        drop(adopted);
        for none in [-1, 0, 1, 2, 1 << 20] {
            assert!(adopt(none).is_none(), "{none}");
        }
    }

    #[test]
    fn what_is_no_program_is_not_executed() {
        let file = std::fs::File::open("/dev/null").expect("there is a null device");
        let error = replace_program(&file, &[c"null".into()], &[]);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

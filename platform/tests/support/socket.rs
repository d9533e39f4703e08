//! What tests do to sockets.

use std::os::fd::{AsFd, AsRawFd};

use rustix::process::Gid;

/// Makes `group` the group of the calling thread.
pub(crate) fn join_group(group: u32) {
    let group = Gid::from_raw(group);
    rustix::thread::set_thread_res_gid(group, group, group)
        .expect("to change the group: this test needs CAP_SETGID");
}

/// Sets the mark of a socket's packets (SO_MARK).
#[allow(unsafe_code, reason = "rustix doesn't know SO_MARK")]
pub(crate) fn set_mark(socket: &impl AsFd, mark: u32) {
    let length = libc::socklen_t::try_from(size_of::<u32>()).expect("four");
    // SAFETY: the value is a live u32 of the length given.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MARK,
            (&raw const mark).cast(),
            length,
        )
    };
    assert_eq!(outcome, 0, "to set a mark: this test needs CAP_NET_ADMIN");
}

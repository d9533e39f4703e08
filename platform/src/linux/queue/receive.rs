//! Many messages with one system call, each into memory of its own.
#![allow(unsafe_code, reason = "recvmmsg into shared memory has no safe face")]

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use super::super::journal::{Journal, MAX_MESSAGE_BYTES};

/// Messages per call: by then the call's own price has vanished.
pub(super) const MAX_MESSAGES: usize = 64;

/// The kernel's description of where messages go.
pub(super) struct Scatter {
    targets: [libc::iovec; MAX_MESSAGES],
    headers: [libc::mmsghdr; MAX_MESSAGES],
}

// SAFETY: the pointers inside are set anew by each `receive`, and looked at
// only by the kernel during that call.
unsafe impl Send for Scatter {}

impl Scatter {
    /// One without targets.
    pub(super) fn new() -> Box<Self> {
        let target = libc::iovec { iov_base: ptr::null_mut(), iov_len: MAX_MESSAGE_BYTES };
        // SAFETY: a plain C struct of integers and pointers, for which all
        // zeros are valid: no address, no control data, nothing to fill.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Box::new(Self { targets: [target; MAX_MESSAGES], headers: [header; MAX_MESSAGES] })
    }

    /// Receives what waits in the socket into these slots, in their order.
    /// Returns how many were filled; none is no error. Never blocks.
    pub(super) fn receive(
        &mut self,
        socket: impl AsFd,
        journal: &Journal,
        slots: &[u32],
    ) -> std::io::Result<usize> {
        let count = slots.len().min(MAX_MESSAGES);
        let prepared = self.headers.iter_mut().zip(&mut self.targets).zip(slots);
        for ((header, target), &slot) in prepared {
            target.iov_base = journal.message_address(slot).cast();
            header.msg_hdr.msg_iov = target;
            header.msg_hdr.msg_iovlen = 1;
        }
        let fd = socket.as_fd().as_raw_fd();
        let headers = self.headers.as_mut_ptr();
        // SAFETY: the first `count` headers were just pointed at one target
        // each, and each target at `MAX_MESSAGE_BYTES` of the journal's
        // mapping; all of them outlive the call. No time-out is given.
        let received = unsafe {
            libc::recvmmsg(fd, headers, count as u32, libc::MSG_DONTWAIT, ptr::null_mut())
        };
        if let Ok(received) = usize::try_from(received) {
            return Ok(received);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            // Nothing there; or the kernel remembers that it lost some, which the counters tell.
            Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS) => Ok(0),
            _ => Err(error),
        }
    }
}

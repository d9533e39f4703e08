//! Word of datagram sockets that close, from the socket tables themselves: for kernels that take no programs.

use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use seawall_messages::Protocol;

use super::wire;
use crate::linux::netlink::take_unasked;

/// Bits of the groups SKNLGRP_INET_UDP_DESTROY and SKNLGRP_INET6_UDP_DESTROY (linux/sock_diag.h: 2 and 4).
const GROUPS: u32 = 1 << (2 - 1) | 1 << (4 - 1);

/// Room for one message: a socket with its attributes takes some hundred bytes.
const RECEIVE_BYTES: usize = 2_048;

/// Bytes of messages that may wait, as the kernel counts them: some four thousand.
const WAITING_BYTES: usize = 4 << 20;

/// Most messages taken in one go.
const MAX_MESSAGES: usize = 8_192;

/// A socket that hears of every UDP socket of this network namespace as it is let go, which is when it is closed and
/// its last packet has left.
#[derive(Debug)]
pub struct ClosedSockets {
    fd: OwnedFd,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closings {
    /// Cookies of sockets that closed, in that order.
    pub cookies: Vec<u64>,
    /// Whether the kernel had no room for some: any socket may have closed.
    pub missed: bool,
}

impl ClosedSockets {
    /// Hears from now on. It never blocks.
    ///
    /// # Errors
    /// Where the kernel has no such groups (they are of Linux 4.2), or this process isn't privileged (CAP_NET_ADMIN).
    pub fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let fd = rustix::net::socket_with(family, kind, flags, Some(SOCK_DIAG))?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, GROUPS))?;
        sockopt::set_socket_recv_buffer_size_force(&fd, WAITING_BYTES)?;
        // Connected to the kernel, it takes messages from nobody else.
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { fd })
    }

    /// Takes what has come.
    pub fn take(&self) -> Result<Closings> {
        let mut closings = Closings::default();
        let mut buffer = [0; RECEIVE_BYTES];
        let each = |_, payload: &[u8]| {
            let closed = wire::parse(Protocol::UDP, payload);
            closings.cookies.extend(closed.map(|closed| closed.cookie()));
        };
        let taken = take_unasked(self.fd.as_fd(), &mut buffer, MAX_MESSAGES, each)?;
        closings.missed = taken.missed;
        Ok(closings)
    }
}

impl AsFd for ClosedSockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

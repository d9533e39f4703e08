//! Hears of every change to nftables rules of this network namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// Bit of multicast group NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h: 7).
const NFTABLES_GROUP: u32 = 1 << (7 - 1);

/// A netlink socket in the group of rule changes.
pub(super) struct RuleEvents {
    fd: OwnedFd,
}

impl RuleEvents {
    pub(super) fn open() -> std::io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(NETFILTER),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, NFTABLES_GROUP))?;
        Ok(Self { fd })
    }

    /// Takes all events that wait. Whether there was any; one that the kernel
    /// had no room for counts.
    pub(super) fn drain(&self) -> std::io::Result<bool> {
        let mut any = false;
        let mut buffer = [0_u8; 4096];
        loop {
            match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::AGAIN) => return Ok(any),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for RuleEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

//! The wireless networks that this network namespace's interfaces are connected to, as nl80211
//! tells, over generic netlink; and word of each that is joined or left.
//!
//! The family is looked for among those that are there. Asked for by its name, the kernel would
//! load the module for it, also on a machine that has no such card. One that has no such family,
//! or not yet, has no wireless networks.

mod wire;

use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{GENERIC, SocketAddrNetlink};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use seawall_messages::network::{MAX_INTERFACES, Ssid};

use self::wire::{Family, News};
use super::super::netlink::{Netlink, join_group};
use super::events;

/// What each interface is connected to, by the interface's number.
pub(super) fn look() -> Result<Vec<(u32, Ssid)>> {
    let mut netlink = Netlink::open(Some(GENERIC))?;
    let Some(family) = find(&mut netlink)? else { return Ok(Vec::new()) };
    let listed = netlink.dump(&wire::interfaces(&family), |into: &mut Vec<_>, payload| {
        if into.len() < MAX_INTERFACES {
            into.extend(wire::connected(payload));
        }
    });
    match listed {
        // The module was unloaded in between.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

fn find(netlink: &mut Netlink) -> Result<Option<Family>> {
    netlink.dump(&wire::families(), |found: &mut Option<Family>, payload| {
        if let Some(family) = wire::family(payload) {
            *found = Some(family);
        }
    })
}

/// A socket that hears when a wireless network is joined or left, and when nl80211 comes.
#[derive(Debug)]
pub(super) struct WirelessEvents {
    fd: OwnedFd,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Whether a network may have been joined or left.
    pub(super) changed: bool,
    /// Whether more waits.
    pub(super) more: bool,
}

impl WirelessEvents {
    /// Hears from now on. It never blocks.
    pub(super) fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(GENERIC),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, wire::FAMILIES_GROUP))?;
        // Connected to the kernel, it takes messages from nobody else.
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0))?;
        let events = Self { fd };
        // After the first group, so that one that comes right now is heard of.
        if let Some(family) = find(&mut Netlink::open(Some(GENERIC))?)? {
            events.join(&family)?;
        }
        Ok(events)
    }

    /// Takes what has come. Where it tells of nl80211 itself, what that says is heard from now on.
    pub(super) fn take(&self) -> Result<Heard> {
        let (mut changed, mut come) = (false, None);
        let taken =
            events::take(self.fd.as_fd(), |kind, payload| match wire::news(kind, payload) {
                News::Family(family) => come = Some(family),
                News::Connection => changed = true,
                News::None => {}
            })?;
        if let Some(family) = &come {
            self.join(family)?;
        }
        // Whoever is near can fill this socket: then it is looked, and nothing forgotten.
        Ok(Heard { changed: changed || come.is_some() || taken.missed, more: taken.more })
    }

    fn join(&self, family: &Family) -> Result<()> {
        let Some(group) = family.connections else { return Ok(()) };
        match join_group(self.fd.as_fd(), group) {
            // It is gone again.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            joined => joined,
        }
    }
}

impl AsFd for WirelessEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_wireless_cards_has_no_wireless_networks() {
        let events = WirelessEvents::open().expect("a socket, with nl80211 and without");
        events.take().expect("nothing goes wrong");
        // Whatever this machine is connected to: it is no error.
        look().expect("an answer");
    }
}

//! Word of changes, as it comes.

use std::io::Result;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use seawall_messages::network::Mac;

use super::super::netlink::{Taken, take_unasked};
use super::wire;
use super::wireless::WirelessEvents;

/// Interfaces, neighbours, addresses and routes of both families (linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;

/// Room for one message: the kernel makes them of a page or two.
const RECEIVE_BYTES: usize = 32 * 1024;

/// Most messages taken in one go.
const MAX_MESSAGES: usize = 1_024;

/// Most neighbours that are told of in one go; beyond, all may have changed.
const MAX_NEIGHBOURS: usize = 64;

/// Most interfaces that are told of as lost; beyond, all may be.
const MAX_LOST: usize = 64;

/// Sockets that hear of every change in this network namespace.
#[derive(Debug)]
pub struct NetworkEvents {
    routing: OwnedFd,
    wireless: WirelessEvents,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whether interfaces, addresses, default routes or wireless networks may have changed.
    pub changed: bool,
    /// Whether something was missed: everything may have changed.
    pub missed: bool,
    /// Whether more waits.
    pub more: bool,
    /// Interfaces that lost their link.
    pub lost: Vec<u32>,
    /// Neighbours that were found, each at its interface.
    pub neighbours: Vec<(u32, IpAddr, Mac)>,
}

impl NetworkEvents {
    /// Hears from now on. It never blocks.
    pub fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, GROUPS))?;
        // Connected to the kernel, it takes messages from nobody else.
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { routing: fd, wireless: WirelessEvents::open()? })
    }

    /// What can be read when something has come.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.routing.as_fd(), self.wireless.as_fd()]
    }

    /// Takes what has come. Where the kernel had no room for all, everything may have changed.
    pub fn take(&self) -> Result<Heard> {
        let mut heard = Heard::default();
        let routing = take(self.routing.as_fd(), |kind, body| heard.note(kind, body))?;
        let wireless = self.wireless.take()?;
        heard.missed |= routing.missed;
        heard.changed |= wireless.changed;
        heard.more = routing.more || wireless.more;
        Ok(heard)
    }
}

/// Takes the messages that wait at a socket.
pub(super) fn take(socket: BorrowedFd<'_>, each: impl FnMut(u16, &[u8])) -> Result<Taken> {
    take_unasked(socket, &mut vec![0; RECEIVE_BYTES], MAX_MESSAGES, each)
}

impl Heard {
    /// With what was heard later.
    pub fn and(mut self, later: Self) -> Self {
        self.changed |= later.changed;
        self.missed |= later.missed;
        self.more = later.more;
        for interface in later.lost {
            self.note_lost(interface);
        }
        for neighbour in later.neighbours {
            self.note_neighbour(neighbour);
        }
        self
    }

    fn note(&mut self, kind: u16, payload: &[u8]) {
        match kind {
            wire::NEW_LINK | wire::DEL_LINK => {
                self.changed = true;
                if let Some(interface) = wire::lost_link(kind, payload) {
                    self.note_lost(interface);
                }
            }
            wire::NEW_ADDRESS | wire::DEL_ADDRESS => self.changed = true,
            wire::NEW_ROUTE | wire::DEL_ROUTE => self.changed |= wire::is_default_route(payload),
            wire::NEW_NEIGHBOUR => {
                if let Some(neighbour) = wire::neighbour(payload) {
                    self.note_neighbour(neighbour);
                }
            }
            _ => {}
        }
    }

    fn note_neighbour(&mut self, neighbour: (u32, IpAddr, Mac)) {
        if self.neighbours.contains(&neighbour) {
            return;
        }
        if self.neighbours.len() < MAX_NEIGHBOURS {
            self.neighbours.push(neighbour);
        } else {
            self.changed = true;
        }
    }

    fn note_lost(&mut self, interface: u32) {
        if self.lost.contains(&interface) {
            return;
        }
        if self.lost.len() < MAX_LOST {
            self.lost.push(interface);
        } else {
            self.missed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(number: u32) -> (u32, IpAddr, Mac) {
        (number, IpAddr::from([10, 0, 0, 1]), Mac([1; 6]))
    }

    #[test]
    fn neighbours_beyond_the_bound_may_be_anybody() {
        let mut heard = Heard::default();
        for number in 0..64 {
            heard.note_neighbour(neighbour(number));
            heard.note_neighbour(neighbour(number));
        }
        assert_eq!((heard.neighbours.len(), heard.changed), (MAX_NEIGHBOURS, false));
        heard.note_neighbour(neighbour(64));
        assert_eq!((heard.neighbours.len(), heard.changed), (MAX_NEIGHBOURS, true));
    }

    #[test]
    fn what_is_heard_adds_up() {
        let lost = Heard { lost: vec![3], more: true, ..Heard::default() };
        let found = Heard { changed: true, neighbours: vec![neighbour(1)], ..Heard::default() };
        let both = Heard { lost: vec![3], more: false, ..found.clone() };
        assert_eq!(lost.clone().and(found), both);
        assert_eq!(lost.clone().and(lost.clone()), lost, "once each");
        let many = (0..65).fold(Heard::default(), |heard, interface| {
            heard.and(Heard { lost: vec![interface], ..Heard::default() })
        });
        assert_eq!((many.lost.len(), many.missed), (MAX_LOST, true));
    }

    #[test]
    fn nothing_new_is_no_error() {
        let events = NetworkEvents::open().expect("a routing socket");
        // Whatever happens on this machine meanwhile: it is taken without waiting.
        events.take().expect("nothing goes wrong");
    }
}

//! Which of this machine's interfaces leads to an address: by the kernel's
//! neighbour table, and through a bridge by its forwarding table.

use std::io::ErrorKind;
use std::net::IpAddr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use seawall_messages::network::Mac as EthernetAddress;

use super::netlink::{Netlink, Request, attributes, read_address, read_u32};

/// RTM_GETNEIGH (linux/rtnetlink.h).
const GET_NEIGHBOURS: u16 = 30;
/// Bytes of `struct ndmsg`: family, padding, interface, state, flags, type (linux/neighbour.h).
const HEADER_BYTES: usize = 12;
const INTERFACE_AT: usize = 4;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_MASTER: u16 = 9;

/// Bytes of an Ethernet address.
const MAC_BYTES: usize = 6;

type Mac = [u8; MAC_BYTES];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}")]
pub struct NeighboursError {
    /// What was attempted.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// An entry of either table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) interface: u32,
    pub(super) address: Option<IpAddr>,
    pub(super) mac: Option<Mac>,
    bridge: Option<u32>,
}

/// Name of the interface that leads to an address of a neighbour: a port, where that is a
/// bridge's. `None`: the kernel knows no such neighbour.
pub fn interface_towards(address: IpAddr) -> Result<Option<String>, NeighboursError> {
    let mut netlink = Netlink::open(None).map_err(failed("open the neighbour table"))?;
    let neighbours = read(&mut netlink, libc::AF_UNSPEC).map_err(failed("list neighbours"))?;
    let forwarding = match read(&mut netlink, libc::AF_BRIDGE) {
        Ok(entries) => entries,
        // A kernel without bridges.
        Err(error) if error.kind() == ErrorKind::Unsupported => Vec::new(),
        Err(error) => return Err(failed("list what bridges forward")(error)),
    };
    let Some(interface) = towards(address, &neighbours, &forwarding) else { return Ok(None) };
    name_of(interface).map_err(failed("name an interface"))
}

/// The Ethernet addresses of neighbours, each with its interface.
pub(super) fn ethernet(
    netlink: &mut Netlink,
) -> std::io::Result<impl Iterator<Item = ((u32, IpAddr), EthernetAddress)>> {
    let entries = read(netlink, libc::AF_UNSPEC)?;
    let of = |entry: Entry| Some(((entry.interface, entry.address?), EthernetAddress(entry.mac?)));
    Ok(entries.into_iter().filter_map(of))
}

fn read(netlink: &mut Netlink, family: i32) -> std::io::Result<Vec<Entry>> {
    let mut header = [0; HEADER_BYTES];
    // Families are small numbers.
    header[0] = family as u8;
    netlink.dump(&Request::new(GET_NEIGHBOURS, &header), |into: &mut Vec<Entry>, payload| {
        into.extend(parse(payload));
    })
}

pub(super) fn parse(payload: &[u8]) -> Option<Entry> {
    let interface = read_u32(payload, INTERFACE_AT)?;
    let mut entry = Entry { interface, address: None, mac: None, bridge: None };
    for (kind, value) in attributes(payload.get(HEADER_BYTES..)?) {
        match kind {
            NDA_DST => entry.address = read_address(value),
            NDA_LLADDR => entry.mac = value.try_into().ok(),
            NDA_MASTER => entry.bridge = read_u32(value, 0),
            _ => {}
        }
    }
    Some(entry)
}

/// The interface of the one neighbour that has the address; where that is a bridge, the one port
/// that the neighbour's Ethernet address was seen at.
fn towards(address: IpAddr, neighbours: &[Entry], forwarding: &[Entry]) -> Option<u32> {
    let mut with_address = neighbours.iter().filter(|entry| entry.address == Some(address));
    let neighbour = with_address.next()?;
    // An address that two interfaces lead to is nobody's in particular.
    if with_address.any(|other| other.interface != neighbour.interface) {
        return None;
    }
    let bridge = neighbour.interface;
    let mut ports = forwarding.iter().filter(|entry| entry.bridge == Some(bridge)).peekable();
    if ports.peek().is_none() {
        return Some(bridge);
    }
    let mac = neighbour.mac?;
    let mut at = ports.filter(|entry| entry.mac == Some(mac));
    let port = at.next()?.interface;
    (port != bridge && at.all(|other| other.interface == port)).then_some(port)
}

/// `None`: there is no such interface any more.
fn name_of(interface: u32) -> std::io::Result<Option<String>> {
    let any = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match netdevice::index_to_name(&any, interface) {
        Ok(name) => Ok(Some(name)),
        Err(errno) if errno == rustix::io::Errno::NODEV || errno == rustix::io::Errno::NXIO => {
            Ok(None)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> NeighboursError {
    move |source| NeighboursError { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: u32 = 4;

    fn neighbour(interface: u32, last: u8) -> Entry {
        let (address, mac) = (Some([10, 0, 0, last].into()), Some([last; MAC_BYTES]));
        Entry { interface, address, mac, bridge: None }
    }

    fn seen(port: u32, last: u8) -> Entry {
        Entry { interface: port, address: None, mac: Some([last; MAC_BYTES]), bridge: Some(BRIDGE) }
    }

    #[test]
    fn the_port_behind_a_bridge_is_found_by_the_neighbours_ethernet_address() {
        let neighbours = [
            neighbour(BRIDGE, 1),
            neighbour(BRIDGE, 2),
            neighbour(9, 3),
            neighbour(BRIDGE, 4),
            neighbour(9, 5),
            neighbour(8, 5),
            neighbour(BRIDGE, 6),
            neighbour(BRIDGE, 7),
        ];
        let forwarding =
            [seen(5, 1), seen(6, 2), seen(5, 4), seen(6, 4), seen(BRIDGE, 6), seen(5, 1)];
        let cases = [
            (1, Some(5), "at one port"),
            (2, Some(6), "at another"),
            (3, Some(9), "not behind a bridge"),
            (4, None, "seen at two ports"),
            (5, None, "two interfaces lead there"),
            (6, None, "the bridge's own"),
            (7, None, "never seen at a port"),
            (8, None, "no neighbour"),
        ];
        for (last, expected, what) in cases {
            let found = towards([10, 0, 0, last].into(), &neighbours, &forwarding);
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn messages_that_are_cut_off_are_no_entries() {
        for length in 0..HEADER_BYTES {
            assert_eq!(parse(&vec![0; length]), None);
        }
        let bare = Entry { interface: 0, address: None, mac: None, bridge: None };
        assert_eq!(parse(&[0; HEADER_BYTES]), Some(bare));
    }
}

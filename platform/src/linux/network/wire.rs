//! The messages of the routing socket (linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use seawall_messages::network::{Gateway, Interface, Mac};

use super::super::netlink::{Request, attributes, read_address, read_u16, read_u32};

/// A default route. Who stands there is not known from it.
pub(super) type Route = Gateway;

pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
pub(super) const NEW_NEIGHBOUR: u16 = 28;

/// `struct ifinfomsg`: family, type, index, flags, change.
const LINK_BYTES: usize = 16;
const LINK_INDEX_AT: usize = 4;
const LINK_FLAGS_AT: usize = 8;
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
const ADDRESS_BYTES: usize = 8;
const ADDRESS_INDEX_AT: usize = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// `struct rtmsg`: family, destination's length, source's, TOS, table, protocol, scope, type, flags.
const ROUTE_BYTES: usize = 12;
const ROUTE_FLAGS_AT: usize = 8;
const TABLE_MAIN: u32 = 254;
const RTN_UNICAST: u8 = 1;
const RTNH_F_DEAD: u32 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
/// `struct rtnexthop`: length, flags, hops, interface.
const NEXT_HOP_BYTES: usize = 8;

pub(super) fn links() -> Request {
    let mut request = Request::new(GET_LINK, &[0; LINK_BYTES]);
    request.attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    request
}

pub(super) fn addresses() -> Request {
    Request::new(GET_ADDRESS, &[0; ADDRESS_BYTES])
}

pub(super) fn routes(family: i32) -> Request {
    let mut header = [0; ROUTE_BYTES];
    // Families are small numbers.
    header[0] = family as u8;
    Request::new(GET_ROUTE, &header)
}

/// An interface without its addresses and its wireless network; none of loopback.
pub(super) fn link(payload: &[u8]) -> Option<Interface> {
    let index = read_u32(payload, LINK_INDEX_AT)?;
    let flags = read_u32(payload, LINK_FLAGS_AT)?;
    if flags & IFF_LOOPBACK != 0 {
        return None;
    }
    let name = attributes(payload.get(LINK_BYTES..)?)
        .find(|(kind, _)| *kind == IFLA_IFNAME)
        .map(|(_, value)| value.strip_suffix(&[0]).unwrap_or(value))?;
    let name = Arc::from(String::from_utf8_lossy(name));
    Some(Interface { index, name, up: has_link(flags), addresses: Vec::new(), ssid: None })
}

/// The interface of a message about one, if it has lost its link, or is gone itself.
pub(super) fn lost_link(kind: u16, payload: &[u8]) -> Option<u32> {
    let flags = read_u32(payload, LINK_FLAGS_AT)?;
    (kind == DEL_LINK || !has_link(flags)).then(|| read_u32(payload, LINK_INDEX_AT)).flatten()
}

fn has_link(flags: u32) -> bool {
    flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
}

/// An own address, and the interface that has it.
pub(super) fn address(payload: &[u8]) -> Option<(u32, IpNet)> {
    let prefix_len = *payload.get(1)?;
    let index = read_u32(payload, ADDRESS_INDEX_AT)?;
    let (mut own, mut other) = (None, None);
    for (kind, value) in attributes(payload.get(ADDRESS_BYTES..)?) {
        match kind {
            IFA_LOCAL => own = read_address(value),
            // The other end's, where that differs.
            IFA_ADDRESS => other = read_address(value),
            _ => {}
        }
    }
    Some((index, IpNet::new(own.or(other)?, prefix_len).ok()?))
}

/// Whether a message is about a default route of the main table.
pub(super) fn is_default_route(payload: &[u8]) -> bool {
    let [_, destination_len, source_len, _, table, _, _, kind] =
        payload.first_chunk::<8>().copied().unwrap_or([0xff; 8]);
    let listed = payload.get(ROUTE_BYTES..).unwrap_or_default();
    let table = attributes(listed)
        .find(|(kind, _)| *kind == RTA_TABLE)
        .and_then(|(_, value)| read_u32(value, 0))
        .unwrap_or(u32::from(table));
    (destination_len, source_len, kind, table) == (0, 0, RTN_UNICAST, TABLE_MAIN)
}

/// The default routes that a message tells of: one for each way that they may take.
pub(super) fn default_routes(payload: &[u8]) -> Vec<Route> {
    let family = payload.first().copied().map(i32::from);
    let ipv6 = match family {
        Some(libc::AF_INET) => false,
        Some(libc::AF_INET6) => true,
        _ => return Vec::new(),
    };
    let flags = read_u32(payload, ROUTE_FLAGS_AT).unwrap_or(RTNH_F_DEAD);
    let Some(rest) = payload.get(ROUTE_BYTES..) else { return Vec::new() };
    if !is_default_route(payload) || flags & RTNH_F_DEAD != 0 {
        return Vec::new();
    }
    let metric = attributes(rest)
        .find(|(kind, _)| *kind == RTA_PRIORITY)
        .and_then(|(_, value)| read_u32(value, 0))
        .unwrap_or(0);
    let route = |interface, address| Route { interface, address, mac: None, ipv6, metric };
    let mut routes = Vec::new();
    let mut interface = None;
    for (kind, value) in attributes(rest) {
        match kind {
            RTA_OIF => interface = read_u32(value, 0),
            RTA_MULTIPATH => {
                routes
                    .extend(next_hops(value).map(|(index, listed)| route(index, gateway(listed))));
            }
            _ => {}
        }
    }
    routes.extend(interface.map(|index| route(index, gateway(rest))));
    routes
}

/// The next host that attributes tell of.
fn gateway(listed: &[u8]) -> Option<IpAddr> {
    attributes(listed).find_map(|(kind, value)| match kind {
        RTA_GATEWAY => read_address(value),
        // Behind its family: an IPv6 host for an IPv4 route (RFC 5549).
        RTA_VIA => read_address(value.get(2..)?),
        _ => None,
    })
}

/// Each way of a route that has many: its interface, and its attributes.
fn next_hops(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(read_u16(bytes, 0)?);
        let interface = read_u32(bytes, 4)?;
        let listed = bytes.get(NEXT_HOP_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((interface, listed))
    })
}

/// What a message says of a neighbour: interface, address, Ethernet address.
pub(super) fn neighbour(payload: &[u8]) -> Option<(u32, IpAddr, Mac)> {
    let entry = super::super::neighbours::parse(payload)?;
    Some((entry.interface, entry.address?, Mac(entry.mac?)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// A message's payload: what a request of that header and these attributes has behind its own header.
    fn payload(header: &[u8], listed: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        for (kind, value) in listed {
            let length = u16::try_from(4 + value.len()).expect("short");
            bytes.extend(length.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn link_header(index: u32, flags: u32) -> Vec<u8> {
        let mut header = vec![0; LINK_BYTES];
        header[LINK_INDEX_AT..LINK_INDEX_AT + 4].copy_from_slice(&index.to_ne_bytes());
        header[LINK_FLAGS_AT..LINK_FLAGS_AT + 4].copy_from_slice(&flags.to_ne_bytes());
        header
    }

    fn route_header(family: i32, destination_len: u8, table: u8, flags: u32) -> Vec<u8> {
        let mut header = vec![family as u8, destination_len, 0, 0, table, 0, 0, RTN_UNICAST];
        header.extend(flags.to_ne_bytes());
        header
    }

    #[test]
    fn interfaces_are_up_with_a_link_and_loopback_is_none() {
        let told = |flags| {
            let bytes = payload(&link_header(7, flags), &[(IFLA_IFNAME, b"eth0\0")]);
            link(&bytes)
                .map(|interface| (interface.index, interface.name.to_string(), interface.up))
        };
        assert_eq!(told(IFF_UP | IFF_RUNNING), Some((7, "eth0".to_owned(), true)));
        assert_eq!(told(IFF_UP), Some((7, "eth0".to_owned(), false)));
        assert_eq!(told(IFF_UP | IFF_RUNNING | IFF_LOOPBACK), None);
        let (down, up) = (link_header(7, IFF_UP), link_header(7, IFF_UP | IFF_RUNNING));
        assert_eq!(lost_link(NEW_LINK, &down), Some(7));
        assert_eq!(lost_link(NEW_LINK, &up), None);
        assert_eq!(lost_link(DEL_LINK, &up), Some(7));
    }

    #[test]
    fn an_own_address_is_the_local_one() {
        let header = [2, 24, 0, 0, 9, 0, 0, 0];
        let both: &[(u16, &[u8])] = &[(IFA_ADDRESS, &[10, 0, 0, 2]), (IFA_LOCAL, &[10, 0, 0, 1])];
        let index = u32::from_ne_bytes([9, 0, 0, 0]);
        assert_eq!(
            address(&payload(&header, both)),
            "10.0.0.1/24".parse().ok().map(|net| (index, net))
        );
        let other = address(&payload(&header, &both[..1]));
        assert_eq!(other, "10.0.0.2/24".parse().ok().map(|net| (index, net)));
        assert_eq!(address(&payload(&header, &[])), None);
    }

    #[test]
    fn default_routes_of_the_main_table_are_told_with_every_way() {
        let (one, two) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let index = 7_u32.to_ne_bytes();
        let metric = 100_u32.to_ne_bytes();
        let plain: &[(u16, &[u8])] =
            &[(RTA_GATEWAY, &one), (RTA_OIF, &index), (RTA_PRIORITY, &metric)];
        let told = |header: &[u8], listed: &[(u16, &[u8])]| {
            let routes = default_routes(&payload(header, listed));
            let ends = |route: &Route| (route.interface, route.address, route.metric);
            routes.iter().map(ends).collect::<Vec<_>>()
        };
        let main = route_header(libc::AF_INET, 0, 254, 0);
        assert_eq!(told(&main, plain), [(7, Some(one.into()), 100)]);
        assert_eq!(told(&main, &plain[1..]), [(7, None, 100)], "a tunnel");
        assert_eq!(told(&route_header(libc::AF_INET, 8, 254, 0), plain), [], "not the default");
        assert_eq!(told(&route_header(libc::AF_INET, 0, 99, 0), plain), [], "another table");
        assert_eq!(told(&route_header(libc::AF_INET, 0, 254, RTNH_F_DEAD), plain), [], "dead");
        assert_eq!(told(&route_header(libc::AF_BRIDGE, 0, 254, 0), plain), [], "another family");
        let hop = |index: u32, address: &[u8]| {
            let listed = payload(&[], &[(RTA_GATEWAY, address)]);
            let length = u16::try_from(NEXT_HOP_BYTES + listed.len()).expect("short");
            [&length.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes(), &listed].concat()
        };
        let hops = [hop(7, &one), hop(8, &two)].concat();
        let many = told(&main, &[(RTA_MULTIPATH, &hops)]);
        assert_eq!(many, [(7, Some(one.into()), 0), (8, Some(two.into()), 0)]);
        let via = [&10_u16.to_ne_bytes()[..], &Ipv6Addr::LOCALHOST.octets()].concat();
        let told = told(&main, &[(RTA_VIA, &via), (RTA_OIF, &index)]);
        assert_eq!(told, [(7, Some(Ipv6Addr::LOCALHOST.into()), 0)]);
    }

    #[test]
    fn messages_that_are_cut_off_tell_nothing() {
        let header = route_header(libc::AF_INET, 0, 254, 0);
        for length in 0..ROUTE_BYTES {
            assert_eq!(default_routes(&header[..length]), []);
            assert_eq!(link(&link_header(7, IFF_UP)[..length]), None);
            assert_eq!(address(&header[..length.min(ADDRESS_BYTES)]), None);
            assert_eq!(neighbour(&header[..length]), None);
        }
        assert_eq!(next_hops(&[0; 8]).count(), 0, "no length, no end");
    }
}

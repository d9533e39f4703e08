//! Where this machine is: its interfaces and addresses, its default routes and
//! who stands there, as the kernel's routing socket tells (rtnetlink(7)), and which
//! wireless networks it is connected to, as nl80211 does; and word of each change.

mod events;
mod wire;
mod wireless;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;

use seawall_messages::network::{
    Interface, MAX_ADDRESSES, MAX_GATEWAYS, MAX_INTERFACES, Surroundings,
};

use self::wire::Route;
use super::neighbours;
use super::netlink::Netlink;

pub use self::events::{Heard, NetworkEvents};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing}")]
pub struct NetworkError {
    /// What was attempted.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// Looks where this network namespace is.
pub fn look() -> Result<Surroundings, NetworkError> {
    let mut netlink = Netlink::open(None).map_err(failed("open the routing socket"))?;
    let links = netlink
        .dump(&wire::links(), |into: &mut Vec<_>, payload| into.extend(wire::link(payload)))
        .map_err(failed("list interfaces"))?;
    let addresses = netlink
        .dump(&wire::addresses(), |into: &mut Vec<_>, payload| into.extend(wire::address(payload)))
        .map_err(failed("list addresses"))?;
    let mut routes = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let listed = netlink.dump(&wire::routes(family), |into: &mut Vec<Route>, payload| {
            into.extend(wire::default_routes(payload));
        });
        match listed {
            Ok(listed) => routes.extend(listed),
            // A kernel without IPv6.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(failed("list routes")(error)),
        }
    }
    let macs = neighbours::ethernet(&mut netlink).map_err(failed("list neighbours"))?;

    let mut interfaces: Vec<Interface> = links.into_iter().take(MAX_INTERFACES).collect();
    interfaces.sort_by_key(|interface| interface.index);
    for (index, address) in addresses {
        let found = interfaces.binary_search_by_key(&index, |interface| interface.index);
        if let Some(interface) = found.ok().and_then(|place| interfaces.get_mut(place))
            && interface.addresses.len() < MAX_ADDRESSES
        {
            interface.addresses.push(address);
        }
    }
    for (index, ssid) in wireless::look().map_err(failed("list wireless networks"))? {
        let found = interfaces.binary_search_by_key(&index, |interface| interface.index);
        // While a network is being joined, its name is known, and whoever stands there is not yet.
        if let Some(interface) = found.ok().and_then(|place| interfaces.get_mut(place))
            && interface.up
        {
            interface.ssid = Some(ssid);
        }
    }
    for interface in &mut interfaces {
        // The kernel's order is that of hash tables: the same addresses shall look the same.
        interface.addresses.sort_unstable();
    }
    let macs: HashMap<(u32, IpAddr), _> = macs.collect();
    routes.sort_by_key(|route| (route.ipv6, route.metric, route.interface, route.address));
    let gateways = routes.into_iter().take(MAX_GATEWAYS).map(|route| {
        let mac = route.address.and_then(|address| macs.get(&(route.interface, address)).copied());
        seawall_messages::network::Gateway { mac, ..route }
    });
    Ok(Surroundings { gateways: gateways.collect(), interfaces })
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> NetworkError {
    move |source| NetworkError { doing, source }
}

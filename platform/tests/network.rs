//! Where a machine is, and word of its changes, against the kernel.

use std::net::IpAddr;

use seawall_messages::network::{Gateway, Surroundings};
use seawall_platform::linux::network::{Heard, NetworkEvents, look};

#[path = "support/host.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod host;
#[path = "support/wait.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod wait;

use host::Host;
use wait::eventually;

fn there(last: u8) -> IpAddr {
    IpAddr::from([10, 9, 0, last])
}

/// The default routes of IPv4, as gateway and metric.
fn ways(seen: &Surroundings) -> Vec<(Option<IpAddr>, u32)> {
    let of_v4 = seen.gateways.iter().filter(|gateway| !gateway.ipv6);
    of_v4.map(|gateway| (gateway.address, gateway.metric)).collect()
}

#[test]
fn interfaces_addresses_and_gateways_are_seen() {
    let (host, other) = Host::pair();
    let seen = host.on(look).expect("a look");
    let [cable] = &*seen.interfaces else { panic!("loopback is left out: {seen:?}") };
    assert_eq!((&*cable.name, cable.up), ("cable", true));
    for own in ["10.9.0.1/24", "fd09::1/64"] {
        assert!(cable.addresses.contains(&own.parse().expect("a network")), "{own}: {seen:?}");
    }
    assert_eq!(seen.gateways, []);

    host.run("ip route add default via 10.9.0.9 metric 200");
    host.run("ip route add default via 10.9.0.2 metric 100");
    host.run("ip route add default via 10.9.0.3 table 99");
    host.run("ip route add 10.8.0.0/16 via 10.9.0.4");
    host.run("ip -6 route add default via fd09::2");
    let seen = host.on(look).expect("a look");
    assert_eq!(ways(&seen), [(Some(there(2)), 100), (Some(there(9)), 200)]);
    let of_v6 = |gateway: &&Gateway| gateway.ipv6;
    assert_eq!(seen.gateways.iter().filter(of_v6).count(), 1, "{seen:?}");
    host.run("ping -c 1 -W 2 10.9.0.2");
    let seen = host.on(look).expect("a look");
    let mac = seen.gateways[0].mac.expect("it answered").to_string();
    assert!(other.run("ip link show cable").contains(&mac), "{mac}");

    host.run("ip route replace default metric 100 nexthop via 10.9.0.5 nexthop via 10.9.0.6");
    let seen = host.on(look).expect("a look");
    let expected = [(Some(there(5)), 100), (Some(there(6)), 100), (Some(there(9)), 200)];
    assert_eq!(ways(&seen), expected, "every way of one route");
    other.run("ip link set cable down");
    eventually("the link is lost", || !host.on(look).expect("a look").interfaces[0].up);
}

#[test]
fn changes_are_heard_and_what_is_none_is_not() {
    let (host, other) = Host::pair();
    let ear = host.on(NetworkEvents::open).expect("an ear");
    let hears = |what: &str, is_it: &dyn Fn(&Heard) -> bool| {
        let mut heard = Heard::default();
        eventually(what, || {
            heard = std::mem::take(&mut heard).and(ear.take().expect("something is heard"));
            is_it(&heard)
        });
    };
    hears("the beginning is over", &|heard| !heard.more);
    host.run("ip addr add 10.9.1.1/24 dev cable");
    hears("an address", &|heard| heard.changed);
    host.run("ip route add default via 10.9.0.2");
    hears("a gateway", &|heard| heard.changed);
    host.run("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:07 dev cable");
    hears("a neighbour", &|heard| {
        heard.neighbours.iter().any(|(_, address, _)| *address == there(2))
    });
    other.run("ip link set cable down");
    hears("a link that is lost", &|heard| heard.changed && !heard.lost.is_empty());
}

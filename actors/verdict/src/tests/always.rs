//! What no policy may cut, each under a policy that denies everything.

use seawall_messages::{Action, Direction, Layer, Protocol, Transport};

use super::{ECHO, decide, flow, icmp6, ports, shut};

/// Name, direction, protocol, initiator, responder, transport; action and layer.
type Case =
    (&'static str, Direction, Protocol, &'static str, &'static str, Transport, (Action, Layer));

#[test]
fn some_traffic_passes_whatever_the_policy() {
    use Direction::{Forwarded, Inbound, Outbound};
    let pass = (Action::Allow, Layer::AlwaysPasses);
    let lan_block = (Action::Reject, Layer::BlockLan);
    let cases: &[Case] = &[
        (
            "DHCP renewal",
            Outbound,
            Protocol::UDP,
            "192.168.1.5",
            "192.168.1.1",
            ports(68, 67),
            pass,
        ),
        (
            "DHCP discovery",
            Outbound,
            Protocol::UDP,
            "0.0.0.0",
            "255.255.255.255",
            ports(68, 67),
            pass,
        ),
        (
            "DHCP offer",
            Inbound,
            Protocol::UDP,
            "192.168.1.1",
            "255.255.255.255",
            ports(67, 68),
            pass,
        ),
        ("DHCPv6 request", Outbound, Protocol::UDP, "fe80::5", "ff02::1:2", ports(546, 547), pass),
        ("DHCPv6 reply", Inbound, Protocol::UDP, "fe80::1", "fe80::5", ports(547, 546), pass),
        (
            "DHCP with a stranger",
            Outbound,
            Protocol::UDP,
            "192.168.1.5",
            "9.9.9.9",
            ports(68, 67),
            (Action::Reject, Layer::BlockInternet),
        ),
        (
            "a stranger's DHCP request",
            Inbound,
            Protocol::UDP,
            "192.168.1.9",
            "192.168.1.5",
            ports(68, 67),
            (Action::Drop, Layer::BlockInbound),
        ),
        (
            "DHCP ports over TCP",
            Outbound,
            Protocol::TCP,
            "192.168.1.5",
            "192.168.1.1",
            ports(68, 67),
            lan_block,
        ),
        (
            "DHCP through us",
            Forwarded,
            Protocol::UDP,
            "10.0.0.2",
            "192.168.1.1",
            ports(68, 67),
            lan_block,
        ),
        (
            "neighbor solicitation",
            Outbound,
            Protocol::ICMPV6,
            "fe80::5",
            "ff02::1:ff00:1",
            icmp6(135),
            pass,
        ),
        ("address detection", Outbound, Protocol::ICMPV6, "::", "ff02::1:ff00:1", icmp6(135), pass),
        ("neighbor's answer", Inbound, Protocol::ICMPV6, "2600::1", "2600::5", icmp6(136), pass),
        ("router advertisement", Inbound, Protocol::ICMPV6, "fe80::1", "ff02::1", icmp6(134), pass),
        (
            "router advertisement from afar",
            Inbound,
            Protocol::ICMPV6,
            "2600::1",
            "2600::5",
            icmp6(134),
            (Action::Drop, Layer::BlockInbound),
        ),
        ("MLD report", Outbound, Protocol::ICMPV6, "fe80::5", "ff02::16", icmp6(143), pass),
        (
            "IGMP report",
            Outbound,
            Protocol::IGMP,
            "192.168.1.5",
            "224.0.0.22",
            Transport::Portless,
            pass,
        ),
        (
            "IGMP to a host",
            Outbound,
            Protocol::IGMP,
            "192.168.1.5",
            "192.168.1.1",
            Transport::Portless,
            lan_block,
        ),
        (
            "socket to itself",
            Outbound,
            Protocol::UDP,
            "192.168.1.5",
            "192.168.1.5",
            ports(9, 9),
            pass,
        ),
        ("ping", Outbound, Protocol::ICMP, "192.168.1.5", "192.168.1.1", ECHO, lan_block),
    ];
    for (name, direction, protocol, initiator, responder, transport, expected) in cases {
        let flow = flow(*direction, *protocol, initiator, responder, *transport);
        let judgement = decide(&shut(), &flow, None);
        assert_eq!((judgement.action, judgement.reason.layer), *expected, "{name}");
    }
}

//! Traffic that no policy may cut, because without it the machine has no
//! address or no neighbours, or because it never leaves the socket it came from.
//!
//! Only what this machine itself sends and receives: forwarded packets of the
//! same kind get no exemption.

use std::net::IpAddr;

use seawall_messages::{Direction, Flow, Protocol, Scope, Transport};

/// DHCP server and client (RFC 2131, section 4.1).
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
/// DHCPv6 client and server (RFC 8415, section 7.2).
const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;

/// Why the flow always passes, if it does.
pub(crate) fn always_passes(flow: &Flow) -> Option<&'static str> {
    if flow.direction == Direction::Forwarded {
        return None;
    }
    if talks_to_itself(flow) {
        Some("a socket that talks to itself")
    } else if is_dhcp(flow) {
        Some("DHCP with a server nearby")
    } else if is_neighbor_discovery(flow) {
        Some("neighbor discovery")
    } else if is_group_membership(flow) {
        Some("multicast group membership")
    } else {
        None
    }
}

/// Whether the called port is one of DHCP's, so that the caller's port matters.
pub(crate) fn may_be_dhcp(flow: &Flow) -> bool {
    flow.protocol == Protocol::UDP
        && flow.destination_port().is_some_and(|port| {
            [DHCP_SERVER, DHCP_CLIENT, DHCPV6_CLIENT, DHCPV6_SERVER].contains(&port)
        })
}

fn talks_to_itself(flow: &Flow) -> bool {
    matches!(flow.transport, Transport::Ports { initiator, responder } if initiator == responder)
        && flow.initiator == flow.responder
}

/// This machine as a client: its questions, and answers that conntrack can't
/// join to them because the question was a broadcast.
fn is_dhcp(flow: &Flow) -> bool {
    let Transport::Ports { initiator, responder } = flow.transport else { return false };
    let ports = (initiator, responder);
    let client_asks = match flow.responder {
        IpAddr::V4(_) => ports == (DHCP_CLIENT, DHCP_SERVER),
        IpAddr::V6(_) => ports == (DHCPV6_CLIENT, DHCPV6_SERVER),
    };
    let server_answers = match flow.responder {
        IpAddr::V4(_) => ports == (DHCP_SERVER, DHCP_CLIENT),
        IpAddr::V6(_) => ports == (DHCPV6_SERVER, DHCPV6_CLIENT),
    };
    let from_client = flow.direction == Direction::Outbound && client_asks;
    let from_server = flow.direction == Direction::Inbound && server_answers;
    flow.protocol == Protocol::UDP
        && (from_client || from_server)
        && Scope::of(flow.remote()).is_lan()
}

/// RFC 4861: router and neighbor solicitations and advertisements, redirects.
fn is_neighbor_discovery(flow: &Flow) -> bool {
    let Transport::Icmp { kind, code: 0, .. } = flow.transport else { return false };
    if flow.protocol != Protocol::ICMPV6 {
        return false;
    }
    match kind {
        // Neighbors may have global addresses.
        135 | 136 => true,
        133 | 134 | 137 => stays_on_link(flow.initiator) || stays_on_link(flow.responder),
        _ => false,
    }
}

/// IGMP (RFC 9776) and MLD (RFC 9777): queries, reports, done.
fn is_group_membership(flow: &Flow) -> bool {
    match flow.transport {
        Transport::Portless | Transport::Truncated => {
            flow.protocol == Protocol::IGMP && flow.responder.is_multicast()
        }
        Transport::Icmp { kind, .. } => {
            flow.protocol == Protocol::ICMPV6
                && matches!(kind, 130 | 131 | 132 | 143)
                && (flow.responder.is_multicast() || stays_on_link(flow.responder))
        }
        Transport::Ports { .. } => false,
    }
}

fn stays_on_link(address: IpAddr) -> bool {
    matches!(Scope::of(address), Scope::LinkLocal | Scope::LocalMulticast)
}

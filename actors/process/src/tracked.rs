//! What connections moved, as connection tracking counts it: where the kernel
//! doesn't count by socket.

use std::collections::HashSet;
use std::io;

use seawall_messages::process::Traffic;
use seawall_messages::{Direction, Flow, Transport};
use seawall_platform::linux::conntrack::{
    Conntrack, ConntrackError, Count, Counted, Tuple, count_traffic,
};

/// The tracked connections of this network namespace, with their counts.
pub(crate) struct Tracked {
    conntrack: Conntrack,
}

/// Why nobody counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackedError {
    #[error("can't have the kernel count what connections move: {0}")]
    Switch(#[source] io::Error),
    #[error("{0}: {cause}", cause = .0.source)]
    Conntrack(#[from] ConntrackError),
}

impl Tracked {
    /// Has the kernel count from now on.
    pub(crate) fn open() -> Result<Self, TrackedError> {
        count_traffic().map_err(TrackedError::Switch)?;
        Ok(Self { conntrack: Conntrack::open()? })
    }

    /// What each of these connections moved; those that aren't tracked are missing.
    pub(crate) fn traffic(
        &mut self,
        of: &HashSet<Flow>,
    ) -> Result<Vec<(Flow, Traffic)>, TrackedError> {
        let counted = self.conntrack.list_counted()?;
        let all = counted.iter().flat_map(candidates);
        Ok(all.filter(|(flow, _)| of.contains(flow)).collect())
    }
}

/// The flows that a tracked connection may be, where packets are judged: of what leaves, as it was
/// before any translation; of what comes in or passes, behind that of its destination and ahead of that of
/// its source. A connection that is older than its entry may be listed the wrong way round.
fn candidates(counted: &Counted) -> [(Flow, Traffic); 5] {
    let Counted { entry, original, reply } = *counted;
    let called = Tuple {
        destination: entry.reply.source,
        destination_port: match entry.original.protocol {
            protocol if protocol.is_icmp() => entry.original.destination_port,
            _ => entry.reply.source_port,
        },
        ..entry.original
    };
    let turned = Tuple {
        source: entry.original.destination,
        destination: entry.original.source,
        source_port: entry.original.destination_port,
        destination_port: entry.original.source_port,
        ..entry.original
    };
    let (out, back) = (traffic(original, reply), traffic(reply, original));
    [
        (flow(Direction::Outbound, &entry.original), out),
        (flow(Direction::Inbound, &called), back),
        (flow(Direction::Forwarded, &called), out),
        (flow(Direction::Outbound, &turned), back),
        (flow(Direction::Inbound, &turned), out),
    ]
}

fn flow(direction: Direction, tuple: &Tuple) -> Flow {
    let transport = if tuple.protocol.is_icmp() {
        let [kind, code] = tuple.destination_port.to_be_bytes();
        Transport::Icmp { kind, code, identifier: tuple.source_port }
    } else if tuple.protocol.has_ports() {
        Transport::Ports { initiator: tuple.source_port, responder: tuple.destination_port }
    } else {
        Transport::Portless
    };
    Flow {
        direction,
        protocol: tuple.protocol,
        initiator: tuple.source,
        responder: tuple.destination,
        transport,
    }
}

fn traffic(sent: Count, received: Count) -> Traffic {
    Traffic {
        sent_bytes: sent.bytes,
        received_bytes: received.bytes,
        sent_packets: sent.packets,
        received_packets: received.packets,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use seawall_messages::Protocol;
    use seawall_platform::linux::conntrack::Entry;

    use super::*;

    fn tuple(protocol: Protocol, from: &str, to: &str) -> Tuple {
        let [from, to] = [from, to].map(|end| end.parse::<SocketAddr>().expect("an address"));
        Tuple {
            source: from.ip(),
            destination: to.ip(),
            protocol,
            source_port: from.port(),
            destination_port: to.port(),
        }
    }

    fn counted(original: Tuple, reply: Tuple) -> Counted {
        Counted {
            entry: Entry { original, reply, mark: 0, labels: None, ended: false },
            original: Count { packets: 1, bytes: 100 },
            reply: Count { packets: 2, bytes: 2_000 },
        }
    }

    fn between(direction: Direction, from: &str, to: &str) -> Flow {
        let [from, to] = [from, to].map(|end| end.parse().expect("an address"));
        Flow::between(direction, Protocol::TCP, from, to)
    }

    #[test]
    fn a_tracked_connection_is_the_flow_that_was_judged_whatever_is_translated() {
        use Direction::{Forwarded, Inbound, Outbound};
        let (host, server, outside) = ("10.0.0.1:5000", "10.0.0.2:80", "192.0.2.9:6000");
        let public = "198.51.100.1:8080";
        // Original, reply, the flow, and bytes that its local program sent.
        let cases = [
            ((host, server), (server, host), between(Outbound, host, server), 100),
            ((host, public), (server, host), between(Outbound, host, public), 100),
            ((outside, host), (host, outside), between(Inbound, outside, host), 2_000),
            ((outside, public), (server, outside), between(Inbound, outside, server), 2_000),
            ((host, server), (server, outside), between(Forwarded, host, server), 100),
            ((host, public), (server, outside), between(Forwarded, host, server), 100),
            ((server, host), (host, server), between(Outbound, host, server), 2_000),
            ((host, outside), (outside, host), between(Inbound, outside, host), 100),
        ];
        for ((from, to), (back_from, back_to), flow, sent_bytes) in cases {
            let original = tuple(Protocol::TCP, from, to);
            let counted = counted(original, tuple(Protocol::TCP, back_from, back_to));
            let found = candidates(&counted).into_iter().find(|(found, _)| *found == flow);
            let (_, traffic) = found.unwrap_or_else(|| panic!("{flow} of {counted:?}"));
            assert_eq!(traffic.sent_bytes, sent_bytes, "{flow}");
            assert_eq!(traffic.received_bytes, 2_100 - sent_bytes, "{flow}");
        }
    }

    #[test]
    fn an_echo_is_the_flow_with_its_identifier_type_and_code() {
        let original = Tuple {
            source_port: 77,
            destination_port: u16::from_be_bytes([8, 0]),
            ..tuple(Protocol::ICMP, "10.0.0.1:0", "10.0.0.2:0")
        };
        let reply = Tuple {
            source_port: 77,
            destination_port: 0,
            ..tuple(Protocol::ICMP, "10.0.0.2:0", "10.0.0.1:0")
        };
        let transport = Transport::Icmp { kind: 8, code: 0, identifier: 77 };
        for (flow, _) in &candidates(&counted(original, reply))[..3] {
            assert_eq!(flow.transport, transport, "{flow}");
            assert_eq!(flow.initiator, original.source);
        }
    }
}

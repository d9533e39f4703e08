//! From a packet in a queue to the flow that it belongs to.

use std::collections::HashSet;

use seawall_messages::{Direction, Flow, Hook, Protocol, Transport};
use seawall_platform::linux::layout::{QueueId, QueueKind};
use seawall_platform::packet::Headers;

/// Flows that were open before connection tracking saw them, in their true
/// direction. The kernel takes such a flow up at whichever packet comes first
/// and may get it the wrong way round.
#[derive(Debug, Default)]
pub struct Orientation {
    known: HashSet<Flow>,
}

/// Most flows that are remembered: what a busy server has open, at 80 bytes each.
const MOST_KNOWN: usize = 65_536;

impl Orientation {
    /// From the sessions that sock_diag lists.
    pub fn new(sessions: impl IntoIterator<Item = Flow>) -> Self {
        Self { known: sessions.into_iter().take(MOST_KNOWN).collect() }
    }

    /// The flow in its true direction.
    pub fn orient(&self, flow: Flow) -> Flow {
        if self.known.is_empty() || self.known.contains(&flow) {
            return flow;
        }
        match turned(&flow) {
            Some(turned) if self.known.contains(&turned) => turned,
            _ => flow,
        }
    }
}

/// The flow of a packet. Packets of both directions of a connection give the same.
pub(crate) fn flow_of(queue: QueueId, headers: &Headers) -> Flow {
    let is_reply = matches!(queue.kind, QueueKind::RestReply | QueueKind::ParkedReply);
    let direction = match (queue.hook, is_reply) {
        (Hook::Forward, _) => Direction::Forwarded,
        (Hook::Output, false) | (Hook::Input, true) => Direction::Outbound,
        (Hook::Input, false) | (Hook::Output, true) => Direction::Inbound,
    };
    let (initiator, responder) = if is_reply {
        (headers.destination, headers.source)
    } else {
        (headers.source, headers.destination)
    };
    let transport = match headers.transport {
        Transport::Ports { initiator: source, responder: destination } if is_reply => {
            Transport::Ports { initiator: destination, responder: source }
        }
        Transport::Icmp { kind, code, identifier } => {
            Transport::Icmp { kind: request_of(headers.protocol, kind), code, identifier }
        }
        other => other,
    };
    Flow { direction, protocol: headers.protocol, initiator, responder, transport }
}

/// The ICMP type that asked for this one (RFC 792, RFC 4443: echo).
fn request_of(protocol: Protocol, kind: u8) -> u8 {
    match (protocol, kind) {
        (Protocol::ICMP, 0) => 8,
        (Protocol::ICMPV6, 129) => 128,
        (_, kind) => kind,
    }
}

/// The same connection seen from the other end. Forwarded flows have no side to prefer.
fn turned(flow: &Flow) -> Option<Flow> {
    let direction = match flow.direction {
        Direction::Outbound => Direction::Inbound,
        Direction::Inbound => Direction::Outbound,
        Direction::Forwarded => return None,
    };
    let Transport::Ports { initiator, responder } = flow.transport else {
        return None;
    };
    Some(Flow {
        direction,
        protocol: flow.protocol,
        initiator: flow.responder,
        responder: flow.initiator,
        transport: Transport::Ports { initiator: responder, responder: initiator },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [u8; 4] = [10, 0, 0, 1];
    const THERE: [u8; 4] = [10, 0, 0, 2];

    fn headers(from: [u8; 4], to: [u8; 4], transport: Transport) -> Headers {
        let protocol = match transport {
            Transport::Icmp { .. } => Protocol::ICMP,
            _ => Protocol::TCP,
        };
        Headers { source: from.into(), destination: to.into(), protocol, transport, hop_limit: 64 }
    }

    fn ports(initiator: u16, responder: u16) -> Transport {
        Transport::Ports { initiator, responder }
    }

    #[test]
    fn both_directions_of_a_connection_are_one_flow() {
        let cases = [
            (Hook::Output, QueueKind::New, HERE, THERE, ports(5000, 80), Direction::Outbound),
            (
                Hook::Output,
                QueueKind::RestOriginal,
                HERE,
                THERE,
                ports(5000, 80),
                Direction::Outbound,
            ),
            (Hook::Input, QueueKind::RestReply, THERE, HERE, ports(80, 5000), Direction::Outbound),
            (
                Hook::Input,
                QueueKind::ParkedReply,
                THERE,
                HERE,
                ports(80, 5000),
                Direction::Outbound,
            ),
        ];
        for (hook, kind, from, to, transport, direction) in cases {
            let flow = flow_of(QueueId { hook, kind }, &headers(from, to, transport));
            assert_eq!(flow.direction, direction);
            assert_eq!((flow.initiator, flow.responder), (HERE.into(), THERE.into()));
            assert_eq!(flow.transport, ports(5000, 80));
        }
    }

    #[test]
    fn replies_on_the_way_out_belong_to_inbound_flows() {
        let queue = QueueId { hook: Hook::Output, kind: QueueKind::RestReply };
        let flow = flow_of(queue, &headers(HERE, THERE, ports(22, 40000)));
        assert_eq!(flow.direction, Direction::Inbound);
        assert_eq!(flow.initiator, std::net::IpAddr::from(THERE));
        assert_eq!(flow.destination_port(), Some(22));
    }

    #[test]
    fn an_echo_reply_belongs_to_its_request() {
        let echo = |kind| Transport::Icmp { kind, code: 0, identifier: 7 };
        let request = flow_of(
            QueueId { hook: Hook::Output, kind: QueueKind::New },
            &headers(HERE, THERE, echo(8)),
        );
        let reply = flow_of(
            QueueId { hook: Hook::Input, kind: QueueKind::RestReply },
            &headers(THERE, HERE, echo(0)),
        );
        assert_eq!(request, reply);
    }

    #[test]
    fn a_session_taken_up_the_wrong_way_round_is_turned() {
        let session = Flow {
            direction: Direction::Outbound,
            protocol: Protocol::TCP,
            initiator: HERE.into(),
            responder: THERE.into(),
            transport: ports(5000, 443),
        };
        let orientation = Orientation::new([session]);
        let picked_up = flow_of(
            QueueId { hook: Hook::Input, kind: QueueKind::New },
            &headers(THERE, HERE, ports(443, 5000)),
        );
        assert_eq!(picked_up.direction, Direction::Inbound);
        assert_eq!(orientation.orient(picked_up), session);
        assert_eq!(orientation.orient(session), session);
        assert_eq!(Orientation::default().orient(picked_up), picked_up);
    }
}

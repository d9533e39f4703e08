//! What a tracked connection is to this machine, also while its address is away:
//! without an own address among its ends it is what its packets were when they were judged.

use std::collections::HashSet;
use std::net::IpAddr;

use seawall_messages::{Direction, Flow};
use seawall_platform::linux::conntrack::Entry;

use crate::flow_of::Orientation;
use crate::sweep::{flow_of_entry, flow_that_was};

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This flow.
    Known(Flow),
    /// It seems forwarded, and nobody decided about it so far. It may as well be of an own address that is
    /// away for a moment: its next packet tells.
    Unsure(Flow),
}

impl Side {
    /// Of an entry, where `is_known` says which flows were decided. `None` for loopback.
    pub(crate) fn of(
        entry: &Entry,
        own: &HashSet<IpAddr>,
        orientation: &Orientation,
        is_known: impl Fn(&Flow) -> bool,
    ) -> Option<Self> {
        let flow = flow_of_entry(entry, own, orientation)?;
        if flow.direction != Direction::Forwarded || is_known(&flow) {
            return Some(Self::Known(flow));
        }
        let was = [Direction::Outbound, Direction::Inbound]
            .map(|direction| flow_that_was(entry, direction, orientation));
        Some(was.into_iter().find(is_known).map_or(Self::Unsure(flow), Self::Known))
    }

    /// The flow, as far as one can tell.
    pub(crate) fn flow(self) -> Flow {
        match self {
            Self::Known(flow) | Self::Unsure(flow) => flow,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use seawall_messages::Protocol;
    use seawall_platform::linux::conntrack::Tuple;

    use super::*;

    const A: &str = "10.0.0.1:5";
    const B: &str = "10.0.0.2:80";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn tuple(from: &str, to: &str) -> Tuple {
        let [from, to] = [from, to].map(address);
        Tuple {
            source: from.ip(),
            destination: to.ip(),
            protocol: Protocol::TCP,
            source_port: from.port(),
            destination_port: to.port(),
        }
    }

    #[test]
    fn a_connection_is_what_it_was_while_its_address_is_away() {
        use Direction::{Forwarded, Inbound, Outbound};
        let flow = |direction| Flow::between(direction, Protocol::TCP, address(A), address(B));
        let entry = Entry {
            original: tuple(A, B),
            reply: tuple(B, A),
            mark: 0,
            labels: Some(0),
            ended: false,
        };
        let cases = [
            // (decided before, own addresses, what it is)
            (None, vec![A], Side::Known(flow(Outbound))),
            (None, vec![B], Side::Known(flow(Inbound))),
            (None, vec![], Side::Unsure(flow(Forwarded))),
            (Some(Outbound), vec![], Side::Known(flow(Outbound))),
            (Some(Inbound), vec![], Side::Known(flow(Inbound))),
            (Some(Forwarded), vec![], Side::Known(flow(Forwarded))),
        ];
        for (before, own, expected) in cases {
            let own = own.into_iter().map(|text| address(text).ip()).collect();
            let is_known = |asked: &Flow| before.is_some_and(|before| *asked == flow(before));
            let side = Side::of(&entry, &own, &Orientation::default(), is_known);
            assert_eq!(side, Some(expected), "{before:?}");
        }
    }
}

//! Flows that were decided of late: for lists, and to tell by them what a
//! tracked connection is whose addresses say it no longer.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::IpAddr;

use seawall_messages::datapath::Connection;
use seawall_messages::{Direction, Flow, Judgement, Lifetime};
use seawall_platform::linux::conntrack::Entry;
use seawall_runtime::BoundedTable;

use crate::flow_of::Orientation;
use crate::sweep::{flow_of_entry, flow_that_was};

/// Decided flows that are remembered.
const MOST_LISTED: usize = 20_000;

/// See the module.
pub(crate) struct Decided {
    flows: BoundedTable<Flow, Noted>,
    next_number: u64,
}

/// A connection and its place in the order of decisions: the wall clock may be set back.
#[derive(Clone)]
struct Noted {
    number: u64,
    connection: Connection,
}

/// What a tracked connection is to this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This flow.
    Known(Flow),
    /// It seems forwarded, and nobody decided about it so far. It may as well be of an own address that is
    /// away for a moment: its next packet tells.
    Unsure(Flow),
}

impl Side {
    /// The flow, as far as one can tell.
    pub(crate) fn flow(self) -> Flow {
        match self {
            Self::Known(flow) | Self::Unsure(flow) => flow,
        }
    }
}

impl Decided {
    pub(crate) fn new() -> Self {
        Self { flows: BoundedTable::new(MOST_LISTED), next_number: 0 }
    }

    /// Notes what was decided just now.
    pub(crate) fn note(&mut self, connection: Connection) {
        self.next_number += 1;
        let number = self.next_number;
        self.flows.insert(connection.flow, Noted { number, connection });
    }

    /// Notes what another policy says of a flow, if the flow is known. It keeps its place.
    pub(crate) fn judged_again(&mut self, flow: &Flow, judgement: &Judgement) {
        let Some(noted) = self.flows.get(flow).cloned() else { return };
        let connection = Connection {
            action: judgement.action,
            reason: judgement.reason.clone(),
            permanent: judgement.lifetime == Lifetime::Flow,
            generation: judgement.generation,
            ..noted.connection
        };
        self.flows.insert(*flow, Noted { connection, ..noted });
    }

    /// What a tracked connection is. Without an own address among its ends it is what its packets
    /// were when they were judged. `None` for loopback.
    pub(crate) fn side_of(
        &mut self,
        entry: &Entry,
        own: &HashSet<IpAddr>,
        orientation: &Orientation,
    ) -> Option<Side> {
        let flow = flow_of_entry(entry, own, orientation)?;
        if flow.direction != Direction::Forwarded || self.flows.get(&flow).is_some() {
            return Some(Side::Known(flow));
        }
        let was = [Direction::Outbound, Direction::Inbound]
            .map(|direction| flow_that_was(entry, direction, orientation));
        let was = was.into_iter().find(|was| self.flows.get(was).is_some());
        Some(was.map_or(Side::Unsure(flow), Side::Known))
    }

    /// All of them, the last decided first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Connection> {
        let mut all: Vec<_> = self.flows.values().collect();
        all.sort_by_key(|noted| Reverse(noted.number));
        all.into_iter().map(|noted| &noted.connection)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    use super::*;
    use seawall_messages::{Action, Layer, PolicyGeneration, Protocol, Reason, Transport};
    use seawall_platform::linux::conntrack::Tuple;

    fn connection(flow: Flow, decided: SystemTime) -> Connection {
        Connection {
            flow,
            action: Action::Allow,
            reason: Reason::plain(Layer::DefaultAction, "test"),
            permanent: true,
            generation: PolicyGeneration(1),
            decided,
            live: true,
            uid: None,
            owner: None,
            used_by: None,
        }
    }

    fn tuple(from: &str, to: &str) -> Tuple {
        let [from, to]: [SocketAddr; 2] = [from, to].map(|text| text.parse().expect("an address"));
        Tuple {
            source: from.ip(),
            destination: to.ip(),
            protocol: Protocol::TCP,
            source_port: from.port(),
            destination_port: to.port(),
        }
    }

    fn flow(direction: Direction, from: &str, to: &str) -> Flow {
        let Tuple { source, destination, protocol, source_port, destination_port } =
            tuple(from, to);
        Flow {
            direction,
            protocol,
            initiator: source,
            responder: destination,
            transport: Transport::Ports { initiator: source_port, responder: destination_port },
        }
    }

    const A: &str = "10.0.0.1:5";
    const B: &str = "10.0.0.2:80";

    #[test]
    fn a_connection_is_what_it_was_while_its_address_is_away() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address").ip();
        let entry = Entry {
            original: tuple(A, B),
            reply: tuple(B, A),
            mark: 0,
            labels: Some(0),
            ended: false,
        };
        use Direction::{Forwarded, Inbound, Outbound};
        let cases = [
            // (decided before, own addresses, what it is)
            (None, vec![A], Side::Known(flow(Outbound, A, B))),
            (None, vec![B], Side::Known(flow(Inbound, A, B))),
            (None, vec![], Side::Unsure(flow(Forwarded, A, B))),
            (Some(Outbound), vec![], Side::Known(flow(Outbound, A, B))),
            (Some(Inbound), vec![], Side::Known(flow(Inbound, A, B))),
            (Some(Forwarded), vec![], Side::Known(flow(Forwarded, A, B))),
        ];
        for (before, own, expected) in cases {
            let mut decided = Decided::new();
            if let Some(direction) = before {
                decided.note(connection(flow(direction, A, B), SystemTime::UNIX_EPOCH));
            }
            let own = own.into_iter().map(address).collect();
            let side = decided.side_of(&entry, &own, &Orientation::default());
            assert_eq!(side, Some(expected), "{before:?}");
        }
    }

    #[test]
    fn the_last_decided_comes_first_whatever_the_clock_says() {
        let mut decided = Decided::new();
        let hour = Duration::from_secs(3600);
        for (number, seconds) in [hour * 9, hour, hour * 5].into_iter().enumerate() {
            let to = format!("10.0.0.2:{number}");
            let connection =
                connection(flow(Direction::Outbound, A, &to), SystemTime::UNIX_EPOCH + seconds);
            decided.note(connection);
        }
        let ports: Vec<_> =
            decided.newest_first().map(|noted| noted.flow.destination_port()).collect();
        assert_eq!(ports, [Some(2), Some(1), Some(0)]);
    }
}

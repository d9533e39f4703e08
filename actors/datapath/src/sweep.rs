//! Judging live flows again: which tracked connection is which flow, and what
//! becomes of it under a new policy.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use seawall_messages::keeper::Layout;
use seawall_messages::verdict::{Action, Lifetime};
use seawall_messages::{Direction, Flow, Judgement, Protocol, Transport};
use seawall_platform::linux::conntrack::{Entry, Tuple};
use seawall_platform::linux::layout::{Epoch, MarkAction, label};

use crate::flow_of::Orientation;

/// What a new policy means for the flows that are open.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// New labels.
    pub(crate) verdicts: Vec<(Entry, MarkAction, Epoch)>,
    /// Flows that stay in the queue: labels of earlier epochs have to go before
    /// those epochs come round again.
    pub(crate) unlabelled: Vec<Entry>,
    /// Local TCP connections to cut: local end, remote end.
    pub(crate) cut: Vec<(SocketAddr, SocketAddr)>,
}

/// The flow of a tracked connection, in the form in which its packets show it
/// at our hooks: mangle OUTPUT comes before address translation, INPUT and
/// FORWARD after it. `None` for loopback, which has no place in the sweep.
pub(crate) fn flow_of_entry(
    entry: &Entry,
    own: &HashSet<IpAddr>,
    orientation: &Orientation,
) -> Option<Flow> {
    let is_own = |address: &IpAddr| own.contains(address) || address.is_loopback();
    let (original, reply) = (&entry.original, &entry.reply);
    let direction = if is_own(&original.source) {
        if is_own(&original.destination) {
            return None;
        }
        Direction::Outbound
    } else if is_own(&reply.source) || original.destination.is_multicast() {
        Direction::Inbound
    } else {
        Direction::Forwarded
    };
    Some(flow_that_was(entry, direction, orientation))
}

/// The flow of a tracked connection whose direction is known.
pub(crate) fn flow_that_was(
    entry: &Entry,
    direction: Direction,
    orientation: &Orientation,
) -> Flow {
    let (original, reply) = (&entry.original, &entry.reply);
    let (responder, responder_port) = match direction {
        Direction::Outbound => (original.destination, original.destination_port),
        Direction::Inbound | Direction::Forwarded => (reply.source, reply.source_port),
    };
    orientation.orient(Flow {
        direction,
        protocol: original.protocol,
        initiator: original.source,
        responder,
        transport: transport_of(original, responder_port),
    })
}

/// The entry of a flow of a local socket, as far as it takes to name it: by the tuple that its
/// caller's packets show. `None` where the flow has no ports.
pub(crate) fn entry_of_flow(flow: &Flow) -> Option<Entry> {
    let Transport::Ports { initiator, responder } = flow.transport else { return None };
    let original = Tuple {
        source: flow.initiator,
        destination: flow.responder,
        protocol: flow.protocol,
        source_port: initiator,
        destination_port: responder,
    };
    let reply = Tuple {
        source: flow.responder,
        destination: flow.initiator,
        protocol: flow.protocol,
        source_port: responder,
        destination_port: initiator,
    };
    Some(Entry { original, reply, mark: 0, labels: None, ended: false })
}

/// Whether the entry has a standing verdict of this epoch already.
pub(crate) fn is_settled(entry: &Entry, layout: &Layout, epoch: Epoch) -> bool {
    let Some(labels) = entry.labels else { return false };
    [MarkAction::Allow, MarkAction::Reject, MarkAction::Drop]
        .iter()
        .any(|action| labels & (1_u128 << label(layout, *action, epoch)) != 0)
}

/// Whether it is Seawall's own traffic, which no policy touches.
pub(crate) fn is_own_traffic(entry: &Entry, layout: &Layout) -> bool {
    let own = 1_u128 << label(layout, MarkAction::Own, Epoch::FIRST);
    entry.labels.is_some_and(|labels| labels & own != 0)
}

impl Sweep {
    /// Notes what becomes of one connection.
    pub(crate) fn add(&mut self, entry: Entry, flow: &Flow, judgement: &Judgement, epoch: Epoch) {
        match judgement.action {
            Action::Allow if judgement.lifetime == Lifetime::Flow => {
                self.verdicts.push((entry, MarkAction::Allow, epoch));
            }
            Action::Allow if entry.labels.is_some_and(|labels| labels != 0) => {
                self.unlabelled.push(entry);
            }
            Action::Allow => {}
            Action::Reject => self.forbid(entry, flow, MarkAction::Reject, epoch),
            Action::Drop => self.forbid(entry, flow, MarkAction::Drop, epoch),
        }
    }

    fn forbid(&mut self, entry: Entry, flow: &Flow, action: MarkAction, epoch: Epoch) {
        self.verdicts.push((entry, action, epoch));
        let Transport::Ports { initiator, responder } = flow.transport else { return };
        if flow.protocol != Protocol::TCP {
            return;
        }
        let caller = SocketAddr::new(flow.initiator, initiator);
        let called = SocketAddr::new(flow.responder, responder);
        match flow.direction {
            Direction::Outbound => self.cut.push((caller, called)),
            Direction::Inbound => self.cut.push((called, caller)),
            Direction::Forwarded => {}
        }
    }
}

fn transport_of(original: &Tuple, responder_port: u16) -> Transport {
    if original.protocol.is_icmp() {
        let [kind, code] = original.destination_port.to_be_bytes();
        Transport::Icmp { kind, code, identifier: original.source_port }
    } else if original.protocol.has_ports() {
        Transport::Ports { initiator: original.source_port, responder: responder_port }
    } else {
        Transport::Portless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_messages::{Layer, PolicyGeneration, Reach, Reason};

    fn tuple(from: &str, to: &str) -> Tuple {
        let from: SocketAddr = from.parse().expect("an address");
        let to: SocketAddr = to.parse().expect("an address");
        Tuple {
            source: from.ip(),
            destination: to.ip(),
            protocol: Protocol::TCP,
            source_port: from.port(),
            destination_port: to.port(),
        }
    }

    fn entry(original: Tuple, reply: Tuple) -> Entry {
        Entry { original, reply, mark: 0, labels: Some(0), ended: false }
    }

    fn own() -> HashSet<IpAddr> {
        ["10.0.0.1", "172.17.0.1"].iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn entries_become_the_flows_that_packets_show() {
        let cases = [
            // (original from, to, reply from, to, direction, responder)
            ("10.0.0.1:5", "1.1.1.1:80", "1.1.1.1:80", "10.0.0.1:5", "outbound", "1.1.1.1:80"),
            // Destination translated after mangle OUTPUT: packets show the original.
            ("10.0.0.1:5", "1.1.1.1:53", "10.9.9.9:5353", "10.0.0.1:5", "outbound", "1.1.1.1:53"),
            ("9.9.9.9:5", "10.0.0.1:22", "10.0.0.1:22", "9.9.9.9:5", "inbound", "10.0.0.1:22"),
            // A published container port: packets in FORWARD show the container.
            (
                "9.9.9.9:5",
                "10.0.0.1:8080",
                "172.17.0.2:80",
                "9.9.9.9:5",
                "forwarded",
                "172.17.0.2:80",
            ),
            // A masqueraded container.
            ("172.17.0.2:5", "1.1.1.1:80", "1.1.1.1:80", "10.0.0.1:5", "forwarded", "1.1.1.1:80"),
        ];
        for (from, to, reply_from, reply_to, direction, responder) in cases {
            let entry = entry(tuple(from, to), tuple(reply_from, reply_to));
            let flow = flow_of_entry(&entry, &own(), &Orientation::default()).expect("a flow");
            let responder: SocketAddr = responder.parse().expect("an address");
            assert_eq!(flow.direction.as_str(), direction, "{from} > {to}");
            assert_eq!(flow.responder, responder.ip(), "{from} > {to}");
            assert_eq!(flow.destination_port(), Some(responder.port()), "{from} > {to}");
        }
    }

    #[test]
    fn loopback_is_left_alone() {
        let tuple_out = tuple("127.0.0.1:5", "127.0.0.1:80");
        let tuple_back = tuple("127.0.0.1:80", "127.0.0.1:5");
        let entry = entry(tuple_out, tuple_back);
        assert_eq!(flow_of_entry(&entry, &own(), &Orientation::default()), None);
    }

    #[test]
    fn what_is_forbidden_is_labelled_and_its_socket_cut() {
        let entry = entry(tuple("10.0.0.1:5", "1.1.1.1:80"), tuple("1.1.1.1:80", "10.0.0.1:5"));
        let flow = flow_of_entry(&entry, &own(), &Orientation::default()).expect("a flow");
        let judgement = |action| Judgement {
            action,
            lifetime: Lifetime::Flow,
            reason: Reason::plain(Layer::DefaultAction, "test"),
            generation: PolicyGeneration(1),
            reach: Reach::Flow,
            breadth: seawall_messages::Breadth::Service,
        };
        let epoch = Epoch::FIRST;
        let mut sweep = Sweep::default();
        sweep.add(entry, &flow, &judgement(Action::Allow), epoch);
        assert!(sweep.cut.is_empty());
        sweep.add(entry, &flow, &judgement(Action::Reject), epoch);
        let ends = ("10.0.0.1:5".parse().expect("ok"), "1.1.1.1:80".parse().expect("ok"));
        assert_eq!(sweep.cut, vec![ends]);
        let actions: Vec<_> = sweep.verdicts.iter().map(|(_, action, _)| *action).collect();
        assert_eq!(actions, vec![MarkAction::Allow, MarkAction::Reject]);
    }

    #[test]
    fn only_labels_of_this_epoch_settle_a_flow() {
        let layout = Layout::default();
        let second = Epoch::FIRST.next();
        let mut labelled =
            entry(tuple("10.0.0.1:5", "1.1.1.1:80"), tuple("1.1.1.1:80", "10.0.0.1:5"));
        labelled.labels = Some(1 << label(&layout, MarkAction::Allow, second));
        assert!(is_settled(&labelled, &layout, second));
        assert!(!is_settled(&labelled, &layout, second.next()));
        assert!(!is_own_traffic(&labelled, &layout));
    }
}

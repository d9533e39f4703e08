//! From a flow to its owner, by what the kernel noted.

use std::net::{IpAddr, Ipv6Addr};

use seawall_ebpf_abi::{Listener, OwnerRecord, Tuple, hook, side};
use seawall_messages::process::{Method, Owner, Owners, ProcessKey, Traffic};
use seawall_messages::{Direction, Flow, Protocol, Transport};

use super::Notes;

/// Hundredths of a second, in nanoseconds: what `/proc` counts in (USER_HZ, proc(5)).
const TICK_NS: u64 = 10_000_000;

impl Owners for Notes {
    fn owner(&self, flow: &Flow, _: Option<u32>) -> Option<Owner> {
        self.record(flow).map(|record| owner_of(&record))
    }
}

impl Notes {
    /// The owner of a TCP connection that this machine opened, if it is one of the latest: by a look at memory that the
    /// programs write, without a question to the kernel.
    pub fn latest_call(&self, flow: &Flow) -> Option<OwnerRecord> {
        let is_call = flow.protocol == Protocol::TCP && flow.direction == Direction::Outbound;
        let tuple = is_call.then(|| tuple_of(flow, self.namespace)).flatten()?;
        self.calls.owner(&tuple)
    }

    /// As [`Owners::owner`], with all that was noted.
    pub fn record(&self, flow: &Flow) -> Option<OwnerRecord> {
        if let Some(owner) = self.latest_call(flow) {
            return Some(owner);
        }
        let tuple = tuple_of(flow, self.namespace)?;
        match flow.direction {
            Direction::Outbound => self.sender(&tuple),
            Direction::Inbound => {
                let called = Tuple { side: side::CALLED, ..tuple };
                self.noted(&called).or_else(|| self.listener(&tuple))
            }
            Direction::Forwarded => self.noted(&Tuple { namespace: 0, ..tuple }),
        }
    }

    fn noted(&self, tuple: &Tuple) -> Option<OwnerRecord> {
        self.tuples.get(tuple).ok().flatten()
    }

    /// By the exact tuple, and, for a datagram from a socket that is bound to no address, without that.
    fn sender(&self, tuple: &Tuple) -> Option<OwnerRecord> {
        let without_address = Tuple { source: [0; 16], ..*tuple };
        let exact = self.noted(tuple);
        if exact.is_some() || tuple.protocol == Protocol::TCP.0 {
            return exact;
        }
        self.noted(&without_address)
    }

    /// By the called address, and by any.
    fn listener(&self, tuple: &Tuple) -> Option<OwnerRecord> {
        let mut listener = Listener {
            address: tuple.destination,
            namespace: tuple.namespace,
            port: tuple.destination_port,
            protocol: tuple.protocol,
            padding: [0; 5],
        };
        if let Some(found) = self.listeners.get(&listener).ok().flatten() {
            return Some(found);
        }
        listener.address = [0; 16];
        self.listeners.get(&listener).ok().flatten()
    }
}

/// What a record says, in the words of all.
pub fn owner_of(record: &OwnerRecord) -> Owner {
    Owner {
        process: ProcessKey {
            pid: record.process.pid,
            started_ticks: record.process.started_ns / TICK_NS,
            exec_id: Some(record.process.exec_id),
        },
        cookie: record.cookie,
        uid: record.uid,
        method: method_of(record.hook),
    }
}

/// Whether a caller's tuple is that of this flow. The address of a socket that is bound to none is any.
pub fn is_of(tuple: &Tuple, flow: &Flow) -> bool {
    let Some(own) = tuple_of(flow, tuple.namespace) else { return false };
    own == *tuple || Tuple { source: [0; 16], ..own } == *tuple
}

/// What was counted, in the words of all.
pub fn traffic_of(counted: &seawall_ebpf_abi::Traffic) -> Traffic {
    Traffic {
        sent_bytes: counted.sent_bytes,
        received_bytes: counted.received_bytes,
        sent_packets: counted.sent_packets,
        received_packets: counted.received_packets,
    }
}

fn method_of(noted_by: u32) -> Method {
    match noted_by {
        hook::CONNECT => Method::Connect,
        hook::SEND => Method::Send,
        hook::OUTPUT | hook::CREATE => Method::Output,
        hook::EGRESS => Method::Egress,
        hook::LISTEN | hook::ACCEPT => Method::Listen,
        hook::RELEASE => Method::Release,
        _ => Method::SocketTable,
    }
}

/// A flow's tuple, the initiator's end first; `None` where its ports are not known.
fn tuple_of(flow: &Flow, namespace: u64) -> Option<Tuple> {
    let (source_port, destination_port) = match flow.transport {
        Transport::Ports { initiator, responder } => (initiator, responder),
        Transport::Icmp { identifier, .. } => (identifier, 0),
        Transport::Portless => (0, 0),
        Transport::Truncated => return None,
    };
    Some(Tuple {
        source: mapped(flow.initiator),
        destination: mapped(flow.responder),
        namespace,
        source_port,
        destination_port,
        protocol: flow.protocol.0,
        side: side::CALLER,
        padding: [0; 2],
    })
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_and_all_transports_have_a_tuple() {
        let flow = Flow {
            direction: Direction::Outbound,
            protocol: Protocol::UDP,
            initiator: [10, 0, 0, 1].into(),
            responder: [10, 0, 0, 2].into(),
            transport: Transport::Ports { initiator: 5000, responder: 53 },
        };
        let tuple = tuple_of(&flow, 7).expect("it has ports");
        assert_eq!(tuple.source[10..], [0xff, 0xff, 10, 0, 0, 1]);
        assert_eq!((tuple.source_port, tuple.destination_port, tuple.namespace), (5000, 53, 7));
        let echo = Flow {
            protocol: Protocol::ICMP,
            transport: Transport::Icmp { kind: 8, code: 0, identifier: 9 },
            ..flow
        };
        assert_eq!(tuple_of(&echo, 7).map(|tuple| tuple.source_port), Some(9));
        assert_eq!(tuple_of(&Flow { transport: Transport::Truncated, ..flow }, 7), None);
    }
}

//! Entries as ctnetlink writes them (linux/netfilter/nfnetlink_conntrack.h).

use std::net::IpAddr;

use seawall_messages::Protocol;

use super::{Count, Entry, Tuple};
use crate::linux::netlink::{Request, attributes, read_address};

/// NFNL_SUBSYS_CTNETLINK in the upper byte, IPCTNL_MSG_CT_{NEW,GET,DELETE} in the lower.
const CT_NEW: u16 = 1 << 8;
const CT_GET: u16 = CT_NEW | 1;
const CT_DELETE: u16 = CT_NEW | 2;

/// Bytes of `struct nfgenmsg`: family, version, resource.
const FAMILY_HEADER_BYTES: usize = 4;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_MARK: u16 = 8;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_LABELS: u16 = 22;
const CTA_LABELS_MASK: u16 = 23;

const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
/// TCP_CONNTRACK_TIME_WAIT and TCP_CONNTRACK_CLOSE (linux/netfilter/nf_conntrack_tcp.h).
const TCP_ENDED: [u8; 2] = [7, 8];

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;

const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;

/// GRE has a key where others have ports, and the kernel calls it a port.
const GRE: Protocol = Protocol(47);

/// IPS_SEEN_REPLY (linux/netfilter/nf_conntrack_common.h).
const SEEN_REPLY: u32 = 1 << 1;

/// An entry and what else the list says of it.
pub(super) struct Listed {
    pub(super) entry: Entry,
    pub(super) seen_reply: bool,
    /// What went each way: original, reply. `None` where the kernel doesn't count.
    pub(super) counts: Option<[Count; 2]>,
}

/// Asks for all entries of all families.
pub(super) fn list_request() -> Request {
    Request::new(CT_GET, &[0; FAMILY_HEADER_BYTES])
}

/// Deletes an entry.
pub(super) fn delete_request(entry: &Entry) -> Request {
    about(CT_DELETE, entry)
}

/// Gives the labels under `mask` these values.
pub(super) fn label_request(entry: &Entry, labels: u128, mask: u128) -> Request {
    let mut request = about(CT_NEW, entry);
    request.attribute(CTA_LABELS, &label_bytes(labels));
    request.attribute(CTA_LABELS_MASK, &label_bytes(mask));
    request
}

fn about(kind: u16, entry: &Entry) -> Request {
    let family = match entry.original.source {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    // Families are small numbers.
    let mut request = Request::new(kind, &[family as u8, 0, 0, 0]);
    write_tuple(&mut request, &entry.original);
    request
}

fn write_tuple(request: &mut Request, tuple: &Tuple) {
    let whole = request.nest(CTA_TUPLE_ORIG);
    let addresses = request.nest(CTA_TUPLE_IP);
    match (tuple.source, tuple.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            request.attribute(CTA_IP_V4_SRC, &source.octets());
            request.attribute(CTA_IP_V4_DST, &destination.octets());
        }
        (source, destination) => {
            request.attribute(CTA_IP_V6_SRC, &v6_octets(source));
            request.attribute(CTA_IP_V6_DST, &v6_octets(destination));
        }
    }
    request.close(addresses);
    let protocol = request.nest(CTA_TUPLE_PROTO);
    request.attribute(CTA_PROTO_NUM, &[tuple.protocol.0]);
    let [kind, code] = tuple.destination_port.to_be_bytes();
    let first = tuple.source_port.to_be_bytes();
    match tuple.protocol {
        Protocol::ICMP => {
            request.attribute(CTA_PROTO_ICMP_ID, &first);
            request.attribute(CTA_PROTO_ICMP_TYPE, &[kind]);
            request.attribute(CTA_PROTO_ICMP_CODE, &[code]);
        }
        Protocol::ICMPV6 => {
            request.attribute(CTA_PROTO_ICMPV6_ID, &first);
            request.attribute(CTA_PROTO_ICMPV6_TYPE, &[kind]);
            request.attribute(CTA_PROTO_ICMPV6_CODE, &[code]);
        }
        protocol if protocol.has_ports() || protocol == GRE => {
            request.attribute(CTA_PROTO_SRC_PORT, &first);
            request.attribute(CTA_PROTO_DST_PORT, &[kind, code]);
        }
        _ => {}
    }
    request.close(protocol);
    request.close(whole);
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The entry of a message; none if it is malformed or of another family.
pub(super) fn parse(payload: &[u8]) -> std::option::IntoIter<Listed> {
    let body = payload.get(FAMILY_HEADER_BYTES..).unwrap_or_default();
    let (mut original, mut reply) = (None, None);
    let (mut status, mut mark, mut labels, mut ended) = (0, 0, None, false);
    let mut counts = [None; 2];
    for (kind, value) in attributes(body) {
        match kind {
            CTA_TUPLE_ORIG => original = read_tuple(value),
            CTA_TUPLE_REPLY => reply = read_tuple(value),
            CTA_STATUS => status = read_be_u32(value),
            CTA_PROTOINFO => ended = read_ended(value),
            CTA_MARK => mark = read_be_u32(value),
            CTA_COUNTERS_ORIG => counts[0] = read_count(value),
            CTA_COUNTERS_REPLY => counts[1] = read_count(value),
            CTA_LABELS => labels = read_labels(value),
            _ => {}
        }
    }
    let listed = original.zip(reply).map(|(original, reply)| Listed {
        entry: Entry { original, reply, mark, labels, ended },
        seen_reply: status & SEEN_REPLY != 0,
        counts: counts[0].zip(counts[1]).map(|(original, reply)| [original, reply]),
    });
    listed.into_iter()
}

/// Whether a TCP connection is over and its entry only waits to be forgotten.
fn read_ended(value: &[u8]) -> bool {
    attributes(value)
        .filter(|(kind, _)| *kind == CTA_PROTOINFO_TCP)
        .flat_map(|(_, value)| attributes(value))
        .any(|(kind, value)| {
            kind == CTA_PROTOINFO_TCP_STATE && matches!(value, [state] if TCP_ENDED.contains(state))
        })
}

fn read_tuple(value: &[u8]) -> Option<Tuple> {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut first, mut second) = ([0; 2], [0; 2]);
    for (kind, value) in attributes(value) {
        match kind {
            CTA_TUPLE_IP => {
                for (kind, value) in attributes(value) {
                    match kind {
                        CTA_IP_V4_SRC | CTA_IP_V6_SRC => source = read_address(value),
                        CTA_IP_V4_DST | CTA_IP_V6_DST => destination = read_address(value),
                        _ => {}
                    }
                }
            }
            CTA_TUPLE_PROTO => {
                for (kind, value) in attributes(value) {
                    match (kind, value) {
                        (CTA_PROTO_NUM, &[number]) => protocol = Some(Protocol(number)),
                        (
                            CTA_PROTO_SRC_PORT | CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID,
                            &[high, low],
                        ) => first = [high, low],
                        (CTA_PROTO_DST_PORT, &[high, low]) => second = [high, low],
                        (CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE, &[kind]) => second[0] = kind,
                        (CTA_PROTO_ICMP_CODE | CTA_PROTO_ICMPV6_CODE, &[code]) => second[1] = code,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(Tuple {
        source: source?,
        destination: destination?,
        protocol: protocol?,
        source_port: u16::from_be_bytes(first),
        destination_port: u16::from_be_bytes(second),
    })
}

fn read_count(value: &[u8]) -> Option<Count> {
    let number = |wanted| {
        let (_, value) = attributes(value).find(|(kind, _)| *kind == wanted)?;
        value.try_into().map(u64::from_be_bytes).ok()
    };
    Some(Count { packets: number(CTA_COUNTERS_PACKETS)?, bytes: number(CTA_COUNTERS_BYTES)? })
}

fn read_be_u32(value: &[u8]) -> u32 {
    value.try_into().map(u32::from_be_bytes).unwrap_or_default()
}

/// Two 64-bit words in native order, label 0 the lowest bit of the first.
fn read_labels(value: &[u8]) -> Option<u128> {
    let word = |at: usize| Some(u64::from_ne_bytes(value.get(at..at + 8)?.try_into().ok()?));
    Some(u128::from(word(0)?) | u128::from(word(8)?) << 64)
}

fn label_bytes(labels: u128) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&(labels as u64).to_ne_bytes());
    high.copy_from_slice(&((labels >> 64) as u64).to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_numbers_on_the_wire() {
        for labels in [0, 1, 1 << 63, 1 << 64, 1 << 127, u128::MAX, 0x1234_5678 << 60] {
            assert_eq!(read_labels(&label_bytes(labels)), Some(labels));
        }
        assert_eq!(read_labels(&[0; 15]), None);
    }

    #[test]
    fn malformed_entries_are_left_out() {
        for payload in [&[][..], &[2, 0, 0, 0], &[2, 0, 0, 0, 4, 0, 1, 128], &[0xff; 64]] {
            assert_eq!(parse(payload).count(), 0);
        }
    }
}

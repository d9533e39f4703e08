//! Reads headers. Total: any bytes give an answer, never a panic.
//!
//! A rule that names a port must never match a packet whose ports were not
//! seen, so whatever is cut short, malformed or a later fragment ends as
//! [`Transport::Truncated`]. All access goes through slices that end where the
//! captured bytes and the packet's own length end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use seawall_messages::{Protocol, Transport};

/// What the headers say, in the direction in which the packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Protocol after all extension headers (RFC 8200); the first unknown one by its number.
    pub protocol: Protocol,
    /// Ports (`initiator` is the source port here) or their like.
    pub transport: Transport,
    /// Hop limit or TTL.
    pub hop_limit: u8,
}

/// Extension headers that are followed. RFC 8200 orders at most eight; a
/// longer chain is somebody's trick.
const MAX_EXTENSION_HEADERS: usize = 16;

/// Numbers of IPv6 extension headers (IANA "IPv6 Extension Header Types").
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Reads an IPv4 or IPv6 packet that may be cut short. `None`: not even the
/// addresses are there, or it is neither.
pub fn parse(bytes: &[u8]) -> Option<Headers> {
    match bytes.first()? >> 4 {
        4 => parse_v4(bytes),
        6 => parse_v6(bytes),
        _ => None,
    }
}

/// RFC 791. An authentication header (51) stays what it is here: IPv4 has no chain of headers.
fn parse_v4(bytes: &[u8]) -> Option<Headers> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    let protocol = Protocol(header[9]);

    // Zero is what the kernel writes into packets beyond 64 KiB (BIG TCP).
    let within = if total_bytes == 0 { bytes } else { clip(bytes, total_bytes) };
    let readable = header_bytes >= header.len() && fragment_offset == 0;
    let payload = within.get(header_bytes..).filter(|_| readable);
    Some(Headers {
        source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
        destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
        protocol,
        transport: payload
            .map_or(Transport::Truncated, |payload| transport(protocol, Protocol::ICMP, payload)),
        hop_limit: header[8],
    })
}

/// RFC 8200.
fn parse_v6(bytes: &[u8]) -> Option<Headers> {
    let (header, rest) = bytes.split_first_chunk::<40>()?;
    let payload_bytes = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // Zero: a jumbogram (RFC 2675), or nothing follows and nothing is there to read.
    let rest = if payload_bytes == 0 { rest } else { clip(rest, payload_bytes) };
    let (protocol, transport) = after_extensions(header[6], rest);
    Some(Headers {
        source: IpAddr::V6(v6_address(header, 8)?),
        destination: IpAddr::V6(v6_address(header, 24)?),
        protocol,
        transport,
        hop_limit: header[7],
    })
}

/// Follows the chain of extension headers to the protocol behind it. ESP and
/// "no next header" end it: what follows can't be read, or isn't there.
fn after_extensions(first: u8, bytes: &[u8]) -> (Protocol, Transport) {
    let mut next = first;
    let mut rest = bytes;
    for _ in 0..MAX_EXTENSION_HEADERS {
        let length_bytes = match next {
            extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::DESTINATION_OPTIONS
            | extension::MOBILITY
            | extension::HIP
            | extension::SHIM6 => rest.get(1).map(|&units| (usize::from(units) + 1) * 8),
            extension::AUTHENTICATION => rest.get(1).map(|&units| (usize::from(units) + 2) * 4),
            extension::FRAGMENT => Some(8),
            _ => return (Protocol(next), transport(Protocol(next), Protocol::ICMPV6, rest)),
        };
        let Some((header, behind)) = length_bytes.and_then(|length| rest.split_at_checked(length))
        else {
            return (Protocol(next), Transport::Truncated);
        };
        let later_fragment = next == extension::FRAGMENT && !is_first_fragment(header);
        next = header.first().copied().unwrap_or(next);
        if later_fragment {
            return (Protocol(next), Transport::Truncated);
        }
        rest = behind;
    }
    (Protocol(next), Transport::Truncated)
}

fn is_first_fragment(header: &[u8]) -> bool {
    header
        .first_chunk::<4>()
        .is_some_and(|fields| u16::from_be_bytes([fields[2], fields[3]]) & 0xfff8 == 0)
}

/// Reads the header behind IP. `own_icmp`: the ICMP of this IP version; the other one means nothing here.
fn transport(protocol: Protocol, own_icmp: Protocol, payload: &[u8]) -> Transport {
    if protocol.has_ports() {
        payload.first_chunk::<4>().map_or(Transport::Truncated, |ports| Transport::Ports {
            initiator: u16::from_be_bytes([ports[0], ports[1]]),
            responder: u16::from_be_bytes([ports[2], ports[3]]),
        })
    } else if protocol == own_icmp {
        icmp(protocol, payload)
    } else {
        Transport::Portless
    }
}

/// RFC 792, RFC 4443.
fn icmp(protocol: Protocol, payload: &[u8]) -> Transport {
    let Some(&[kind, code]) = payload.first_chunk::<2>() else {
        return Transport::Truncated;
    };
    let is_echo =
        if protocol == Protocol::ICMP { matches!(kind, 0 | 8) } else { matches!(kind, 128 | 129) };
    if !is_echo {
        return Transport::Icmp { kind, code, identifier: 0 };
    }
    payload.first_chunk::<6>().map_or(Transport::Truncated, |echo| Transport::Icmp {
        kind,
        code,
        identifier: u16::from_be_bytes([echo[4], echo[5]]),
    })
}

fn v6_address(header: &[u8; 40], offset: usize) -> Option<Ipv6Addr> {
    header.get(offset..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

fn clip(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

#[cfg(test)]
mod tests;

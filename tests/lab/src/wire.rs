//! Packets built by hand, for what sockets don't send by themselves.

use std::net::Ipv6Addr;

const UDP: u8 = 17;
const DESTINATION_OPTIONS: u8 = 60;

/// An ICMP echo request (RFC 792) with its checksum.
pub fn icmp_echo(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    let sum = checksum(&[&packet]);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An ICMPv6 echo request (RFC 4443); the kernel fills in the checksum.
pub fn icmp6_echo(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![128, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A whole IPv6 packet: header, destination options with padding only (RFC 8200 section 4.6), UDP.
pub fn udp_behind_destination_options(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    ports: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let udp = udp6(source, destination, ports, payload);
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((options.len() + udp.len()) as u16).to_be_bytes());
    packet.extend([DESTINATION_OPTIONS, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(options);
    packet.extend(udp);
    packet
}

fn udp6(source: Ipv6Addr, destination: Ipv6Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut udp = Vec::with_capacity(usize::from(length));
    udp.extend(ports.0.to_be_bytes());
    udp.extend(ports.1.to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let pseudo = [0, UDP as u16].map(u16::to_be_bytes).concat();
    let sum = checksum(&[
        &source.octets(),
        &destination.octets(),
        &u32::from(length).to_be_bytes(),
        &pseudo,
        &udp,
    ]);
    let sum = if sum == 0 { 0xffff } else { sum };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    udp
}

/// The Internet checksum (RFC 1071) over parts of even length; only the last may be odd.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_its_checksum_sums_to_zero() {
        for payload in [&b""[..], b"a", b"ab", b"abc"] {
            assert_eq!(checksum(&[&icmp_echo(7, 1, payload)]), 0, "{payload:?}");
        }
    }
}

//! Tuples of packets and sockets: how addresses of both families are made one.

use seawall_ebpf_abi::{Tuple, side};

/// An IPv4 address as an IPv6 address (RFC 4291, section 2.5.5.2).
#[inline(always)]
pub fn mapped(address: [u8; 4]) -> [u8; 16] {
    let mut mapped = [0; 16];
    mapped[10] = 0xff;
    mapped[11] = 0xff;
    mapped[12] = address[0];
    mapped[13] = address[1];
    mapped[14] = address[2];
    mapped[15] = address[3];
    mapped
}

/// As [`mapped`], but the address that stands for any is that of both families.
#[inline(always)]
pub fn mapped_or_any(address: [u8; 4]) -> [u8; 16] {
    if u32::from_ne_bytes(address) == 0 { [0; 16] } else { mapped(address) }
}

/// Four words as an address.
#[inline(always)]
pub fn address_of(words: [u32; 4]) -> [u8; 16] {
    // SAFETY: an array of integers as one of the same size.
    unsafe { core::mem::transmute(words) }
}

/// Whether a packet is a fragment behind the first, which has no ports: by the bytes of its flags
/// and fragment offset (RFC 791, section 3.1).
#[inline(always)]
pub fn is_later_fragment(flags_and_offset: [u8; 2]) -> bool {
    u16::from_be_bytes(flags_and_offset) & 0x1fff != 0
}

/// A tuple of these parts, noted of its caller.
#[inline(always)]
pub fn tuple(
    namespace: u64,
    protocol: u8,
    source: ([u8; 16], u16),
    destination: ([u8; 16], u16),
) -> Tuple {
    Tuple {
        source: source.0,
        destination: destination.0,
        namespace,
        source_port: source.1,
        destination_port: destination.1,
        protocol,
        side: side::CALLER,
        padding: [0; 2],
    }
}

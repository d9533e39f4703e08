//! Counts what sockets move, and looks at the headers of their packets.

use core::ffi::c_void;
use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use seawall_ebpf_abi::{Traffic, Tuple, loss};

use crate::maps::{TRAFFIC, lost};
use crate::socket::{ICMP, ICMPV6, TCP, UDP};
use crate::tuple::{is_later_fragment, mapped, tuple};

/// Which way a packet goes, seen from the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To it.
    Received,
    /// From it.
    Sent,
}

/// Counts a packet for a socket. Whether it is the socket's first.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, cookie: u64, way: Way) -> bool {
    // SAFETY: fields of the context.
    let (length, segments) = unsafe { ((*skb).len, (*skb).gso_segs) };
    let packets = if segments == 0 { 1 } else { u64::from(segments) };
    let mut bytes = u64::from(length);
    if packets > 1 {
        bytes += (packets - 1) * u64::from(header_bytes(skb));
    }
    let Some(traffic) = TRAFFIC.get_ptr_mut(cookie) else {
        let first = match way {
            Way::Sent => Traffic { sent_bytes: bytes, sent_packets: packets, ..Traffic::default() },
            Way::Received => {
                Traffic { received_bytes: bytes, received_packets: packets, ..Traffic::default() }
            }
        };
        // BPF_NOEXIST is not asked for: two first packets at once cost one count.
        if TRAFFIC.insert(cookie, &first, 0).is_err() {
            lost(loss::TRAFFIC);
        }
        return true;
    };
    // SAFETY: an entry of the map; fields are aligned, and only ever added to.
    unsafe {
        let (sum, number) = match way {
            Way::Sent => (&raw mut (*traffic).sent_bytes, &raw mut (*traffic).sent_packets),
            Way::Received => {
                (&raw mut (*traffic).received_bytes, &raw mut (*traffic).received_packets)
            }
        };
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(sum, bytes);
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(number, packets);
    }
    false
}

/// Bytes of a packet's headers: IP, and TCP or UDP behind it.
#[inline(always)]
fn header_bytes(skb: *mut __sk_buff) -> u32 {
    let (network, protocol) = match load::<u8>(skb, 0) >> 4 {
        4 => (u32::from(load::<u8>(skb, 0) & 0xf) * 4, load::<u8>(skb, 9)),
        _ => (40, load::<u8>(skb, 6)),
    };
    let transport = match u32::from(protocol) {
        TCP => u32::from(load::<u8>(skb, network + 12) >> 4) * 4,
        UDP => 8,
        _ => 0,
    };
    network + transport
}

/// A packet's tuple; `None` for a later fragment, and for IPv6 with extension headers.
#[inline(always)]
pub fn tuple_of(skb: *mut __sk_buff, namespace: u64) -> Option<Tuple> {
    let (source, destination, protocol, transport) = match load::<u8>(skb, 0) >> 4 {
        4 => {
            if is_later_fragment(load(skb, 6)) {
                return None;
            }
            (
                mapped(load(skb, 12)),
                mapped(load(skb, 16)),
                load::<u8>(skb, 9),
                u32::from(load::<u8>(skb, 0) & 0xf) * 4,
            )
        }
        6 => (load(skb, 8), load(skb, 24), load::<u8>(skb, 6), 40),
        _ => return None,
    };
    let ports = match u32::from(protocol) {
        TCP | UDP => (u16::from_be(load(skb, transport)), u16::from_be(load(skb, transport + 2))),
        ICMP | ICMPV6 => (u16::from_be(load(skb, transport + 4)), 0),
        _ => (0, 0),
    };
    Some(tuple(namespace, protocol, (source, ports.0), (destination, ports.1)))
}

/// Copies bytes of a packet, from its IP header on. Where there are none, zeros.
#[inline(always)]
fn load<T: Copy>(skb: *mut __sk_buff, offset: u32) -> T {
    // SAFETY: only called for integers and arrays of them, for which zeros are
    // valid; the helper checks the packet's bounds and clears the target beyond them.
    unsafe {
        let mut value: T = core::mem::zeroed();
        bpf_skb_load_bytes(
            skb.cast::<c_void>(),
            offset,
            core::ptr::from_mut(&mut value).cast::<c_void>(),
            size_of::<T>() as u32,
        );
        value
    }
}

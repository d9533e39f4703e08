//! Counts what sockets move, and looks at the headers of their packets.

use core::ffi::c_void;
use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use seawall_ebpf_abi::{Traffic, Tuple, loss};

use crate::kernel::counts_sockets;
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

/// Whether a socket is counted, and where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It isn't, so far.
    No,
    /// It is one of the guarded network namespace.
    Guarded,
    /// It is one of another.
    Elsewhere,
}

/// Counts a packet for a socket, if that is counted already.
#[inline(always)]
pub fn count(skb: *mut __sk_buff, cookie: u64, way: Way) -> Counted {
    if !counts_sockets() {
        return Counted::No;
    }
    let Some(traffic) = TRAFFIC.get_ptr_mut(cookie) else { return Counted::No };
    let (bytes, packets) = size_of_packet(skb);
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
        if (*traffic).guarded == 0 { Counted::Elsewhere } else { Counted::Guarded }
    }
}

/// Counts a socket from this packet on. `guarded`: whether it is of the guarded network namespace.
#[inline(always)]
pub fn begin_counting(skb: *mut __sk_buff, cookie: u64, way: Way, guarded: bool) {
    if !counts_sockets() {
        return;
    }
    let (bytes, packets) = size_of_packet(skb);
    let nothing = Traffic { guarded: u64::from(guarded), ..Traffic::default() };
    let first = match way {
        Way::Sent => Traffic { sent_bytes: bytes, sent_packets: packets, ..nothing },
        Way::Received => Traffic { received_bytes: bytes, received_packets: packets, ..nothing },
    };
    // BPF_NOEXIST is not asked for: two first packets at once cost one count.
    if TRAFFIC.insert(cookie, &first, 0).is_err() {
        lost(loss::TRAFFIC);
    }
}

/// Bytes and packets on the wire.
#[inline(always)]
fn size_of_packet(skb: *mut __sk_buff) -> (u64, u64) {
    // SAFETY: fields of the context.
    let (length, segments) = unsafe { ((*skb).len, (*skb).gso_segs) };
    let packets = if segments == 0 { 1 } else { u64::from(segments) };
    let mut bytes = u64::from(length);
    if packets > 1 {
        let (protocol, transport) = transport_of(skb);
        let headers = transport + transport_bytes(skb, protocol, transport);
        bytes += (packets - 1) * u64::from(headers);
    }
    (bytes, packets)
}

/// The protocol behind a packet's IP header, and where it begins.
#[inline(always)]
fn transport_of(skb: *mut __sk_buff) -> (u32, u32) {
    let first = load::<u8>(skb, 0);
    match first >> 4 {
        4 => (u32::from(load::<u8>(skb, 9)), u32::from(first & 0xf) * 4),
        _ => (u32::from(load::<u8>(skb, 6)), 40),
    }
}

/// Bytes of the header of TCP or UDP.
#[inline(always)]
fn transport_bytes(skb: *mut __sk_buff, protocol: u32, transport: u32) -> u32 {
    match protocol {
        TCP => u32::from(load::<u8>(skb, transport + 12) >> 4) * 4,
        UDP => 8,
        _ => 0,
    }
}

/// Whether it is a packet of a TCP connection, but the first one, with SYN and without ACK (RFC 9293,
/// section 3.1).
#[inline(always)]
pub fn goes_on(skb: *mut __sk_buff) -> bool {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let flags = match tcp_flags_in_place(skb) {
        Some(flags) => flags,
        None => {
            let (protocol, transport) = transport_of(skb);
            if protocol != TCP {
                return false;
            }
            load(skb, transport + 13)
        }
    };
    flags & (SYN | ACK) != SYN
}

/// The flags of TCP, where the headers are those of most packets, and lie where a program may look without
/// help: IPv4 without options, or IPv6 without extension headers.
#[inline(always)]
fn tcp_flags_in_place(skb: *mut __sk_buff) -> Option<u8> {
    const WITHOUT_OPTIONS: u8 = 0x45;
    // SAFETY: fields of the context; nothing is read beyond the end, as the verifier checks.
    unsafe {
        let start = (*skb).data as *const u8;
        let end = (*skb).data_end as *const u8;
        if start.add(34) > end {
            return None;
        }
        if *start == WITHOUT_OPTIONS && u32::from(*start.add(9)) == TCP {
            return Some(*start.add(33));
        }
        let is_v6 = *start >> 4 == 6 && u32::from(*start.add(6)) == TCP;
        (is_v6 && start.add(54) <= end).then(|| *start.add(53))
    }
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

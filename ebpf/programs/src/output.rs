//! A packet that leaves a local socket, as a netfilter program is shown it, or a program at the entry
//! of the kernel's own function that runs netfilter's hooks.

use core::ffi::c_void;

use seawall_ebpf_abi::Tuple;

use crate::kernel::{field, guarded_namespace, offset, read};
use crate::socket::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
use crate::tuple::{is_later_fragment, mapped, tuple};

/// `struct bpf_nf_ctx` (net/netfilter/nf_bpf_link.c in the kernel's source).
#[repr(C)]
struct NetfilterContext {
    state: *const c_void,
    skb: *const c_void,
}

/// NF_INET_LOCAL_OUT (linux/netfilter.h).
const LOCAL_OUT: u8 = 3;
/// NFPROTO_IPV4 and NFPROTO_IPV6 (linux/netfilter.h).
const FAMILIES: [u8; 2] = [2, 10];

/// An IPv4 header without options, and what begins behind it (RFC 791, section 3.1). Read at once: each
/// look into the kernel's memory has its price.
#[repr(C)]
#[derive(Clone, Copy)]
struct StartV4 {
    until_fragment: [u8; 6],
    flags_and_offset: [u8; 2],
    until_source: [u8; 4],
    source: [u8; 4],
    destination: [u8; 4],
    transport: [u8; 8],
}

/// An IPv6 header, and what begins behind it (RFC 8200, section 3).
#[repr(C)]
#[derive(Clone, Copy)]
struct StartV6 {
    until_source: [u8; 8],
    source: [u8; 16],
    destination: [u8; 16],
    transport: [u8; 8],
}

/// SOCK_STREAM (linux/net.h).
const SOCK_STREAM: u16 = 1;

/// A packet with its socket.
#[derive(Clone, Copy)]
pub struct Outgoing {
    /// Its `struct sock`.
    sock: *const c_void,
    /// Address of its IP header.
    header: u64,
    /// Of IP: 4 or 6.
    version: u8,
    /// IP protocol number.
    pub protocol: u32,
}

impl Outgoing {
    /// The packet of a netfilter program's context; `None` where no socket sent it, it is a TCP socket's, or no IP
    /// packet.
    #[inline(always)]
    pub fn from_context(context: *mut c_void) -> Option<Self> {
        // SAFETY: the context of a netfilter program.
        Self::of(unsafe { (*context.cast::<NetfilterContext>()).skb })
    }

    /// The packet that meets netfilter's hooks; `None` also for one that doesn't leave a socket of
    /// the guarded namespace. `state`: the `struct nf_hook_state`.
    #[inline(always)]
    pub fn from_hooks(skb: *const c_void, state: *const c_void) -> Option<Self> {
        let family: u8 = field(state, offset!(hook_state_family));
        if field::<u8>(state, offset!(hook_state_hook)) != LOCAL_OUT || !FAMILIES.contains(&family)
        {
            return None;
        }
        let packet = Self::of(skb)?;
        let namespace: *const c_void = field(packet.sock, offset!(sock_namespace));
        let is_ours = field::<u64>(namespace, offset!(namespace_cookie)) == guarded_namespace();
        is_ours.then_some(packet)
    }

    #[inline(always)]
    fn of(skb: *const c_void) -> Option<Self> {
        let sock: *const c_void = field(skb, offset!(skb_sock));
        if sock.is_null() || is_told_of_as_it_connects(sock) {
            return None;
        }
        let head: u64 = field(skb, offset!(skb_head));
        let network: u16 = field(skb, offset!(skb_network_header));
        let header = head + u64::from(network);
        let start: [u8; 10] = read(header);
        let version = start[0] >> 4;
        let protocol = match version {
            4 => start[9],
            6 => start[6],
            _ => return None,
        };
        Some(Self { sock, header, version, protocol: u32::from(protocol) })
    }

    /// The socket's cookie; 0 where nobody asked for one yet.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        field(self.sock, offset!(sock_cookie))
    }

    /// Whether a datagram's socket names the receiver with each: then it was noted as it was sent.
    #[inline(always)]
    pub fn is_noted_already(&self) -> bool {
        self.protocol == UDP && field::<u16>(self.sock, offset!(sock_remote_port)) == 0
    }

    /// Its tuple; `None` for a later fragment.
    #[inline(always)]
    pub fn tuple(&self, namespace: u64) -> Option<Tuple> {
        let (source, destination, transport) = if self.version == 4 {
            let start: StartV4 = read(self.header);
            if is_later_fragment(start.flags_and_offset) {
                return None;
            }
            let length = u64::from(start.until_fragment[0] & 0xf) * 4;
            let transport = match length {
                20 => start.transport,
                _ => read(self.header + length),
            };
            (mapped(start.source), mapped(start.destination), transport)
        } else {
            let start: StartV6 = read(self.header);
            (start.source, start.destination, start.transport)
        };
        let (first, second) = (
            u16::from_be_bytes([transport[0], transport[1]]),
            u16::from_be_bytes([transport[2], transport[3]]),
        );
        let (source_port, destination_port) = match self.protocol {
            ICMP | ICMPV6 => (u16::from_be_bytes([transport[4], transport[5]]), 0),
            UDP | DCCP | SCTP | UDP_LITE => (first, second),
            _ => (0, 0),
        };
        let protocol = self.protocol as u8;
        Some(tuple(namespace, protocol, (source, source_port), (destination, destination_port)))
    }
}

/// Whether it is a TCP socket. Of a connection request, and of one that is over, there is less than a `struct sock`:
/// what is read behind it may be anything, and the packet's header tells then.
#[inline(always)]
fn is_told_of_as_it_connects(sock: *const c_void) -> bool {
    field::<u16>(sock, offset!(sock_type)) == SOCK_STREAM
        && u32::from(field::<u16>(sock, offset!(sock_protocol))) == TCP
}

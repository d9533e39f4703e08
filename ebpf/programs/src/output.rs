//! A packet that leaves a local socket, as a netfilter program is shown it, or a program at the entry
//! of the kernel's own function that runs netfilter's hooks.

use seawall_ebpf_abi::Tuple;

use crate::kernel::{guarded_namespace, offset, read};
use crate::socket::{DCCP, ICMP, ICMPV6, SCTP, UDP, UDP_LITE};
use crate::tuple::{is_later_fragment, mapped, tuple};

/// `struct bpf_nf_ctx` (net/netfilter/nf_bpf_link.c in the kernel's source).
#[repr(C)]
struct NetfilterContext {
    state: u64,
    skb: u64,
}

/// NF_INET_LOCAL_OUT (linux/netfilter.h).
const LOCAL_OUT: u8 = 3;
/// NFPROTO_IPV4 and NFPROTO_IPV6 (linux/netfilter.h).
const FAMILIES: [u8; 2] = [2, 10];

/// A packet with its socket.
#[derive(Clone, Copy)]
pub struct Outgoing {
    /// Address of its `struct sock`.
    sock: u64,
    /// Address of its IP header.
    header: u64,
    /// Of IP: 4 or 6.
    version: u8,
    /// IP protocol number.
    pub protocol: u32,
}

impl Outgoing {
    /// The packet of a netfilter program's context; `None` where no socket sent it, or it is no IP packet.
    #[inline(always)]
    pub fn from_context(context: *mut core::ffi::c_void) -> Option<Self> {
        // SAFETY: the context of a netfilter program.
        Self::of(unsafe { (*context.cast::<NetfilterContext>()).skb })
    }

    /// The packet that meets netfilter's hooks; `None` also for one that doesn't leave a socket of
    /// the guarded namespace. `state`: address of the `struct nf_hook_state`.
    #[inline(always)]
    pub fn from_hooks(skb: u64, state: u64) -> Option<Self> {
        let family: u8 = read(state + offset!(hook_state_family));
        if read::<u8>(state + offset!(hook_state_hook)) != LOCAL_OUT || !FAMILIES.contains(&family)
        {
            return None;
        }
        let packet = Self::of(skb)?;
        let namespace: u64 = read(packet.sock + offset!(sock_namespace));
        let is_ours = read::<u64>(namespace + offset!(namespace_cookie)) == guarded_namespace();
        is_ours.then_some(packet)
    }

    #[inline(always)]
    fn of(skb: u64) -> Option<Self> {
        let sock: u64 = read(skb + offset!(skb_sock));
        if sock == 0 {
            return None;
        }
        let head: u64 = read(skb + offset!(skb_head));
        let network: u16 = read(skb + offset!(skb_network_header));
        let header = head + u64::from(network);
        let version = read::<u8>(header) >> 4;
        let protocol = match version {
            4 => read::<u8>(header + 9),
            6 => read::<u8>(header + 6),
            _ => return None,
        };
        Some(Self { sock, header, version, protocol: u32::from(protocol) })
    }

    /// The socket's cookie; 0 where nobody asked for one yet.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        read(self.sock + offset!(sock_cookie))
    }

    /// Whether a datagram's socket names the receiver with each: then it was noted as it was sent.
    #[inline(always)]
    pub fn is_noted_already(&self) -> bool {
        self.protocol == UDP && read::<u16>(self.sock + offset!(sock_remote_port)) == 0
    }

    /// Its tuple; `None` for a later fragment.
    #[inline(always)]
    pub fn tuple(&self, namespace: u64) -> Option<Tuple> {
        let header = self.header;
        let (source, destination, transport) = if self.version == 4 {
            if is_later_fragment(read(header + 6)) {
                return None;
            }
            let length = u64::from(read::<u8>(header) & 0xf) * 4;
            (mapped(read(header + 12)), mapped(read(header + 16)), header + length)
        } else {
            (read(header + 8), read(header + 24), header + 40)
        };
        let (source_port, destination_port) = match self.protocol {
            ICMP | ICMPV6 => (u16::from_be(read(transport + 4)), 0),
            UDP | DCCP | SCTP | UDP_LITE => {
                (u16::from_be(read(transport)), u16::from_be(read(transport + 2)))
            }
            _ => (0, 0),
        };
        let protocol = self.protocol as u8;
        Some(tuple(namespace, protocol, (source, source_port), (destination, destination_port)))
    }
}

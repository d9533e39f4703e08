//! A socket's ends, read from its `struct sock`; families and protocols by number.

use seawall_ebpf_abi::Tuple;

use crate::kernel::{offset, read};
use crate::tuple::{mapped_or_any, tuple};

/// AF_INET (linux/socket.h).
pub const AF_INET: u32 = 2;
/// IPPROTO_TCP (linux/in.h).
pub const TCP: u32 = 6;
/// IPPROTO_UDP.
pub const UDP: u32 = 17;
/// IPPROTO_ICMP.
pub const ICMP: u32 = 1;
/// IPPROTO_ICMPV6.
pub const ICMPV6: u32 = 58;
/// IPPROTO_DCCP.
pub const DCCP: u32 = 33;
/// IPPROTO_SCTP.
pub const SCTP: u32 = 132;
/// IPPROTO_UDPLITE.
pub const UDP_LITE: u32 = 136;

/// The address of the socket of a packet (`struct sk_buff`); 0 where it has none.
#[inline(always)]
pub fn socket_of_packet(skb: u64) -> u64 {
    read(skb + offset!(skb_sock))
}

/// A socket's ends, its own first. Ports and addresses are zero where there are none.
#[inline(always)]
pub fn ends(sock: u64, namespace: u64, protocol: u8) -> Tuple {
    let family: u16 = read(sock + offset!(sock_family));
    let local_port: u16 = read(sock + offset!(sock_local_port));
    let remote_port = u16::from_be(read(sock + offset!(sock_remote_port)));
    if u32::from(family) == AF_INET {
        let local: [u8; 4] = read(sock + offset!(sock_local_v4));
        let remote: [u8; 4] = read(sock + offset!(sock_remote_v4));
        return tuple(
            namespace,
            protocol,
            (mapped_or_any(local), local_port),
            (mapped_or_any(remote), remote_port),
        );
    }
    let local: [u8; 16] = read(sock + offset!(sock_local_v6));
    let remote: [u8; 16] = read(sock + offset!(sock_remote_v6));
    tuple(namespace, protocol, (local, local_port), (remote, remote_port))
}

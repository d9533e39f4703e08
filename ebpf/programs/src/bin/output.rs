//! The program on packets that leave local sockets of the guarded network
//! namespace, before the first rule sees them: it joins a packet to its socket
//! where nothing told of it before. A connected datagram socket gets its port
//! only then; raw sockets and ICMP have no other place.
//!
//! A netfilter program (linux/bpf.h, BPF_PROG_TYPE_NETFILTER, since Linux 6.4):
//! its section's name says otherwise because the library that reads the object knows
//! no such kind; the loader gives the right one.
#![no_std]
#![no_main]

use aya_ebpf::macros::socket_filter;
use aya_ebpf::programs::SkBuffContext;
use seawall_ebpf::kernel::guarded_namespace;
use seawall_ebpf::maps::{OWNERS, TUPLES};
use seawall_ebpf::output::Outgoing;
use seawall_ebpf::owner::note_taken;
use seawall_ebpf::socket::TCP;
use seawall_ebpf_abi::{OwnerRecord, hook};

/// NF_ACCEPT (linux/netfilter.h).
const NF_ACCEPT: i64 = 1;

/// Notes whose packet it is.
#[socket_filter]
fn output(context: SkBuffContext) -> i64 {
    let Some(packet) = Outgoing::from_context(context.skb.skb.cast()) else { return NF_ACCEPT };
    if packet.protocol == TCP || packet.is_noted_already() {
        return NF_ACCEPT;
    }
    let cookie = packet.cookie();
    if cookie == 0 {
        return NF_ACCEPT;
    }
    let Some(key) = packet.tuple(guarded_namespace()) else { return NF_ACCEPT };
    let mut former = OwnerRecord::default();
    if let Some(known) = TUPLES.get_ptr(key) {
        // SAFETY: an entry that goes away meanwhile is read as another's, and noted once more.
        former = unsafe { *known };
        if former.cookie == cookie {
            return NF_ACCEPT;
        }
    }
    if let Some(owner) = OWNERS.get_ptr(cookie) {
        // SAFETY: as above.
        let owner = unsafe { *owner };
        note_taken(&key, &OwnerRecord { hook: hook::OUTPUT, ..owner }, &former);
    }
    NF_ACCEPT
}

/// Helpers that only GPL programs may call are used (bpf-helpers(7)).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

//! The programs on packets that leave local sockets of the guarded network
//! namespace, before the first rule sees them: they join a packet to its socket
//! where nothing told of it before. A connected datagram socket gets its port
//! only then; raw sockets and ICMP have no other place.
//!
//! Two programs do the same, and the loader takes the first that the kernel has: a netfilter
//! program (linux/bpf.h, BPF_PROG_TYPE_NETFILTER, since Linux 6.4; its section's name says otherwise
//! because the library that reads the object knows no such kind: the loader gives the right one), or
//! one at the entry of the function that runs netfilter's hooks, which sees all of them.
#![no_std]
#![no_main]

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::macros::{fentry, socket_filter};
use aya_ebpf::programs::{FEntryContext, SkBuffContext};
use seawall_ebpf::kernel::guarded_namespace;
use seawall_ebpf::maps::{OWNERS, TUPLES};
use seawall_ebpf::output::Outgoing;
use seawall_ebpf::owner::note_taken;
use seawall_ebpf::socket::TCP;
use seawall_ebpf_abi::{OwnerRecord, hook};

/// NF_ACCEPT (linux/netfilter.h).
const NF_ACCEPT: i64 = 1;

/// The netfilter program.
#[socket_filter]
fn output(context: SkBuffContext) -> i64 {
    if let Some(packet) = Outgoing::from_context(context.skb.skb.cast()) {
        note(&packet);
    }
    NF_ACCEPT
}

/// The program at the entry of `nf_hook_slow(skb, state, ...)`.
#[fentry]
fn output_entry(context: FEntryContext) -> i32 {
    let arguments = context.as_ptr().cast::<*const c_void>();
    // SAFETY: the function has two arguments and more, each of which takes eight bytes.
    let (skb, state) = unsafe { (*arguments, *arguments.add(1)) };
    if let Some(packet) = Outgoing::from_hooks(skb, state) {
        note(&packet);
    }
    0
}

/// Notes whose packet it is.
#[inline(always)]
fn note(packet: &Outgoing) {
    if packet.protocol == TCP || packet.is_noted_already() {
        return;
    }
    let cookie = packet.cookie();
    if cookie == 0 {
        return;
    }
    let Some(key) = packet.tuple(guarded_namespace()) else { return };
    let mut former = OwnerRecord::default();
    if let Some(known) = TUPLES.get_ptr(key) {
        // SAFETY: an entry that goes away meanwhile is read as another's, and noted once more.
        former = unsafe { *known };
        if former.cookie == cookie {
            return;
        }
    }
    if let Some(owner) = OWNERS.get_ptr(cookie) {
        // SAFETY: as above.
        let owner = unsafe { *owner };
        note_taken(&key, &OwnerRecord { hook: hook::OUTPUT, ..owner }, &former);
    }
}

/// Helpers that only GPL programs may call are used (bpf-helpers(7)).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

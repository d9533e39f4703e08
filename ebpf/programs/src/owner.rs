//! Notes who owns a socket: by its cookie, by its ends, or as a listener.

use core::ffi::c_void;
use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use seawall_ebpf_abi::{Call, EventHead, Listener, OwnerRecord, Taken, Tuple, event, loss};

use crate::kernel::{offset, read};
use crate::maps::{CALLS, EVENTS, LISTENERS, OWNERS, TUPLES, lost};
use crate::process::{Caller, FORCE_WAKEUP};

/// A socket, as far as notes name it.
#[derive(Clone, Copy)]
pub struct Socket {
    /// Its cookie.
    pub cookie: u64,
    /// Cookie of its network namespace.
    pub namespace: u64,
}

impl Socket {
    /// From a program's context, and the address of its `struct sock`.
    #[inline(always)]
    pub fn of(context: *mut c_void, sock: u64) -> Self {
        Self {
            // SAFETY: the helper takes the context of every kind of program that is here.
            cookie: unsafe { bpf_get_socket_cookie(context) },
            namespace: namespace_of(sock),
        }
    }
}

/// Cookie of the network namespace of a socket, by the address of its `struct sock`.
#[inline(always)]
pub fn namespace_of(sock: u64) -> u64 {
    // The helper for this is younger than the programs in some of which it is needed.
    let namespace: u64 = read(sock + offset!(sock_namespace));
    read(namespace + offset!(namespace_cookie))
}

/// Whether a socket is one that the kernel keeps for itself: a tunnel's, say. No process has it open.
/// `sock`: address of its `struct sock`.
#[inline(always)]
pub fn is_kernels_own(sock: u64) -> bool {
    let socket: u64 = read(sock + offset!(sock_socket));
    read::<u64>(socket + offset!(socket_file)) == 0
}

/// The calling process as the owner of a socket.
#[inline(always)]
pub fn owned_by(caller: &Caller, socket: Socket, hook: u32) -> OwnerRecord {
    OwnerRecord { process: caller.id, cookie: socket.cookie, uid: caller.uid, hook }
}

/// Notes the owner of a socket, unless it is the one that is noted already.
#[inline(always)]
pub fn note_socket(caller: &Caller, socket: Socket, hook: u32) {
    if let Some(known) = OWNERS.get_ptr(socket.cookie) {
        // SAFETY: an entry that goes away meanwhile is read as something else,
        // and then noted once more.
        let known = unsafe { &*known };
        if known.process == caller.id && known.uid == caller.uid {
            return;
        }
    }
    caller.note();
    if OWNERS.insert(socket.cookie, &owned_by(caller, socket, hook), 0).is_err() {
        lost(loss::OWNERS);
    }
}

/// What an event of taken ends looks like.
#[repr(C)]
struct TakenEvent {
    head: EventHead,
    taken: Taken,
}

/// Notes the owner of a tuple, and tells of it if the tuple was another process's. `former`: its
/// record; all zeros where there was none.
#[inline(always)]
pub fn note_taken(tuple: &Tuple, owner: &OwnerRecord, former: &OwnerRecord) {
    note_tuple(tuple, owner);
    if former.cookie == 0 || former.process == owner.process {
        return;
    }
    let Some(mut event) = EVENTS.reserve::<TakenEvent>(0) else {
        return lost(loss::RING);
    };
    // SAFETY: integers only, all of which are written below.
    let told = unsafe { &mut *event.as_mut_ptr() };
    told.head.kind = event::TAKEN;
    told.head.padding = 0;
    told.taken.owner = *owner;
    told.taken.tuple = *tuple;
    told.taken.former = former.cookie;
    event.submit(FORCE_WAKEUP);
}

/// Notes the owner of a tuple.
#[inline(always)]
pub fn note_tuple(tuple: &Tuple, owner: &OwnerRecord) {
    if TUPLES.insert(tuple, owner, 0).is_err() {
        lost(loss::TUPLES);
    }
}

/// Notes the owner of a TCP connection, also where user space finds it without asking the kernel.
#[inline(always)]
pub fn note_call(tuple: &Tuple, owner: &OwnerRecord) {
    note_tuple(tuple, owner);
    let Some(call) = CALLS.get_ptr_mut(Call::place_of(tuple)) else { return };
    // SAFETY: an element of an array, which never goes away. Whoever made the number odd writes it alone: others leave
    // it, and what was there is of another connection by then.
    unsafe {
        let sequence = &raw mut (*call).sequence;
        let before = core::ptr::read_volatile(sequence);
        if before & 1 == 1 || !exchange(sequence, before, before + 1) {
            return;
        }
        (*call).owner = *owner;
        (*call).tuple = *tuple;
        add(sequence, 1);
    }
}

/// Writes a number if it is what it was. Nothing is written before it that stands behind it.
///
/// # Safety
/// `number` is one of a map's elements.
#[inline(always)]
unsafe fn exchange(number: *mut u64, before: u64, now: u64) -> bool {
    const ORDERED: AtomicOrdering = AtomicOrdering::AcqRel;
    // SAFETY: by this function's contract.
    unsafe { atomic_cxchg::<u64, ORDERED, { AtomicOrdering::Acquire }>(number, before, now).1 }
}

/// Adds to a number, once all that stands before it is written.
///
/// # Safety
/// `number` is one of a map's elements.
#[inline(always)]
unsafe fn add(number: *mut u64, more: u64) {
    // SAFETY: by this function's contract.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(number, more) };
}

/// Notes who waits for others.
#[inline(always)]
pub fn note_listener(listener: &Listener, owner: &OwnerRecord) {
    if LISTENERS.insert(listener, owner, 0).is_err() {
        lost(loss::LISTENERS);
    }
}

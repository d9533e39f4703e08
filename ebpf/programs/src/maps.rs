//! The maps, each with its bound. What doesn't fit makes the entry go that was used least
//! lately; an event that doesn't fit is dropped. What could not be noted is counted in [`LOSSES`].

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, RingBuf};
use seawall_ebpf_abi::{
    Call, EventHead, Listener, OwnerRecord, ProcessId, ProcessRecord, Traffic, Tuple, loss,
};

/// Sockets whose owner is remembered.
const MOST_SOCKETS: u32 = 65_536;
/// Processes that are remembered. User space has its own copy of each.
const MOST_PROCESSES: u32 = 16_384;
/// Sockets that wait for others.
const MOST_LISTENERS: u32 = 16_384;
/// Bytes of events that user space has not taken yet: some 4,000 new processes, or 27,000 closed sockets.
const EVENT_BYTES: u32 = 4 << 20;

/// BPF_F_MMAPABLE (linux/bpf.h).
const SHARED_MEMORY: u32 = 1 << 10;

/// A socket's cookie to its owner.
#[map]
pub static OWNERS: LruHashMap<u64, OwnerRecord> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
/// Ends of a socket, or of its packets, to its owner.
#[map]
pub static TUPLES: LruHashMap<Tuple, OwnerRecord> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
/// A socket that waits for others, to its owner.
#[map]
pub static LISTENERS: LruHashMap<Listener, OwnerRecord> =
    LruHashMap::with_max_entries(MOST_LISTENERS, 0);
/// A process to what is known of it. Who is in it was told of.
#[map]
pub static PROCESSES: LruHashMap<ProcessId, ProcessRecord> =
    LruHashMap::with_max_entries(MOST_PROCESSES, 0);
/// A record of zeros, from which those of [`PROCESSES`] begin.
#[map]
pub static BLANK: Array<ProcessRecord> = Array::with_max_entries(1, 0);
/// A socket's cookie to what it moved.
#[map]
pub static TRAFFIC: LruHashMap<u64, Traffic> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
/// The latest TCP connections, by [`Call::place_of`].
#[map]
pub static CALLS: Array<Call> = Array::with_max_entries(Call::PLACES, SHARED_MEMORY);
/// What user space is told as it happens.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENT_BYTES, 0);
/// How much was lost, by [`loss`].
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);
/// The event of a new process.
#[repr(C)]
pub struct ProcessEvent {
    /// Says what it is.
    pub head: EventHead,
    /// The process.
    pub record: ProcessRecord,
}

/// Counts something as lost.
#[inline(always)]
pub fn lost(what: u32) {
    if let Some(count) = LOSSES.get_ptr_mut(what) {
        // SAFETY: an element of a per-CPU array: nobody else writes it meanwhile.
        unsafe { *count += 1 };
    }
}

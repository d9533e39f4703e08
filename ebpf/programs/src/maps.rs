//! The maps. Bounded all; what doesn't fit makes an old entry go, and a failure is counted.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{LruHashMap, PerCpuArray, RingBuf};
use seawall_ebpf_abi::{
    Listener, OwnerRecord, ProcessId, ProcessRecord, Traffic, Tuple, loss,
};

/// Sockets whose owner is remembered.
const MOST_SOCKETS: u32 = 65_536;
/// Processes that are remembered. User space has its own copy of each.
const MOST_PROCESSES: u32 = 8_192;
/// Sockets that wait for others.
const MOST_LISTENERS: u32 = 16_384;
/// Bytes of events that user space has not taken yet: some 3,500 new processes, or 27,000 closed sockets.
const EVENT_BYTES: u32 = 4 << 20;

#[map]
pub static OWNERS: LruHashMap<u64, OwnerRecord> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
#[map]
pub static TUPLES: LruHashMap<Tuple, OwnerRecord> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
#[map]
pub static LISTENERS: LruHashMap<Listener, OwnerRecord> =
    LruHashMap::with_max_entries(MOST_LISTENERS, 0);
#[map]
pub static PROCESSES: LruHashMap<ProcessId, ProcessRecord> =
    LruHashMap::with_max_entries(MOST_PROCESSES, 0);
#[map]
pub static TRAFFIC: LruHashMap<u64, Traffic> = LruHashMap::with_max_entries(MOST_SOCKETS, 0);
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENT_BYTES, 0);
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);
/// Room to put a process together, which the stack has not.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// See [`SCRATCH`]. What follows the record takes what a name of the greatest
/// length would write beyond it.
#[repr(C)]
pub struct Scratch {
    pub head: seawall_ebpf_abi::EventHead,
    pub record: ProcessRecord,
    pub spill: [u8; 256],
}

/// Counts something as lost.
#[inline(always)]
pub fn lost(what: u32) {
    if let Some(count) = LOSSES.get_ptr_mut(what) {
        // SAFETY: an element of a per-CPU array: nobody else writes it meanwhile.
        unsafe { *count += 1 };
    }
}

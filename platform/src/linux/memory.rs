//! How the process's memory goes back to the system, and which of it stays.

use rustix::mm::{MlockAllFlags, mlockall};

/// Allocations from here on are mappings of their own, which go back when they are freed.
const MAPPED_FROM_BYTES: libc::c_int = 128 * 1024;
/// Free memory at the end of the heap that is kept.
const KEPT_BYTES: libc::c_int = 128 * 1024;
/// Heaps that threads share. By default there may be eight for each processor, each of
/// which keeps what its busiest moment took.
const MOST_HEAPS: libc::c_int = 4;

/// Has what tables and lists took in a busy moment given back when it is freed (mallopt(3)). By
/// default the C library raises its bounds with each large allocation that is freed, and keeps
/// the most that was ever needed: under sustained load twice what is in use.
///
/// For the beginning, before there are other threads. Where the C library has no such knobs,
/// nothing happens.
#[allow(unsafe_code, reason = "rustix has no mallopt")]
pub fn give_back_what_is_freed() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
        (libc::M_ARENA_MAX, MOST_HEAPS),
    ] {
        // SAFETY: takes numbers only; each of the three may be set at any time.
        if unsafe { libc::mallopt(what, value) } == 0 {
            tracing::debug!(what, value, "The C library refused a bound for free memory");
        }
    }
}

/// Has the program itself, and what it has in memory so far, stay there once it was used
/// (mlockall(2)): a packet's verdict never waits for a disk because memory was short, or because
/// nothing happened for an hour. What is allocated later is not meant: it may grow beyond what this
/// process may lock.
///
/// Takes what RLIMIT_MEMLOCK or the capability IPC_LOCK allow; without them everything goes as
/// before, and a line in the log says so.
pub fn keep_program() {
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT) {
        tracing::info!(%error, "The program can't be locked in memory: where that is short, verdicts may wait for a disk");
    }
}

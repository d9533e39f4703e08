//! How the process's memory goes back to the system.

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

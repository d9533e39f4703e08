//! The latest TCP connections, in memory that the programs write and we read: no question to the kernel.
#![allow(unsafe_code, reason = "the one place that looks into a map's own memory")]

use std::ffi::c_void;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::mm::{MapFlags, ProtFlags};
use seawall_ebpf_abi::{Call, OwnerRecord, Plain, Tuple};

const WORD_BYTES: usize = size_of::<u64>();
const WORDS: usize = size_of::<Call>() / WORD_BYTES;
const ALL_BYTES: usize = size_of::<Call>() * Call::PLACES as usize;

/// See the module.
#[derive(Debug)]
pub(super) struct Calls {
    base: NonNull<AtomicU64>,
}

// SAFETY: the mapping belongs to no thread, and is only ever read, in atomic words.
unsafe impl Send for Calls {}
// SAFETY: as above.
unsafe impl Sync for Calls {}

impl Calls {
    /// Of the map of calls.
    pub(super) fn open(map: OwnedFd) -> Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses; unmapped only by `drop`. The kernel maps no more
        // than the map has (array_map_mmap), and keeps that as long as it is mapped.
        let address = unsafe {
            let access = ProtFlags::READ;
            rustix::mm::mmap(std::ptr::null_mut(), ALL_BYTES, access, MapFlags::SHARED, map, 0)?
        };
        let base = NonNull::new(address.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { base })
    }

    /// The owner of a connection, if it is the latest of its place and not being written.
    pub(super) fn owner(&self, tuple: &Tuple) -> Option<OwnerRecord> {
        let place = Call::place_of(tuple) as usize;
        let words = self.place(place);
        let [sequence, ..] = words;
        let before = sequence.load(Ordering::Acquire);
        let mut bytes = [0; size_of::<Call>()];
        for (into, word) in bytes.chunks_exact_mut(WORD_BYTES).zip(words) {
            into.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        // What was read came before the number is looked at again.
        fence(Ordering::Acquire);
        let is_whole = before & 1 == 0 && sequence.load(Ordering::Relaxed) == before;
        let call = Call::from_bytes(&bytes).filter(|call| is_whole && call.tuple == *tuple)?;
        Some(call.owner)
    }

    fn place(&self, place: usize) -> &[AtomicU64; WORDS] {
        assert!(place < Call::PLACES as usize, "a place beyond the last");
        // SAFETY: within the mapping, as just checked; it starts at a page, and elements of an array map lie side by side
        // (array_map_alloc: their size is a multiple of eight). All of it is read in atomic words.
        unsafe { self.base.add(place * WORDS).cast().as_ref() }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; nothing borrowed from it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast::<c_void>(), ALL_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    fn tuple(port: u16) -> Tuple {
        Tuple { source_port: port, destination_port: 443, protocol: 6, ..Tuple::default() }
    }

    /// A file with what a map would have in its memory.
    fn calls(written: &[Call]) -> Calls {
        let file = memfd_create("calls", MemfdFlags::CLOEXEC).expect("a file in memory");
        ftruncate(&file, ALL_BYTES as u64).expect("room");
        for call in written {
            let at = Call::place_of(&call.tuple) as usize * size_of::<Call>();
            rustix::io::pwrite(file.as_fd(), call.as_bytes(), at as u64).expect("written");
        }
        Calls::open(file).expect("mapped")
    }

    #[test]
    fn a_call_is_found_unless_it_is_being_written_or_another_took_its_place() {
        let owner = OwnerRecord { cookie: 9, ..OwnerRecord::default() };
        let call = |sequence, port| Call { sequence, owner, tuple: tuple(port), ..Call::default() };
        let calls = calls(&[call(2, 1), call(3, 2)]);
        assert_eq!(calls.owner(&tuple(1)), Some(owner));
        assert_eq!(calls.owner(&tuple(2)), None, "being written");
        assert_eq!(calls.owner(&tuple(3)), None, "never was");
        let same_place = |port: &u16| Call::place_of(&tuple(*port)) == Call::place_of(&tuple(1));
        let another = (4..u16::MAX).find(same_place).expect("there are few places");
        assert_eq!(calls.owner(&tuple(another)), None, "not that one");
    }

    #[test]
    fn tuples_spread_over_all_places() {
        let mut taken = vec![0_u32; Call::PLACES as usize];
        for port in 1..=4 * Call::PLACES {
            let port = u16::try_from(port).expect("a port");
            taken[Call::place_of(&tuple(port)) as usize] += 1;
        }
        let empty = taken.iter().filter(|count| **count == 0).count();
        assert!(empty < taken.len() / 10, "{empty} places are never taken");
        assert!(taken.iter().all(|count| *count < 24), "{:?}", taken.iter().max());
    }
}

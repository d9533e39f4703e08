//! Shared memory behind a safe face: 32-bit words are read and written
//! atomically, everything else is copied out before it is looked at.
#![allow(unsafe_code, reason = "the one place that touches shared memory")]

use std::ffi::c_void;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags};

/// A shared mapping of a whole memfd.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    length_bytes: usize,
}

// SAFETY: the mapping belongs to no thread; it is reached through `&self` only
// in atomic accesses and copies.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `length_bytes` of a file that is at least as long and sealed against shrinking.
    pub(super) fn new(fd: impl AsFd, length_bytes: usize) -> rustix::io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; it
        // overlaps nothing, and is unmapped only by `drop`.
        let address = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), length_bytes, access, MapFlags::SHARED, fd, 0)?
        };
        let base = NonNull::new(address.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { base, length_bytes })
    }

    /// Reads the word at a byte offset.
    pub(super) fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Writes the word at a byte offset.
    pub(super) fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Copies bytes out.
    pub(super) fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let from = self.address(offset, into.len());
        // SAFETY: `address` checked that the range lies within the mapping;
        // private memory can't overlap it. The kernel writes a slot only
        // during a receive call of the one reader, which is this caller.
        unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
    }

    /// The address of a range, which is checked to lie within the mapping.
    pub(super) fn address(&self, offset: usize, length_bytes: usize) -> *mut u8 {
        let fits = offset.checked_add(length_bytes).is_some_and(|end| end <= self.length_bytes);
        assert!(fits, "journal access beyond its end");
        // SAFETY: just checked to be within the one mapped object.
        unsafe { self.base.as_ptr().add(offset) }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(align_of::<AtomicU32>()), "journal word at an odd address");
        let address = self.address(offset, size_of::<AtomicU32>());
        // SAFETY: within the mapping and aligned (checked above; the mapping
        // starts at a page). Both processes use these words atomically only;
        // the kernel's write of a message's length is one aligned store.
        unsafe { AtomicU32::from_ptr(address.cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; nothing borrowed from it outlives `self`.
        let _ =
            unsafe { rustix::mm::munmap(self.base.as_ptr().cast::<c_void>(), self.length_bytes) };
    }
}

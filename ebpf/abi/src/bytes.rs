//! Structures as bytes and back.
#![allow(unsafe_code, reason = "a structure is its bytes only by a promise about its layout")]

use core::mem::{MaybeUninit, size_of};

use crate::{
    Call, Closed, EventHead, Listener, Offsets, OwnerRecord, ProcessId, ProcessRecord, Taken,
    Traffic, Tuple,
};

/// A structure that is nothing but its bytes.
///
/// # Safety
///
/// Of fixed layout (`repr(C)`), without padding, and any bytes are a value of it.
pub unsafe trait Plain: Copy {
    /// From the first bytes of a slice; `None` where there are too few.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..size_of::<Self>())?;
        let mut value = MaybeUninit::<Self>::uninit();
        // SAFETY: there are as many bytes as the value has, the two don't
        // overlap, and by this trait's contract any bytes are a value.
        Some(unsafe {
            core::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                value.as_mut_ptr().cast::<u8>(),
                size_of::<Self>(),
            );
            value.assume_init()
        })
    }

    /// All of its bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the value is initialised and without padding by this trait's contract.
        unsafe {
            core::slice::from_raw_parts(core::ptr::from_ref(self).cast::<u8>(), size_of::<Self>())
        }
    }
}

/// Implements [`Plain`] for structures whose size is the sum of their fields' sizes.
macro_rules! plain {
    ($($name:ident: $bytes:expr),* $(,)?) => { $(
        const _: () = assert!(size_of::<$name>() == $bytes, "padding");
        // SAFETY: `repr(C)`, integers and arrays of integers only, and the
        // assertion above says that nothing lies between them.
        unsafe impl Plain for $name {}
    )* };
}

plain! {
    ProcessId: 16,
    OwnerRecord: 16 + 8 + 2 * 4,
    Tuple: 32 + 8 + 2 + 2 + 1 + 3,
    Listener: 16 + 8 + 2 + 1 + 5,
    Traffic: 40,
    Closed: 32 + 48 + 40,
    Taken: 32 + 48 + 8,
    Call: 8 + 32 + 48 + 40,
    EventHead: 8,
    ProcessRecord: 16 + 3 * 8 + 6 * 4 + 3 * 2 + 2 + 16 + 512 + 128 + 256,
    Offsets: 57 * 4,
}

// SAFETY: integers: no padding, and any bytes are a value.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let id = ProcessId { started_ns: 1 << 40, pid: 7, exec_id: 9 };
        assert_eq!(ProcessId::from_bytes(id.as_bytes()), Some(id));
        assert_eq!(ProcessId::from_bytes(&id.as_bytes()[1..]), None);
    }
}

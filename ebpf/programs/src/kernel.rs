//! Reads what lies in the kernel's memory, at the offsets that the loader filled in.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use seawall_ebpf_abi::Offsets;

/// Where this kernel keeps what is read here. Filled in by the loader.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = NO_OFFSETS;

/// Cookie of the network namespace that is guarded. Filled in by the loader.
#[unsafe(no_mangle)]
pub static GUARDED_NAMESPACE: u64 = 0;

/// Whether what sockets move is counted: 1 or 0. Filled in by the loader.
#[unsafe(no_mangle)]
pub static COUNTS_SOCKETS: u64 = 0;

// SAFETY: integers only, for which zeros are valid.
const NO_OFFSETS: Offsets = unsafe { core::mem::zeroed() };

/// One of [`OFFSETS`], which the verifier sees as a constant.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a plain integer of a static that is never written while programs run.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::OFFSETS.$field) }
            as u64
    };
}
pub(crate) use offset;

/// The cookie of the network namespace that is guarded.
#[inline(always)]
pub fn guarded_namespace() -> u64 {
    // SAFETY: a plain integer of a static that is never written while programs run.
    unsafe { core::ptr::read_volatile(&raw const GUARDED_NAMESPACE) }
}

/// Whether what sockets move is counted. A constant for the verifier, which leaves out what is not done.
#[inline(always)]
pub fn counts_sockets() -> bool {
    // SAFETY: a plain integer of a static that is never written while programs run.
    unsafe { core::ptr::read_volatile(&raw const COUNTS_SOCKETS) != 0 }
}

/// Loads a field of a structure whose type the verifier knows: one instruction, where [`read`] calls a
/// helper. `of`: what a helper, a context, or such a field gave. What can't be read is zero.
#[inline(always)]
pub fn field<T: Copy>(of: *const c_void, offset: u64) -> T {
    // SAFETY: only called for integers and pointers; the verifier checks that the structure has such a field,
    // and the kernel makes a zero of what is gone.
    unsafe { core::ptr::read_volatile(of.cast::<u8>().add(offset as usize).cast::<T>()) }
}

/// Copies a value out of the kernel's memory. An address that can't be read gives zeros.
#[inline(always)]
pub fn read<T: Copy>(address: u64) -> T {
    // SAFETY: only called for integers, arrays and structures of them, for which zeros are
    // valid; the helper checks the address and clears the target if it is bad.
    unsafe {
        let mut value: T = core::mem::zeroed();
        bpf_probe_read_kernel(
            core::ptr::from_mut(&mut value).cast::<c_void>(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
        value
    }
}

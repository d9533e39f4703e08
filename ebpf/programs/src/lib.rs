//! What the programs in the kernel share: they note who owns which socket,
//! before any packet of it can be judged, and count what it moves.
//!
//! Nothing here decides anything: every program lets everything pass. What can't
//! be noted is counted as lost, and found out by user space in another way.
#![no_std]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "this target's atomics have no other face")]

pub mod kernel;
pub mod leaving;
pub mod maps;
pub mod output;
pub mod owner;
pub mod process;
pub mod socket;
pub mod traffic;
pub mod tuple;

/// Never reached: the verifier takes no program that could get here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

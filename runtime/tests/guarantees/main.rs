//! What the microkernel guarantees, tried on running trees.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod asks;
#[cfg(feature = "fault-injection")]
mod faults;
mod groups;
mod hangs;
mod metrics;
mod puppet;
mod restarts;
mod stop;
mod threads;

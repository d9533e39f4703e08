//! How much waits, for those who look from outside the thread.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How much waits, as the thread last said: for `seawall status`.
#[derive(Debug, Default)]
pub struct ParkedCount {
    flows: AtomicUsize,
    packets: AtomicUsize,
    asked: AtomicUsize,
}

impl ParkedCount {
    /// Flows and packets that wait.
    pub fn get(&self) -> (usize, usize) {
        (self.flows.load(Ordering::Relaxed), self.packets.load(Ordering::Relaxed))
    }

    /// Flows that wait for the user.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Says how much waits: for `verdict`, and for the user.
    pub(crate) fn set(&self, flows: usize, packets: usize, asked: usize) {
        self.asked.store(asked, Ordering::Relaxed);
        self.flows.store(flows, Ordering::Relaxed);
        self.packets.store(packets, Ordering::Relaxed);
    }
}

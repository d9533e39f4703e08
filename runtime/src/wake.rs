//! How a thread that waits in the kernel learns that its mailbox has something.

/// Interrupts a thread's wait. Called from any thread, often; must be cheap and must not block.
pub trait Wake: Send + Sync {
    /// Makes the current or next wait return.
    fn wake(&self);
}

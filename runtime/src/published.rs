//! Snapshots: written by one component, read by many, there while the writer is down.

use arc_swap::ArcSwap;

use crate::incarnation;
use crate::spec::Generation;
use crate::sync::{Arc, Mutex, lock};

/// The reading end. Lock-free; readers keep the last value while the publisher is down.
pub struct Published<T> {
    value: Arc<ArcSwap<T>>,
}

/// The writing end, lent to whichever incarnation is alive.
pub struct Publisher<T> {
    value: Arc<ArcSwap<T>>,
    latest: Arc<Mutex<Generation>>,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// A pair that starts out with `initial`.
    pub fn new(initial: T) -> (Publisher<T>, Self) {
        let value = Arc::new(ArcSwap::from_pointee(initial));
        let latest = Arc::new(Mutex::new(Generation(0)));
        (Publisher { value: value.clone(), latest }, Self { value })
    }

    /// The current value. A handful of nanoseconds.
    pub fn load(&self) -> Arc<T> {
        self.value.load_full()
    }
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone() }
    }
}

impl<T> Clone for Publisher<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), latest: self.latest.clone() }
    }
}

impl<T: Send + Sync + 'static> Publisher<T> {
    /// Replaces the value. Refused (`false`) where a later incarnation has
    /// published already, and on a thread whose incarnation was abandoned.
    pub fn publish(&self, by: Generation, value: T) -> bool {
        let mut latest = lock(&self.latest);
        if by < *latest || incarnation::current_is_revoked() {
            return false;
        }
        *latest = by;
        self.value.store(Arc::new(value));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_incarnation_cannot_publish_over_a_later_one() {
        let (publisher, published) = Published::new("initial");
        assert!(publisher.publish(Generation(1), "first"));
        assert!(publisher.publish(Generation(1), "again"));
        assert!(publisher.publish(Generation(3), "successor"));
        assert!(!publisher.clone().publish(Generation(2), "late"));
        assert_eq!(*published.clone().load(), "successor");
    }
}

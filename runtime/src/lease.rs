//! Exclusive resources: owned by the runtime, lent to one incarnation at a time.

use crate::incarnation;
use crate::spec::Generation;
use crate::sync::{Arc, Mutex, lock};

/// Owns a resource that only one incarnation may use.
pub struct Lender<R> {
    held: Arc<Mutex<Held<R>>>,
}

/// One incarnation's right to use a resource. Revoked by the next lease.
pub struct Lease<R> {
    held: Arc<Mutex<Held<R>>>,
    holder: Generation,
}

struct Held<R> {
    holder: Generation,
    resource: R,
}

/// The lease was revoked: the incarnation that holds it was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource now belongs to a later incarnation")]
pub struct LeaseError;

impl<R: Send + 'static> Lender<R> {
    /// Takes the resource into the runtime's care.
    pub fn new(resource: R) -> Self {
        Self { held: Arc::new(Mutex::new(Held { holder: Generation(0), resource })) }
    }

    /// Lends it to an incarnation and revokes what was lent to earlier ones.
    /// Waits for a use that is going on to end. Refused for an older generation.
    pub fn lend(&self, to: Generation) -> Result<Lease<R>, LeaseError> {
        let mut held = lock(&self.held);
        if to < held.holder || incarnation::current_is_revoked() {
            return Err(LeaseError);
        }
        held.holder = to;
        Ok(Lease { held: self.held.clone(), holder: to })
    }
}

impl<R> Clone for Lender<R> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone() }
    }
}

impl<R> Lease<R> {
    /// Uses the resource. `body` must be short and must not block: a
    /// revocation waits for it. Refused after a later lease, and on a thread
    /// whose incarnation was abandoned.
    pub fn with<T>(&self, body: impl FnOnce(&mut R) -> T) -> Result<T, LeaseError> {
        let mut held = lock(&self.held);
        if held.holder != self.holder || incarnation::current_is_revoked() {
            return Err(LeaseError);
        }
        Ok(body(&mut held.resource))
    }
}

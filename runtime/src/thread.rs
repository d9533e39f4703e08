//! A component that owns a thread and its own loop, for work that blocks in the kernel.

mod body;

use crate::address::Address;
use crate::component::{Failure, StartError};
use crate::incarnation::Incarnation;
use crate::mailbox::Popped;
use crate::spec::Generation;
use crate::sync::Arc;

pub(crate) use self::body::ThreadBody;

/// What a thread incarnation knows of itself, and how it takes messages.
pub struct ThreadContext<M> {
    address: Address<M>,
    incarnation: Arc<Incarnation>,
}

impl<M: Send + 'static> ThreadContext<M> {
    pub(crate) fn new(address: Address<M>, incarnation: Arc<Incarnation>) -> Self {
        Self { address, incarnation }
    }

    /// Its own address.
    pub fn address(&self) -> &Address<M> {
        &self.address
    }

    /// Panics if a [`crate::fault::Fault::Poison`] with this token is set. Nothing without fault injection.
    pub fn poison(&self, token: u64) {
        self.incarnation.poison(token);
    }

    /// Which incarnation this is.
    pub fn generation(&self) -> Generation {
        self.incarnation.generation
    }

    /// The next message, if one waits. A thread takes them until there is none,
    /// or calls [`Self::idle`], before it waits: it is not woken again for what it leaves. Its question counts as in hand until
    /// the next call, or [`Self::idle`].
    pub fn try_next(&self) -> Option<M> {
        let next = self.take();
        #[cfg(feature = "fault-injection")]
        let next = {
            let mut next = next;
            while next.is_some() && self.incarnation.vitals.faults.drops_message() {
                next = self.take();
            }
            next
        };
        next
    }

    /// Says that a round of work begins; the handling deadline runs from here.
    /// Faults are injected here.
    pub fn busy(&self) {
        self.incarnation.set_busy();
        #[cfg(feature = "fault-injection")]
        self.incarnation.vitals.faults.thread_round();
    }

    /// Says that the thread is about to wait for work; no deadline runs. Where
    /// messages wait its [`crate::Wake`] is called, so that the wait returns at once.
    pub fn idle(&self) {
        self.incarnation.set_idle();
        self.address.slot.rest(&self.incarnation);
    }

    /// Whether to leave the loop: an ordered stop, or abandoned.
    pub fn is_stopping(&self) -> bool {
        self.incarnation.is_stopping() || self.incarnation.is_revoked()
    }

    fn take(&self) -> Option<M> {
        match self.address.slot.pop(&self.incarnation) {
            Popped::Message(message) => Some(message),
            Popped::Empty | Popped::Revoked => None,
        }
    }
}

/// A supervised thread.
pub trait Thread: Sized + Send + 'static {
    /// What it is told.
    type Message: Send + 'static;
    /// What each incarnation is made from. Its [`crate::Wake`] is given to the
    /// tree where the thread is declared, and outlives incarnations.
    type Arguments: Clone + Send + 'static;

    /// Makes an incarnation, on its thread.
    fn start(
        context: ThreadContext<Self::Message>,
        arguments: Self::Arguments,
    ) -> Result<Self, StartError>;

    /// Loops until the context says to stop. Returning earlier is a failure.
    fn run(&mut self) -> Result<(), Failure>;
}

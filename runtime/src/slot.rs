//! What stands behind an address: a component's mailbox and numbers, whichever
//! incarnation is alive.

use crate::incarnation::Incarnation;
use crate::mailbox::{Envelope, Mailbox, Popped, Pushed, Room};
use crate::reply::AskError;
use crate::sync::Arc;
use crate::vitals::Vitals;
use crate::wake::Wake;

/// See the module.
pub(crate) struct Slot<M> {
    pub(crate) vitals: Arc<Vitals>,
    mailbox: Mailbox<M>,
}

/// A slot of whatever messages, for the supervisor and for introspection.
pub(crate) trait Member: Send + Sync {
    fn vitals(&self) -> &Arc<Vitals>;
    fn depth(&self) -> usize;
    /// Where messages wait: how many were taken so far, which tells progress.
    fn waiting_since_take(&self) -> Option<u64>;
    /// Revokes an incarnation; askers whose questions it took learn that it crashed.
    fn revoke(&self, incarnation: &Incarnation);
    /// Refuses messages from now on; those that wait are answered [`AskError::Unavailable`].
    fn close(&self);
    /// Wakes the incarnation, so that it sees an injected fault.
    #[cfg(feature = "fault-injection")]
    fn wake(&self);
}

impl<M: Send + 'static> Slot<M> {
    pub(crate) fn new(vitals: Arc<Vitals>) -> Self {
        Self { vitals, mailbox: Mailbox::new() }
    }

    /// Puts a message in; one that had to make room is dropped here.
    pub(crate) fn push(&self, envelope: Envelope<M>, room: Room) -> Pushed<M> {
        #[cfg(feature = "fault-injection")]
        if matches!(room, Room::Bounded(..)) && self.vitals.faults.refuses() {
            self.vitals.count_refused();
            return Pushed::Full(envelope);
        }
        match self.mailbox.push(envelope, room) {
            Pushed::Evicted(oldest) => {
                self.vitals.count_refused();
                discard(oldest, AskError::Overloaded);
                Pushed::Queued
            }
            Pushed::Full(envelope) => {
                self.vitals.count_refused();
                Pushed::Full(envelope)
            }
            other => other,
        }
    }

    pub(crate) fn pop(&self, incarnation: &Incarnation) -> Popped<M> {
        self.mailbox.pop(incarnation.generation)
    }

    pub(crate) fn rest(&self, incarnation: &Incarnation) {
        self.mailbox.rest(incarnation.generation);
    }

    /// Lets an incarnation read, if it still counts.
    pub(crate) fn attach(&self, incarnation: &Incarnation, wake: Arc<dyn Wake>) {
        self.mailbox.attach(incarnation.generation, wake);
        // Revoked meanwhile: whoever did that found nobody attached.
        if incarnation.is_revoked() {
            self.mailbox.detach(incarnation.generation);
        }
    }
}

impl<M: Send + 'static> Member for Slot<M> {
    fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    fn depth(&self) -> usize {
        self.mailbox.depth()
    }

    fn waiting_since_take(&self) -> Option<u64> {
        self.mailbox.waiting_since_take()
    }

    fn revoke(&self, incarnation: &Incarnation) {
        self.vitals.revoke(incarnation.generation);
        let error = if self.vitals.is_final() { AskError::Unavailable } else { AskError::Crashed };
        for question in self.mailbox.detach(incarnation.generation) {
            question.fail(error);
        }
    }

    fn close(&self) {
        for envelope in self.mailbox.close() {
            discard(envelope, AskError::Unavailable);
        }
    }

    #[cfg(feature = "fault-injection")]
    fn wake(&self) {
        self.mailbox.wake();
    }
}

fn discard<M>(envelope: Envelope<M>, error: AskError) {
    if let Some(question) = &envelope.question {
        question.fail(error);
    }
}

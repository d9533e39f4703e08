//! The way back for an answer.

mod ticket;

use serde::{Deserialize, Serialize};

use crate::sync::Arc;

pub(crate) use self::ticket::{Asker, Ticket};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AskError {
    /// The component is stopped for good.
    #[error("the component is stopped")]
    Unavailable,
    /// Its mailbox is full.
    #[error("the component is overloaded")]
    Overloaded,
    /// No answer came within the deadline.
    #[error("no answer within the deadline")]
    TimedOut,
    /// The component crashed, or was abandoned as hung, while it had this
    /// question in hand. It is not asked again by the runtime.
    #[error("the component crashed on this question")]
    Crashed,
}

/// Takes answers on behalf of an asker that doesn't wait.
pub trait AnswerSink<T>: Send + Sync {
    /// Called exactly once per question, from any thread. Must not block.
    fn deliver(&self, token: u64, answer: Result<T, AskError>);
}

/// Answers one question. Dropped unanswered, the asker learns that.
pub struct Reply<T> {
    ticket: Arc<Ticket<T>>,
}

impl<T: Send + 'static> Reply<T> {
    /// A reply that belongs to no component, for tests of what answers.
    pub fn to(sink: Arc<dyn AnswerSink<T>>, token: u64) -> Self {
        Self { ticket: Ticket::new(None, Asker::Sink(sink, token)) }
    }

    pub(crate) fn on(ticket: &Arc<Ticket<T>>) -> Self {
        Self { ticket: ticket.clone() }
    }

    /// Answers. An asker that no longer waits is ignored; an answer from an
    /// abandoned incarnation is refused.
    pub fn send(self, answer: T) {
        self.ticket.answer(answer);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.ticket.dropped();
    }
}

impl<T> std::fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

//! A typed handle that survives restarts.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::mailbox::{Envelope, Pushed, Question, Room};
use crate::reply::{AnswerSink, AskError, Asker, Reply, Ticket};
use crate::slot::{Member, Slot};
use crate::spec::{Generation, Overflow};
use crate::sync::Arc;

/// Where a component can be reached, whichever incarnation is alive.
///
/// The mailbox behind it belongs to the address: what waits in it when the
/// component dies is handled by the successor.
pub struct Address<M> {
    pub(crate) slot: Arc<Slot<M>>,
}

/// Why a message was not taken. The message comes back.
#[derive(Debug, thiserror::Error)]
pub enum TellError<M> {
    /// As many messages wait as may.
    #[error("the mailbox is full")]
    Overloaded(M),
    /// The component is stopped for good.
    #[error("the component is stopped")]
    Unavailable(M),
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone() }
    }
}

impl<M> std::fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.slot.vitals.spec.name)
    }
}

impl<M: Send + 'static> Address<M> {
    /// Puts a message into the mailbox.
    pub fn tell(&self, message: M) -> Result<(), TellError<M>> {
        self.push(Envelope { message, question: None }, self.slot.vitals.spec.mailbox.overflow)
    }

    /// Puts a message into the mailbox; where it is full, the oldest makes room. For telemetry.
    pub fn offer(&self, message: M) {
        // Refused only by a component that is stopped for good: nobody listens.
        let _ = self.push(Envelope { message, question: None }, Overflow::DropOldest);
    }

    /// Asks and waits, at most until `deadline` from now. While the component
    /// is down the question waits for its successor.
    pub async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, AskError> {
        let (sender, receiver) = oneshot::channel();
        self.put(Asker::Task(sender), question).map_err(|(error, _)| error)?;
        match tokio::time::timeout(deadline, receiver).await {
            Ok(answer) => answer.unwrap_or(Err(AskError::Crashed)),
            Err(_) => Err(AskError::TimedOut),
        }
    }

    /// As [`Self::ask`], for a caller that is a plain thread.
    pub fn ask_blocking<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, AskError> {
        let (sender, receiver) = sync_channel(1);
        self.put(Asker::Thread(sender), question).map_err(|(error, _)| error)?;
        receiver.recv_timeout(deadline).unwrap_or(Err(AskError::TimedOut))
    }

    /// Asks without waiting: the answer, or what became of the question, is
    /// delivered to `sink` with `token`, exactly once. No deadline: the asker
    /// keeps its own. Where the message is refused it comes back and nothing is delivered.
    pub fn ask_into<T: Send + 'static>(
        &self,
        sink: Arc<dyn AnswerSink<T>>,
        token: u64,
        question: impl FnOnce(Reply<T>) -> M,
    ) -> Result<(), TellError<M>> {
        self.put(Asker::Sink(sink, token), question).map_err(|(error, message)| match error {
            AskError::Overloaded => TellError::Overloaded(message),
            _ => TellError::Unavailable(message),
        })
    }

    /// A sink that puts answers into this address's mailbox as messages. They
    /// are taken beyond the bound: the asker bounds its questions.
    pub fn answers<T: Send + 'static>(
        &self,
        into_message: fn(u64, Result<T, AskError>) -> M,
    ) -> Arc<dyn AnswerSink<T>> {
        Arc::new(Answers { slot: self.slot.clone(), into_message })
    }

    /// The incarnation that is alive, or was last.
    pub fn generation(&self) -> Generation {
        self.slot.vitals.generation()
    }

    /// Messages that wait.
    pub fn depth(&self) -> usize {
        self.slot.depth()
    }

    fn push(&self, envelope: Envelope<M>, overflow: Overflow) -> Result<(), TellError<M>> {
        let room = Room::Bounded(self.slot.vitals.spec.mailbox.bound, overflow);
        match self.slot.push(envelope, room) {
            Pushed::Queued | Pushed::Evicted(_) => Ok(()),
            Pushed::Full(envelope) => Err(TellError::Overloaded(envelope.message)),
            Pushed::Closed(envelope) => Err(TellError::Unavailable(envelope.message)),
        }
    }

    /// Puts a question into the mailbox. Where that fails its asker is told by
    /// the return value alone.
    fn put<T: Send + 'static>(
        &self,
        asker: Asker<T>,
        question: impl FnOnce(Reply<T>) -> M,
    ) -> Result<(), (AskError, M)> {
        let ticket = Ticket::new(Some(self.slot.vitals.clone()), asker);
        let message = question(Reply::on(&ticket));
        let envelope = Envelope { message, question: Some(ticket.clone() as Arc<dyn Question>) };
        self.push(envelope, self.slot.vitals.spec.mailbox.overflow).map_err(|refused| {
            ticket.disarm();
            match refused {
                TellError::Overloaded(message) => (AskError::Overloaded, message),
                TellError::Unavailable(message) => (AskError::Unavailable, message),
            }
        })
    }
}

struct Answers<M, T> {
    slot: Arc<Slot<M>>,
    into_message: fn(u64, Result<T, AskError>) -> M,
}

impl<M: Send + 'static, T: Send + 'static> AnswerSink<T> for Answers<M, T> {
    fn deliver(&self, token: u64, answer: Result<T, AskError>) {
        let message = (self.into_message)(token, answer);
        // Refused only by a component that is stopped for good: nobody waits.
        let _ = self.slot.push(Envelope { message, question: None }, Room::Reserved);
    }
}

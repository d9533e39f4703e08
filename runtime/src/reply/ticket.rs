//! One question's way back, shared by the reply, the mailbox and the supervisor.
//!
//! Whoever takes the asker out is the one that answers: that makes it exactly
//! one, and the lock makes a revocation and an answer come one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

use super::{AnswerSink, AskError};
use crate::mailbox::Question;
use crate::spec::Generation;
use crate::sync::{Arc, Mutex, lock};
use crate::vitals::Vitals;

/// Who waits for the answer.
pub(crate) enum Asker<T> {
    /// A task.
    Task(oneshot::Sender<Result<T, AskError>>),
    /// A thread.
    Thread(SyncSender<Result<T, AskError>>),
    /// Nobody: it is delivered.
    Sink(Arc<dyn AnswerSink<T>>, u64),
}

/// See the module.
pub(crate) struct Ticket<T> {
    asker: Mutex<Option<Asker<T>>>,
    /// The component that was asked; none in tests.
    vitals: Option<Arc<Vitals>>,
    /// The incarnation that has it in hand, 0 before one has.
    taken_by: AtomicU64,
}

impl<T> Ticket<T> {
    pub(crate) fn new(vitals: Option<Arc<Vitals>>, asker: Asker<T>) -> Arc<Self> {
        Arc::new(Self { asker: Mutex::new(Some(asker)), vitals, taken_by: AtomicU64::new(0) })
    }

    /// Answers, unless that was done or the incarnation no longer counts.
    pub(super) fn answer(&self, answer: T) {
        let mut asker = lock(&self.asker);
        if !self.may_answer() {
            return;
        }
        let taken = asker.take();
        drop(asker);
        deliver(taken, Ok(answer));
    }

    /// The reply was dropped: unless it was answered, that is an answer, too.
    pub(super) fn dropped(&self) {
        let is_final = self.vitals.as_ref().is_some_and(|vitals| vitals.is_final());
        let error = if is_final { AskError::Unavailable } else { AskError::Crashed };
        let taken = lock(&self.asker).take();
        deliver(taken, Err(error));
    }

    /// Nothing is delivered any more.
    pub(crate) fn disarm(&self) {
        lock(&self.asker).take();
    }

    fn may_answer(&self) -> bool {
        let generation = self.taken_by.load(Ordering::SeqCst);
        match &self.vitals {
            Some(vitals) if generation != 0 => vitals.is_live(Generation(generation)),
            _ => true,
        }
    }
}

impl<T: Send + 'static> Question for Ticket<T> {
    fn taken_by(&self, generation: Generation) {
        self.taken_by.store(generation.0, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        lock(&self.asker).is_some()
    }

    fn fail(&self, error: AskError) {
        let taken = lock(&self.asker).take();
        deliver(taken, Err(error));
    }
}

fn deliver<T>(asker: Option<Asker<T>>, answer: Result<T, AskError>) {
    match asker {
        // An asker that no longer waits is ignored.
        Some(Asker::Task(sender)) => drop(sender.send(answer)),
        Some(Asker::Thread(sender)) => drop(sender.try_send(answer)),
        Some(Asker::Sink(sink, token)) => sink.deliver(token, answer),
        None => {}
    }
}

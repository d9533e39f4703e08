//! The queue behind an address.
//!
//! It outlives incarnations: what waits when one dies is handled by the next.
//! Rules: only the incarnation that is attached pops; it is woken once when
//! something arrives, and not again before it has found the queue empty;
//! every question that an incarnation took is either answered, in hand, or
//! deferred, so that nobody waits for an answer of the dead.

use std::collections::VecDeque;

use crate::reply::AskError;
use crate::spec::{Generation, Overflow};
use crate::sync::{Arc, Mutex, lock};
use crate::wake::Wake;

/// A question's way back, as the mailbox sees it.
pub(crate) trait Question: Send + Sync {
    /// Notes which incarnation has it in hand.
    fn taken_by(&self, generation: Generation);
    /// Whether an answer is still owed.
    fn is_open(&self) -> bool;
    /// Says why there is no answer, unless there is one.
    fn fail(&self, error: AskError);
}

/// A message, with the question that it carries.
pub(crate) struct Envelope<M> {
    pub(crate) message: M,
    pub(crate) question: Option<Arc<dyn Question>>,
}

/// What came of putting a message in.
pub(crate) enum Pushed<M> {
    /// It waits.
    Queued,
    /// It waits; the oldest one made room and is handed back.
    Evicted(Envelope<M>),
    /// There is no room.
    Full(Envelope<M>),
    /// Nobody will ever take it.
    Closed(Envelope<M>),
}

/// What an incarnation gets.
pub(crate) enum Popped<M> {
    /// The next message; its question is now in hand.
    Message(M),
    /// Nothing waits: the next arrival wakes.
    Empty,
    /// Another incarnation is attached, or none.
    Revoked,
}

/// The room that a sender may use.
#[derive(Clone, Copy)]
pub(crate) enum Room {
    /// Up to so many messages, and what happens beyond.
    Bounded(usize, Overflow),
    /// Always: answers, which their asker bounds.
    Reserved,
}

/// See the module.
pub(crate) struct Mailbox<M> {
    state: Mutex<State<M>>,
}

struct State<M> {
    queue: VecDeque<Envelope<M>>,
    reader: Option<Reader>,
    signalled: bool,
    closed: bool,
    taken: u64,
    in_hand: Option<Arc<dyn Question>>,
    deferred: Vec<Arc<dyn Question>>,
    prune_at: usize,
}

struct Reader {
    generation: Generation,
    wake: Arc<dyn Wake>,
}

/// Deferred questions are first looked through for answered ones at this many.
pub(crate) const FIRST_PRUNE: usize = 64;

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                reader: None,
                signalled: false,
                closed: false,
                taken: 0,
                in_hand: None,
                deferred: Vec::new(),
                prune_at: FIRST_PRUNE,
            }),
        }
    }

    /// Puts a message in and wakes the reader where it has to be.
    pub(crate) fn push(&self, envelope: Envelope<M>, room: Room) -> Pushed<M> {
        let mut state = lock(&self.state);
        if state.closed {
            return Pushed::Closed(envelope);
        }
        let mut evicted = None;
        if let Room::Bounded(bound, overflow) = room
            && state.queue.len() >= bound
        {
            match overflow {
                Overflow::Reject => return Pushed::Full(envelope),
                Overflow::DropOldest => evicted = state.queue.pop_front(),
            }
        }
        state.queue.push_back(envelope);
        let wake = state.wake_once();
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
        evicted.map_or(Pushed::Queued, Pushed::Evicted)
    }

    /// Takes the next message for an incarnation. What it had in hand counts as handled.
    pub(crate) fn pop(&self, generation: Generation) -> Popped<M> {
        let mut state = lock(&self.state);
        if !state.is_read_by(generation) {
            return Popped::Revoked;
        }
        let handled = state.set_down();
        let popped = match state.queue.pop_front() {
            Some(Envelope { message, question }) => {
                if let Some(question) = &question {
                    question.taken_by(generation);
                }
                state.in_hand = question;
                state.taken += 1;
                Popped::Message(message)
            }
            None => {
                state.signalled = false;
                Popped::Empty
            }
        };
        drop(state);
        drop(handled);
        popped
    }

    /// Says that the reader is about to wait: what it had in hand is handled,
    /// and where something waits it is woken at once.
    pub(crate) fn rest(&self, generation: Generation) {
        let mut state = lock(&self.state);
        if !state.is_read_by(generation) {
            return;
        }
        let handled = state.set_down();
        state.signalled = false;
        let wake = if state.queue.is_empty() { None } else { state.wake_once() };
        drop(state);
        drop(handled);
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Makes an incarnation the reader. It is woken where something waits.
    pub(crate) fn attach(&self, generation: Generation, wake: Arc<dyn Wake>) {
        let mut state = lock(&self.state);
        state.reader = Some(Reader { generation, wake });
        state.signalled = false;
        let wake = if state.queue.is_empty() { None } else { state.wake_once() };
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Ends an incarnation's reading and hands out the questions that it owes.
    /// Nothing happens where another is attached.
    pub(crate) fn detach(&self, generation: Generation) -> Vec<Arc<dyn Question>> {
        let mut state = lock(&self.state);
        if !state.is_read_by(generation) {
            return Vec::new();
        }
        state.reader = None;
        state.signalled = false;
        state.prune_at = FIRST_PRUNE;
        let mut owed = std::mem::take(&mut state.deferred);
        owed.extend(state.in_hand.take());
        owed
    }

    /// Refuses messages from now on and hands out those that wait.
    pub(crate) fn close(&self) -> VecDeque<Envelope<M>> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.queue)
    }

    /// Wakes the reader although nothing may wait.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn wake(&self) {
        let wake = lock(&self.state).reader.as_ref().map(|reader| reader.wake.clone());
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    /// Messages that wait.
    pub(crate) fn depth(&self) -> usize {
        lock(&self.state).queue.len()
    }

    /// Where messages wait: how many were taken so far.
    pub(crate) fn waiting_since_take(&self) -> Option<u64> {
        let state = lock(&self.state);
        (!state.queue.is_empty()).then_some(state.taken)
    }
}

impl<M> State<M> {
    fn is_read_by(&self, generation: Generation) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.generation == generation)
    }

    fn wake_once(&mut self) -> Option<Arc<dyn Wake>> {
        if self.signalled {
            return None;
        }
        let wake = self.reader.as_ref().map(|reader| reader.wake.clone())?;
        self.signalled = true;
        Some(wake)
    }

    /// Lays down what is in hand. An answered question is returned, to be
    /// dropped outside the lock; one that is still open is remembered.
    fn set_down(&mut self) -> Option<Arc<dyn Question>> {
        let question = self.in_hand.take()?;
        if !question.is_open() {
            return Some(question);
        }
        if self.deferred.len() >= self.prune_at {
            self.deferred.retain(|deferred| deferred.is_open());
            self.prune_at = (self.deferred.len() * 2).max(FIRST_PRUNE);
        }
        self.deferred.push(question);
        None
    }
}

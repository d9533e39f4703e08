//! Every interleaving of the mailbox's and the lease's protocols, by the loom
//! model checker. The modules are included as they are, over loom's locks.

#![allow(dead_code, unreachable_pub, reason = "the models use a part of each module")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use loom::sync::{Condvar, Notify};
use loom::thread;
use seawall_runtime::{reply, spec, wake};

#[path = "../src/lease.rs"]
mod lease;
#[path = "../src/mailbox.rs"]
mod mailbox;

use self::lease::{LeaseError, Lender};
use self::mailbox::{Envelope, Mailbox, Popped, Question, Room};
use self::reply::AskError;
use self::spec::Generation;
use self::sync::{Arc, Mutex, lock};
use self::wake::Wake;

/// The locks of the crate, with loom's underneath.
mod sync {
    pub(crate) use std::sync::{Arc, PoisonError};

    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No thread of a model belongs to an incarnation.
mod incarnation {
    pub(crate) fn current_is_revoked() -> bool {
        false
    }
}

const FIRST: Generation = Generation(1);
const SECOND: Generation = Generation(2);

/// Wakes a reader that waits, or will wait. A reader that nobody wakes is a
/// deadlock, which loom finds.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rung: Mutex::new(false), changed: Condvar::new() })
    }

    fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_one();
    }
}

/// Counts how often it was failed.
struct Asked(Mutex<u32>);

impl Question for Asked {
    fn taken_by(&self, _: Generation) {}

    fn is_open(&self) -> bool {
        *lock(&self.0) == 0
    }

    fn fail(&self, _: AskError) {
        *lock(&self.0) += 1;
    }
}

fn put(mailbox: &Mailbox<u32>, message: u32) {
    mailbox.push(Envelope { message, question: None }, Room::Reserved);
}

/// Takes what is there, as an actor does for one wake-up.
fn take_all(mailbox: &Mailbox<u32>, generation: Generation) -> Vec<u32> {
    std::iter::from_fn(|| match mailbox.pop(generation) {
        Popped::Message(message) => Some(message),
        Popped::Empty | Popped::Revoked => None,
    })
    .collect()
}

#[test]
fn no_message_is_left_without_a_wake_up() {
    loom::model(|| {
        let (mailbox, bell) = (Arc::new(Mailbox::new()), Bell::new());
        mailbox.attach(FIRST, bell.clone());
        let senders: Vec<_> = (0..2)
            .map(|message| {
                let mailbox = mailbox.clone();
                thread::spawn(move || put(&mailbox, message))
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 2 {
            bell.wait();
            taken.extend(take_all(&mailbox, FIRST));
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn a_thread_that_takes_one_message_a_round_is_woken_for_each() {
    loom::model(|| {
        let (mailbox, bell) = (Arc::new(Mailbox::new()), Bell::new());
        mailbox.attach(FIRST, bell.clone());
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                put(&mailbox, 0);
                put(&mailbox, 1);
            })
        };
        let mut taken = Vec::new();
        while taken.len() < 2 {
            mailbox.rest(FIRST);
            bell.wait();
            if let Popped::Message(message) = mailbox.pop(FIRST) {
                taken.push(message);
            }
        }
        assert_eq!(taken, [0, 1]);
        sender.join().unwrap();
    });
}

#[test]
fn a_message_is_taken_once_across_a_succession() {
    loom::model(|| {
        let (mailbox, old_bell, new_bell) = (Arc::new(Mailbox::new()), Bell::new(), Bell::new());
        mailbox.attach(FIRST, old_bell);
        put(&mailbox, 0);
        let old = {
            let mailbox = mailbox.clone();
            thread::spawn(move || take_all(&mailbox, FIRST))
        };
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || put(&mailbox, 1))
        };
        mailbox.detach(FIRST);
        mailbox.attach(SECOND, new_bell.clone());
        let mut taken = old.join().unwrap();
        while taken.len() < 2 {
            new_bell.wait();
            taken.extend(take_all(&mailbox, SECOND));
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
        sender.join().unwrap();
    });
}

#[test]
fn a_question_is_owed_by_exactly_one() {
    loom::model(|| {
        let (mailbox, bell) = (Arc::new(Mailbox::<u32>::new()), Bell::new());
        mailbox.attach(FIRST, bell.clone());
        let asked = Arc::new(Asked(Mutex::new(0)));
        let question = Some(asked.clone() as Arc<dyn Question>);
        mailbox.push(Envelope { message: 0, question }, Room::Reserved);
        let old = {
            let mailbox = mailbox.clone();
            // Takes it, lays it down unanswered, and finds nothing more.
            thread::spawn(move || take_all(&mailbox, FIRST).len())
        };
        let owed = mailbox.detach(FIRST);
        mailbox.attach(SECOND, bell);
        owed.iter().for_each(|question| question.fail(AskError::Crashed));
        let taken_by_old = old.join().unwrap();
        let taken_by_new = take_all(&mailbox, SECOND).len();
        assert_eq!(taken_by_old + taken_by_new, 1);
        // The old one's is failed once, the new one's is still open.
        assert_eq!(*lock(&asked.0) as usize, taken_by_old);
    });
}

#[test]
fn a_resource_is_never_used_by_an_earlier_holder_after_a_later_lease() {
    loom::model(|| {
        let lender = Lender::new(0);
        let first = lender.lend(FIRST).unwrap();
        let told = Arc::new(Notify::new());
        let old = {
            let told = told.clone();
            thread::spawn(move || {
                let before = first.with(|value| *value += 1);
                told.wait();
                (before, first.with(|value| *value += 1))
            })
        };
        let second = lender.lend(SECOND).unwrap();
        let seen = second.with(|value| *value).unwrap();
        told.notify();
        let (before, after) = old.join().unwrap();
        assert_eq!(after, Err(LeaseError));
        assert_eq!(before.is_ok(), seen == 1);
        assert_eq!(second.with(|value| *value), Ok(seen));
        assert!(lender.lend(FIRST).is_err());
    });
}

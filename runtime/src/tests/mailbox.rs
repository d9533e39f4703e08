use std::sync::atomic::{AtomicUsize, Ordering};

use crate::mailbox::{Envelope, FIRST_PRUNE, Mailbox, Popped, Pushed, Question, Room};
use crate::reply::AskError;
use crate::spec::{Generation, Overflow};
use crate::sync::{Arc, Mutex, lock};
use crate::wake::Wake;

const FIRST: Generation = Generation(1);
const SECOND: Generation = Generation(2);

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Asked(Mutex<Option<AskError>>);

impl Question for Asked {
    fn taken_by(&self, _: Generation) {}

    fn is_open(&self) -> bool {
        lock(&self.0).is_none()
    }

    fn fail(&self, error: AskError) {
        lock(&self.0).get_or_insert(error);
    }
}

fn attached() -> (Mailbox<u32>, Arc<Bell>) {
    let (mailbox, bell) = (Mailbox::new(), Arc::new(Bell::default()));
    mailbox.attach(FIRST, bell.clone());
    (mailbox, bell)
}

fn put(mailbox: &Mailbox<u32>, message: u32) {
    let pushed = mailbox.push(Envelope { message, question: None }, Room::Reserved);
    assert!(matches!(pushed, Pushed::Queued));
}

fn take(mailbox: &Mailbox<u32>, generation: Generation) -> Option<u32> {
    match mailbox.pop(generation) {
        Popped::Message(message) => Some(message),
        Popped::Empty | Popped::Revoked => None,
    }
}

#[test]
fn the_reader_is_woken_once_until_it_has_found_the_mailbox_empty() {
    let (mailbox, bell) = attached();
    put(&mailbox, 1);
    put(&mailbox, 2);
    assert_eq!(bell.rings(), 1);
    assert_eq!(take(&mailbox, FIRST), Some(1));
    put(&mailbox, 3);
    assert_eq!(bell.rings(), 1);
    assert_eq!(take(&mailbox, FIRST), Some(2));
    assert_eq!(take(&mailbox, FIRST), Some(3));
    assert_eq!(take(&mailbox, FIRST), None);
    put(&mailbox, 4);
    assert_eq!(bell.rings(), 2);
}

#[test]
fn a_reader_that_rests_is_woken_for_what_still_waits() {
    let (mailbox, bell) = attached();
    put(&mailbox, 1);
    put(&mailbox, 2);
    assert_eq!(take(&mailbox, FIRST), Some(1));
    mailbox.rest(FIRST);
    assert_eq!(bell.rings(), 2);
    assert_eq!(take(&mailbox, FIRST), Some(2));
    mailbox.rest(FIRST);
    assert_eq!(bell.rings(), 2, "nothing waits");
    put(&mailbox, 3);
    assert_eq!(bell.rings(), 3);
}

#[test]
fn what_waits_is_left_to_the_successor() {
    let (mailbox, first) = attached();
    put(&mailbox, 1);
    put(&mailbox, 2);
    assert_eq!(take(&mailbox, FIRST), Some(1));
    mailbox.detach(FIRST);
    put(&mailbox, 3);
    assert_eq!(first.rings(), 1);
    assert!(matches!(mailbox.pop(FIRST), Popped::Revoked));
    let second = Arc::new(Bell::default());
    mailbox.attach(SECOND, second.clone());
    assert_eq!(second.rings(), 1);
    assert!(matches!(mailbox.pop(FIRST), Popped::Revoked));
    assert_eq!(take(&mailbox, SECOND), Some(2));
    assert_eq!(take(&mailbox, SECOND), Some(3));
}

#[test]
fn a_full_mailbox_refuses_or_drops_the_oldest() {
    let mailbox = Mailbox::new();
    let push = |message, overflow| {
        mailbox.push(Envelope { message, question: None }, Room::Bounded(2, overflow))
    };
    assert!(matches!(push(1, Overflow::Reject), Pushed::Queued));
    assert!(matches!(push(2, Overflow::DropOldest), Pushed::Queued));
    assert!(matches!(push(3, Overflow::Reject), Pushed::Full(Envelope { message: 3, .. })));
    assert!(matches!(push(4, Overflow::DropOldest), Pushed::Evicted(Envelope { message: 1, .. })));
    put(&mailbox, 5);
    let left: Vec<u32> = mailbox.close().into_iter().map(|it| it.message).collect();
    assert_eq!(left, [2, 4, 5]);
    assert!(matches!(push(6, Overflow::DropOldest), Pushed::Closed(_)));
}

#[test]
fn open_questions_are_handed_out_with_the_end_of_their_reader() {
    let (mailbox, _bell) = attached();
    let asked: Vec<Arc<Asked>> = (0..4).map(|_| Arc::default()).collect();
    for question in &asked {
        let question = Some(question.clone() as Arc<dyn Question>);
        mailbox.push(Envelope { message: 0, question }, Room::Reserved);
    }
    // The first is answered, the second put off, the third in hand, the fourth waits.
    for _ in 0..3 {
        take(&mailbox, FIRST);
        asked[0].fail(AskError::TimedOut);
    }
    assert!(mailbox.detach(SECOND).is_empty(), "not that one's");
    for owed in mailbox.detach(FIRST) {
        owed.fail(AskError::Crashed);
    }
    let became: Vec<_> = asked.iter().map(|it| *lock(&it.0)).collect();
    let crashed = Some(AskError::Crashed);
    assert_eq!(became, [Some(AskError::TimedOut), crashed, crashed, None]);
}

#[test]
fn answered_questions_do_not_pile_up() {
    let (mailbox, _bell) = attached();
    for _ in 0..10_000 {
        let asked = Arc::new(Asked::default());
        let question = Some(asked.clone() as Arc<dyn Question>);
        mailbox.push(Envelope { message: 0, question }, Room::Reserved);
        take(&mailbox, FIRST);
        take(&mailbox, FIRST);
        // Answered only after it was laid down.
        asked.fail(AskError::TimedOut);
    }
    assert!(mailbox.detach(FIRST).len() <= FIRST_PRUNE * 2);
}

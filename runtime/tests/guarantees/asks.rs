//! A question is answered exactly once, whatever happens to whom it was put.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_runtime::{AnswerSink, AskError, ComponentState, Mailbox, Overflow, Spec, TellError};

use crate::puppet::{Gate, Journal, NotingSink, Order, SOON, Single, spec, until};

fn sink() -> (Arc<dyn AnswerSink<u64>>, Journal) {
    let journal = Journal::default();
    (Arc::new(NotingSink(journal.clone())), journal)
}

#[test]
fn tasks_and_threads_can_ask() {
    let single = Single::new();
    assert_eq!(single.ask(|reply| Order::Echo(1, reply)), Ok(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(single.address.ask(SOON, |reply| Order::Echo(2, reply)));
    assert_eq!(answer, Ok(2));
}

#[test]
fn a_question_waits_for_the_successor() {
    let single = Single::new();
    for order in [Order::Panic, Order::Panic, Order::Panic] {
        single.tell(order);
    }
    single.echo(5);
    assert_eq!(single.status().restarts, 3);
}

#[test]
fn a_question_in_the_hands_of_a_crash_is_answered_and_not_put_again() {
    let single = Single::new();
    assert_eq!(single.ask(Order::PanicOn), Err(AskError::Crashed));
    single.echo(1);
    assert_eq!(single.status().restarts, 1, "asked once");
}

#[test]
fn a_question_that_was_put_off_by_one_that_crashes_is_answered() {
    let single = Single::new();
    let (sink, answers) = sink();
    for token in 0..3 {
        assert!(single.address.ask_into(sink.clone(), token, Order::Keep).is_ok());
    }
    single.tell(Order::AnswerKept(9));
    until("they are answered", || answers.lines().len() == 3);
    assert!(single.address.ask_into(sink, 3, Order::Keep).is_ok());
    single.tell(Order::Panic);
    single.echo(0);
    assert_eq!(answers.lines(), ["0: Ok(9)", "1: Ok(9)", "2: Ok(9)", "3: Err(Crashed)"]);
}

#[test]
fn a_question_nobody_answers_in_time_times_out() {
    let single = Single::new();
    let gate = Gate::default();
    let began = Instant::now();
    let deadline = Duration::from_millis(50);
    let answer = single.address.ask_blocking(deadline, |reply| Order::Spin(gate.clone(), reply));
    gate.open();
    assert_eq!(answer, Err(AskError::TimedOut));
    assert!(began.elapsed() >= deadline);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(single.address.ask::<u64>(deadline, Order::Keep));
    assert_eq!(answer, Err(AskError::TimedOut));
    // Its answer, given later, is ignored.
    single.tell(Order::AnswerKept(1));
    single.echo(2);
}

#[test]
fn a_full_mailbox_refuses() {
    let single = Single::new();
    let gate = Gate::default();
    let (sink, answers) = sink();
    let spin = |reply| Order::Spin(gate.clone(), reply);
    assert!(single.address.ask_into(sink.clone(), 0, spin).is_ok());
    until("it is at work", || single.address.depth() == 0);
    for _ in 0..8 {
        single.tell(Order::Note("waits"));
    }
    assert!(matches!(single.address.tell(Order::Fail), Err(TellError::Overloaded(Order::Fail))));
    assert_eq!(single.ask(|reply| Order::Echo(1, reply)), Err(AskError::Overloaded));
    let refused = single.address.ask_into(sink, 1, |reply| Order::Echo(1, reply));
    let Err(TellError::Overloaded(Order::Echo(1, reply))) = refused else { panic!("taken") };
    reply.send(1);
    assert_eq!((single.address.depth(), single.status().refused), (8, 3));
    gate.open();
    until("all is handled", || single.address.depth() == 0);
    until("it is answered", || !answers.lines().is_empty());
    assert_eq!(answers.lines(), ["0: Ok(666)"], "nothing of what was refused");
}

#[test]
fn telemetry_drops_the_oldest() {
    let mailbox = Mailbox { bound: 2, overflow: Overflow::DropOldest };
    let single = Single::with(Spec { mailbox, ..spec("puppet", "root") }, |_| {});
    let gate = Gate::default();
    let (sink, answers) = sink();
    let spin = |reply| Order::Spin(gate.clone(), reply);
    assert!(single.address.ask_into(sink.clone(), 0, spin).is_ok());
    until("it is at work", || single.address.depth() == 0);
    assert!(single.address.ask_into(sink, 1, |reply| Order::Echo(1, reply)).is_ok());
    single.tell(Order::Note("a"));
    single.tell(Order::Note("b"));
    assert_eq!(answers.lines(), ["1: Err(Overloaded)"]);
    single.address.offer(Order::Note("c"));
    gate.open();
    until("the last is noted", || single.journal.has("c"));
    let notes = single.journal.lines();
    assert!(!notes.contains(&"a".to_owned()) && notes.contains(&"b".to_owned()), "{notes:?}");
    assert_eq!(single.status().refused, 2);
}

#[test]
fn answers_are_delivered_as_messages_beyond_the_bound() {
    let (mut tree, _) = crate::puppet::builder();
    let journal = Journal::default();
    let asker = tree.declare(Spec {
        mailbox: Mailbox { bound: 1, overflow: Overflow::Reject },
        ..spec("asker", "root")
    });
    let asked = tree.declare(spec("asked", "root"));
    for (address, name) in [(&asker, "asker"), (&asked, "asked")] {
        let arguments = crate::puppet::Arguments::new(name, &journal);
        tree.actor::<crate::puppet::Puppet>(address, arguments);
    }
    let kernel = tree.start().unwrap();
    let gate = Gate::default();
    let (sink, _) = sink();
    let spin = |reply| Order::Spin(gate.clone(), reply);
    assert!(asker.ask_into(sink, 0, spin).is_ok());
    until("the asker is at work", || asker.depth() == 0);
    let answers = asker.answers(Order::Answer);
    for token in 0..5 {
        assert!(asked.ask_into(answers.clone(), token, |reply| Order::Echo(token, reply)).is_ok());
    }
    until("all answers wait", || asker.depth() == 5);
    assert!(asker.tell(Order::Note("x")).is_err());
    gate.open();
    until("all answers have come", || journal.has("answer 4 Ok(4)"));
    assert!(kernel.stop(SOON).is_empty());
}

#[test]
fn what_is_left_at_the_end_is_unavailable() {
    let single = Single::new();
    let (sink, answers) = sink();
    assert!(single.address.ask_into(sink.clone(), 0, Order::Keep).is_ok());
    until("it is put off", || single.address.depth() == 0 && single.status().handled == 1);
    let Single { kernel, address, .. } = single;
    let introspect = kernel.introspect();
    assert!(kernel.stop(SOON).is_empty());
    assert_eq!(answers.lines(), ["0: Err(Unavailable)"]);
    assert!(matches!(address.tell(Order::Fail), Err(TellError::Unavailable(Order::Fail))));
    assert_eq!(
        address.ask_blocking(SOON, |reply| Order::Echo(1, reply)),
        Err(AskError::Unavailable)
    );
    assert!(matches!(
        address.ask_into(sink, 1, |reply| Order::Echo(1, reply)),
        Err(TellError::Unavailable(_))
    ));
    assert_eq!(introspect.components()[0].state, ComponentState::Stopped);
    assert_eq!(answers.lines().len(), 1);
}

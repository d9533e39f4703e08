//! Threads are supervised like actors.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_runtime::{
    Address, AskError, Failure, Kernel, Reply, Spec, StartError, Thread, ThreadContext, Wake,
};

use crate::puppet::{Gate, Journal, SOON, builder, hasty, spec, status, until};

pub(crate) enum Job {
    Echo(u64, Reply<u64>),
    Panic,
    PanicOn(Reply<u64>),
    Return,
    Fail,
    SpinOn(Gate, Reply<u64>),
    /// Handle nothing more in this round, though there is more.
    Break,
}

/// Waits for a bell, as a datapath thread does for its socket.
struct Worker {
    context: ThreadContext<Job>,
    arguments: Arguments,
}

#[derive(Clone)]
struct Arguments {
    bell: Arc<Bell>,
    journal: Journal,
}

struct Bell {
    ring: SyncSender<()>,
    rung: Mutex<Receiver<()>>,
}

impl Bell {
    fn new() -> Arc<Self> {
        let (ring, rung) = sync_channel(1);
        Arc::new(Self { ring, rung: Mutex::new(rung) })
    }

    fn wait(&self) {
        let rung = self.rung.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rung.recv().unwrap();
    }
}

impl Wake for Bell {
    fn wake(&self) {
        // Full: it has been rung already.
        let _ = self.ring.try_send(());
    }
}

impl Thread for Worker {
    type Message = Job;
    type Arguments = Arguments;

    fn start(context: ThreadContext<Job>, arguments: Arguments) -> Result<Self, StartError> {
        if arguments.journal.has("no start") {
            arguments.journal.clear();
            return Err(StartError("no luck".to_owned()));
        }
        Ok(Self { context, arguments })
    }

    fn run(&mut self) -> Result<(), Failure> {
        while !self.context.is_stopping() {
            self.context.idle();
            self.arguments.bell.wait();
            self.context.busy();
            while let Some(job) = self.context.try_next() {
                match job {
                    Job::Echo(value, reply) => {
                        self.context.poison(value);
                        reply.send(value);
                    }
                    Job::Panic => panic!("as told"),
                    Job::PanicOn(_reply) => panic!("on a question"),
                    Job::Return => return Ok(()),
                    Job::Fail => return Err(Failure("gave up".to_owned())),
                    Job::SpinOn(gate, reply) => {
                        while !gate.is_open() {
                            std::hint::spin_loop();
                        }
                        reply.send(666);
                    }
                    Job::Break => break,
                }
            }
        }
        self.arguments.journal.note("left its loop");
        Ok(())
    }
}

pub(crate) struct Fixture {
    pub(crate) kernel: Kernel,
    address: Address<Job>,
    journal: Journal,
}

pub(crate) fn fixture() -> Fixture {
    fixture_with(spec("worker", "root"))
}

/// With a thread that is soon taken for hung.
pub(crate) fn hasty_fixture() -> Fixture {
    fixture_with(hasty(spec("worker", "root")))
}

fn fixture_with(spec: Spec) -> Fixture {
    let (mut tree, _) = builder();
    let (bell, journal) = (Bell::new(), Journal::default());
    let address = tree.declare_thread(spec, bell.clone());
    tree.thread::<Worker>(&address, Arguments { bell, journal: journal.clone() });
    Fixture { kernel: tree.start().unwrap(), address, journal }
}

impl Fixture {
    pub(crate) fn ask(&self, job: impl FnOnce(Reply<u64>) -> Job) -> Result<u64, AskError> {
        self.address.ask_blocking(SOON, job)
    }

    /// Tells it something that ends it, and waits for the successor's answer.
    fn failure_after(&self, job: Job) -> String {
        assert!(self.address.tell(job).is_ok());
        assert_eq!(self.ask(|reply| Job::Echo(1, reply)), Ok(1));
        status(&self.kernel.introspect(), "worker").last_failure.unwrap_or_default()
    }
}

#[test]
fn a_thread_that_fails_is_started_again() {
    let fixture = fixture();
    let panicked = fixture.failure_after(Job::Panic);
    assert!(panicked.starts_with("panicked at ") && panicked.ends_with("as told"), "{panicked}");
    assert_eq!(fixture.failure_after(Job::Return), "ended without being told to");
    assert_eq!(fixture.failure_after(Job::Fail), "gave up");
    fixture.journal.note("no start");
    fixture.failure_after(Job::Panic);
    assert_eq!(status(&fixture.kernel.introspect(), "worker").generation, 6);
}

#[test]
fn a_question_in_the_hands_of_a_thread_that_crashes_is_answered() {
    let fixture = fixture();
    assert_eq!(fixture.ask(Job::PanicOn), Err(AskError::Crashed));
    assert_eq!(fixture.ask(|reply| Job::Echo(2, reply)), Ok(2));
}

#[test]
fn a_thread_that_hangs_is_replaced_and_its_late_answer_refused() {
    let fixture = hasty_fixture();
    let gate = Gate::default();
    let answer = fixture.ask(|reply| Job::SpinOn(gate.clone(), reply));
    assert_eq!(answer, Err(AskError::Crashed));
    assert_eq!(fixture.ask(|reply| Job::Echo(2, reply)), Ok(2));
    assert_eq!(status(&fixture.kernel.introspect(), "worker").hangs, 1);
    gate.open();
    until("the old one leaves", || fixture.journal.has("left its loop"));
}

#[test]
fn a_thread_that_leaves_messages_is_woken_for_them() {
    let fixture = fixture();
    for _ in 0..3 {
        assert!(fixture.address.tell(Job::Break).is_ok());
    }
    assert_eq!(fixture.ask(|reply| Job::Echo(3, reply)), Ok(3));
    assert_eq!(fixture.address.generation().0, 1);
}

#[test]
fn an_ordered_stop_wakes_a_thread() {
    let fixture = fixture();
    assert!(fixture.kernel.stop(Duration::from_secs(5)).is_empty());
    assert!(fixture.journal.has("left its loop"));
}

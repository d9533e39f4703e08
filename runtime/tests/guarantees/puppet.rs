//! A component that does as it is told, and what tests need around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seawall_runtime::{
    Address, AnswerSink, AskError, Backoff, Component, ComponentStatus, Context, Deadlines,
    Failure, Generation, Intensity, Introspect, Mailbox, Overflow, Publisher, Reply, Spec,
    StartError, TreeBuilder,
};

/// Longest that a test waits for something to come about.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>);

/// Opens once; what is held up by it goes on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

pub(crate) enum Order {
    Note(&'static str),
    Echo(u64, Reply<u64>),
    /// Keep the question and answer it with the next [`Order::AnswerKept`].
    Keep(Reply<u64>),
    AnswerKept(u64),
    Panic,
    PanicOn(Reply<u64>),
    Fail,
    /// Let a task of one's own panic, then note.
    TaskPanic,
    HangOn(Reply<u64>),
    /// Spin until the gate opens, then try everything that only a living incarnation may.
    Spin(Gate, Reply<u64>),
    Publish(Publisher<u64>, u64),
    Answer(u64, Result<u64, AskError>),
}

pub(crate) struct Puppet {
    context: Context<Order>,
    arguments: Arguments,
    kept: Vec<Reply<u64>>,
}

#[derive(Clone)]
pub(crate) struct Arguments {
    pub(crate) name: &'static str,
    pub(crate) journal: Journal,
    /// What becomes of a start.
    pub(crate) start: fn(Generation) -> Start,
    /// Where it publishes while it spins.
    pub(crate) publisher: Option<Publisher<u64>>,
    /// Hang in the ordered stop.
    pub(crate) hang_in_stop: bool,
}

pub(crate) enum Start {
    Good,
    Bad,
    Panics,
    Hangs,
}

impl Journal {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|it| it == line)
    }
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.arguments.journal.note(format!("drop {}", self.arguments.name));
    }
}

impl Arguments {
    pub(crate) fn new(name: &'static str, journal: &Journal) -> Self {
        Self {
            name,
            journal: journal.clone(),
            start: |_| Start::Good,
            publisher: None,
            hang_in_stop: false,
        }
    }
}

impl Component for Puppet {
    type Message = Order;
    type Arguments = Arguments;

    async fn start(context: Context<Order>, arguments: Arguments) -> Result<Self, StartError> {
        let (name, generation) = (arguments.name, context.generation());
        arguments.journal.note(format!("start {name} {}", generation.0));
        match (arguments.start)(generation) {
            Start::Good => Ok(Self { context, arguments, kept: Vec::new() }),
            Start::Bad => Err(StartError("no luck".to_owned())),
            Start::Panics => panic!("in the start"),
            Start::Hangs => std::future::pending().await,
        }
    }

    async fn handle(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Note(line) => self.arguments.journal.note(line),
            Order::Echo(value, reply) => {
                self.context.poison(value);
                reply.send(value);
            }
            Order::Keep(reply) => self.kept.push(reply),
            Order::AnswerKept(value) => {
                self.kept.drain(..).for_each(|reply| reply.send(value));
            }
            Order::Panic => panic!("as told"),
            Order::PanicOn(_reply) => panic!("on a question"),
            Order::Fail => return Err(Failure("gave up".to_owned())),
            Order::TaskPanic => {
                let task = tokio::task::spawn_local(async { panic!("in a task") });
                assert!(task.await.is_err());
                self.arguments.journal.note("went on");
            }
            Order::HangOn(reply) => {
                self.kept.push(reply);
                std::future::pending().await
            }
            Order::Spin(gate, reply) => self.spin(&gate, reply),
            Order::Publish(publisher, value) => {
                let taken = publisher.publish(self.context.generation(), value);
                self.arguments.journal.note(format!("published {value} {taken}"));
            }
            Order::Answer(token, answer) => {
                self.arguments.journal.note(format!("answer {token} {answer:?}"));
            }
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.arguments.journal.note(format!("stop {}", self.arguments.name));
        if self.arguments.hang_in_stop {
            std::future::pending().await
        }
    }
}

impl Puppet {
    fn spin(&self, gate: &Gate, reply: Reply<u64>) {
        while !gate.is_open() {
            std::hint::spin_loop();
        }
        reply.send(666);
        let by = self.context.generation();
        if let Some(publisher) = &self.arguments.publisher {
            let taken = publisher.publish(by, 666);
            self.arguments.journal.note(format!("late publication taken: {taken}"));
        }
        let abandoned = self.context.is_abandoned();
        self.arguments.journal.note(format!("abandoned: {abandoned}"));
    }
}

/// Notes answers in a journal.
pub(crate) struct NotingSink(pub(crate) Journal);

impl AnswerSink<u64> for NotingSink {
    fn deliver(&self, token: u64, answer: Result<u64, AskError>) {
        self.0.note(format!("{token}: {answer:?}"));
    }
}

/// A spec with short waits, and deadlines that a crowded machine keeps.
pub(crate) fn spec(name: &'static str, group: &'static str) -> Spec {
    Spec {
        name,
        group,
        intensity: Intensity { restarts: 5, window: Duration::from_secs(60) },
        backoff: Backoff {
            first: Duration::from_millis(2),
            most: Duration::from_millis(20),
            healthy_after: Duration::from_secs(60),
        },
        mailbox: Mailbox { bound: 8, overflow: Overflow::Reject },
        deadlines: Deadlines {
            start: Duration::from_secs(10),
            handle: Duration::from_secs(10),
            stop: Duration::from_secs(10),
        },
        asks: &[],
        tells: &[],
        while_down: "nothing",
    }
}

/// The same with deadlines that are meant to be missed.
pub(crate) fn hasty(spec: Spec) -> Spec {
    let deadlines = Deadlines {
        start: Duration::from_millis(400),
        handle: Duration::from_millis(400),
        stop: Duration::from_millis(400),
    };
    Spec { deadlines, ..spec }
}

/// A builder whose fatal reasons go to a journal.
pub(crate) fn builder() -> (TreeBuilder, Journal) {
    let fatal = Journal::default();
    let noted = fatal.clone();
    (TreeBuilder::new(move |reason| noted.note(reason)), fatal)
}

/// A tree of one puppet.
pub(crate) struct Single {
    pub(crate) kernel: seawall_runtime::Kernel,
    pub(crate) address: Address<Order>,
    pub(crate) journal: Journal,
    pub(crate) fatal: Journal,
}

impl Single {
    pub(crate) fn new() -> Self {
        Self::with(spec("puppet", "root"), |_| {})
    }

    /// One that is soon taken for hung.
    pub(crate) fn hasty() -> Self {
        Self::with(hasty(spec("puppet", "root")), |_| {})
    }

    pub(crate) fn with(spec: Spec, adjust: impl FnOnce(&mut Arguments)) -> Self {
        let (mut tree, fatal) = builder();
        let journal = Journal::default();
        let mut arguments = Arguments::new(spec.name, &journal);
        adjust(&mut arguments);
        let address = tree.declare(spec);
        tree.actor::<Puppet>(&address, arguments);
        let kernel = tree.start().unwrap();
        Self { kernel, address, journal, fatal }
    }

    pub(crate) fn tell(&self, order: Order) {
        assert!(self.address.tell(order).is_ok(), "refused");
    }

    pub(crate) fn ask(&self, order: impl FnOnce(Reply<u64>) -> Order) -> Result<u64, AskError> {
        self.address.ask_blocking(SOON, order)
    }

    pub(crate) fn echo(&self, value: u64) {
        assert_eq!(self.ask(|reply| Order::Echo(value, reply)), Ok(value));
    }

    pub(crate) fn status(&self) -> ComponentStatus {
        status(&self.kernel.introspect(), "puppet")
    }

    pub(crate) fn last_failure(&self) -> String {
        self.status().last_failure.unwrap_or_default()
    }
}

pub(crate) fn status(introspect: &Introspect, name: &str) -> ComponentStatus {
    introspect.components().into_iter().find(|it| it.name == name).unwrap()
}

/// Waits for a condition; a test whose condition never holds fails.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

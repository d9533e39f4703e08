//! Prints what a tell and an ask cost between a plain thread and one actor.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use seawall_runtime::{
    AnswerSink, AskError, Component, Context, Failure, Mailbox, Overflow, Reply, Spec, StartError,
    TreeBuilder,
};

const ROUNDS: u32 = 100_000;

enum Message {
    Count,
    Ask(Reply<u64>),
}

struct Counter(u64);

impl Component for Counter {
    type Message = Message;
    type Arguments = ();

    async fn start(_: Context<Message>, (): ()) -> Result<Self, StartError> {
        Ok(Self(0))
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Count => self.0 += 1,
            Message::Ask(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

struct Answered(SyncSender<u64>);

impl AnswerSink<u64> for Answered {
    fn deliver(&self, token: u64, _: Result<u64, AskError>) {
        // The receiver waits for exactly this one.
        let _ = self.0.try_send(token);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tree = TreeBuilder::new(|reason| panic!("{reason}"));
    let address = tree.declare(Spec {
        name: "counter",
        group: "root",
        intensity: Default::default(),
        backoff: Default::default(),
        mailbox: Mailbox { bound: ROUNDS as usize * 2, overflow: Overflow::Reject },
        deadlines: Default::default(),
        asks: &[],
        tells: &[],
        while_down: "",
    });
    tree.actor::<Counter>(&address, ());
    let kernel = tree.start()?;
    let deadline = Duration::from_secs(10);

    let began = Instant::now();
    for _ in 0..ROUNDS {
        address.tell(Message::Count).map_err(|_| "refused")?;
    }
    report("tell, sender's side", began.elapsed());
    address.ask_blocking(deadline, Message::Ask)?;
    report("tell, end to end", began.elapsed());

    let began = Instant::now();
    for _ in 0..ROUNDS {
        address.ask_blocking(deadline, Message::Ask)?;
    }
    report("ask_blocking, round trip", began.elapsed());

    let (sender, receiver) = sync_channel(1);
    let sink: Arc<dyn AnswerSink<u64>> = Arc::new(Answered(sender));
    let began = Instant::now();
    for token in 0..u64::from(ROUNDS) {
        address.ask_into(sink.clone(), token, Message::Ask).map_err(|_| "refused")?;
        receiver.recv_timeout(deadline)?;
    }
    report("ask_into, round trip", began.elapsed());

    kernel.stop(Duration::from_secs(5));
    Ok(())
}

fn report(what: &str, took: Duration) {
    println!("{what:28} {:8.0} ns", took.as_nanos() as f64 / f64::from(ROUNDS));
}

//! The shell: takes questions and answers, stores what changed, publishes answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_messages::process::ProcessKey;
use seawall_messages::prompt::{
    AnswerPrompt, Answers, Choice, Given, Lasting, Message, Outcome, Question, Refusal, Taken, Uses,
};
use seawall_messages::{Snapshot, datapath, policy};
use seawall_runtime::{
    Address, Component, Context, Failure, Lease, LeaseError, Lender, Published, Publisher, Reply,
    StartError,
};

use crate::book::{Book, Kept};
use crate::error::{Error, chain};
use crate::events;
use crate::rule::rule;
use crate::store::{Store, StoreError};

/// How long `policy` may take to write a rule.
const RULE_DEADLINE: Duration = Duration::from_secs(6);
/// How long `policy` may take to publish anew.
const RENEW_DEADLINE: Duration = Duration::from_secs(6);
/// How soon it is asked again where it doesn't answer.
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// How soon something of this component's own is told again where its mailbox is full.
const RETELL_AFTER: Duration = Duration::from_millis(100);
/// Longest time between two looks at the clock: a machine may sleep meanwhile.
const LOOK_AT_LEAST: Duration = Duration::from_secs(60);

/// Says whether processes run.
pub trait Processes: Send + Sync {
    /// Whether this process, which ran at that time, still does.
    fn runs(&self, process: &ProcessKey, at: SystemTime) -> bool;
}

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// The policy in force: how long connections wait.
    pub snapshot: Published<Snapshot>,
    /// Writes rules.
    pub policy: Address<policy::Message>,
    /// Told when answers changed.
    pub datapath: Address<datapath::Message>,
    /// The durable state.
    pub store: Lender<Store>,
    /// Where answers go.
    pub publisher: Publisher<Answers>,
    /// What was published last, be it by an earlier incarnation.
    pub published: Published<Answers>,
    /// Says whether processes run.
    pub processes: Arc<dyn Processes>,
}

/// The component `prompt`.
pub struct Prompts {
    context: Context<Message>,
    arguments: Arguments,
    store: Lease<Store>,
    book: Book,
    /// What was asked and is acknowledged once it is stored.
    unacknowledged: Vec<(Reply<Outcome>, Outcome)>,
    /// Says when a prompt or an answer may be over.
    alarm: Option<tokio::task::JoinHandle<()>>,
}

impl Component for Prompts {
    type Message = Message;
    type Arguments = Arguments;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        let store = arguments.store.lend(context.generation()).map_err(Error::from)?;
        let kept = store.with(Store::load).map_err(Error::from)?;
        // Without it prompts are asked all the same; answers are refused until it can be written.
        let kept = kept.unwrap_or_else(|error| {
            events::StoreFailed { error: &error }.emit();
            Kept::default()
        });
        let mut prompts = Self {
            book: Book::open(kept),
            context,
            store,
            unacknowledged: Vec::new(),
            alarm: None,
            arguments,
        };
        prompts.pass_time()?;
        prompts.publish()?;
        // An incarnation before this one may have died between an answer and its effect.
        let answers = prompts.arguments.published.load();
        if answers.given.iter().any(is_lasting_denial) {
            prompts.renew();
        }
        prompts.set_alarm();
        Ok(prompts)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Ask { question, reply } => self.ask(&question, reply)?,
            Message::List { reply } => {
                self.pass_time()?;
                reply.send(self.book.list());
            }
            Message::Answer { answer, reply } => self.answer(answer, reply)?,
            Message::Dismiss { id, reply } => {
                let now = SystemTime::now();
                let done = self.change(|book| book.dismiss(id, now))?;
                if done.is_ok() {
                    events::Dismissed { id }.emit();
                }
                reply.send(done);
            }
            Message::Store => self.acknowledge()?,
            Message::TimePassed => self.pass_time()?,
            Message::RuleAdded { answer, added, reply } => {
                reply.send(self.rule_added(&answer, added)?);
            }
        }
        self.set_alarm();
        Ok(())
    }
}

impl Prompts {
    /// What is new is stored before it is acknowledged: with all that came meanwhile, in one go.
    fn ask(&mut self, question: &Question, reply: Reply<Outcome>) -> Result<(), Error> {
        let timeout = self.arguments.snapshot.load().ask_timeout;
        let version = self.arguments.published.load().version;
        let outcome = self.book.ask(question, timeout, SystemTime::now(), version);
        events::Asked { question, outcome }.emit();
        if self.unacknowledged.is_empty() && self.book.changes().is_empty() {
            reply.send(outcome);
            return Ok(());
        }
        let is_first = self.unacknowledged.is_empty();
        self.unacknowledged.push((reply, outcome));
        match is_first && self.context.address().tell(Message::Store).is_ok() {
            false if is_first => self.acknowledge(),
            _ => Ok(()),
        }
    }

    /// Stores what was asked, and says so. A store that refuses is no reason not to ask.
    fn acknowledge(&mut self) -> Result<(), Error> {
        if let Err(error) = self.write()? {
            events::StoreFailed { error: &error }.emit();
        }
        let waits = std::mem::take(&mut self.unacknowledged);
        for (reply, outcome) in waits {
            reply.send(outcome);
        }
        Ok(())
    }

    fn answer(
        &mut self,
        answer: AnswerPrompt,
        reply: Reply<Result<Taken, Refusal>>,
    ) -> Result<(), Error> {
        if answer.lasting == Lasting::Always {
            self.add_rule(answer, reply);
            return Ok(());
        }
        let now = SystemTime::now();
        let taken = self.change(|book| book.take(&answer, now))?;
        if let Ok(taken) = &taken {
            events::Answered { answer: &answer, waited: taken.waited }.emit();
            if answer.lasting != Lasting::Once {
                self.renew();
            }
        }
        reply.send(taken);
        Ok(())
    }

    /// Has `policy` write the rule that an answer is, while everything else goes on.
    fn add_rule(&self, answer: AnswerPrompt, reply: Reply<Result<Taken, Refusal>>) {
        let rule = match self.book.asked(&answer) {
            Ok((record, covers)) => rule(record, covers, answer.choice),
            Err(refusal) => return reply.send(Err(refusal)),
        };
        let Some(rule) = rule else {
            let why = "the app's path has a star, which in a rule would mean others, too: answer for a time, or until it ends";
            return reply.send(Err(Refusal::Invalid(why.to_owned())));
        };
        let (policy, address) = (self.arguments.policy.clone(), self.context.address().clone());
        tokio::spawn(async move {
            let question = |reply| policy::Message::AddRule { rule: rule.clone(), reply };
            let added = match policy.ask(RULE_DEADLINE, question).await {
                Ok(added) => added.map(|(added, _)| added),
                Err(error) => {
                    let why = format!("policy gives no answer: {error}");
                    Err(policy::PolicyRefusal::Failed(why))
                }
            };
            // A full mailbox drops it, and the asker learns that nobody answers; the rule is there.
            let _ = address.tell(Message::RuleAdded { answer, added, reply });
        });
    }

    fn rule_added(
        &mut self,
        answer: &AnswerPrompt,
        added: Result<policy::AddedRule, policy::PolicyRefusal>,
    ) -> Result<Result<Taken, Refusal>, Error> {
        let rule = match added {
            Ok(added) => Some(added),
            Err(policy::PolicyRefusal::Invalid(why)) => return Ok(Err(Refusal::Invalid(why))),
            Err(policy::PolicyRefusal::Failed(why)) => return Ok(Err(Refusal::Failed(why))),
        };
        let now = SystemTime::now();
        let waited = self.change(|book| Ok(book.became_rule(answer, now)))?;
        Ok(waited.map(|waited| {
            events::Answered { answer, waited }.emit();
            Taken { waited, rule }
        }))
    }

    /// Changes the book: durable first, then in force. Where it can't be stored, nothing changed.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Book) -> Result<T, Refusal>,
    ) -> Result<Result<T, Refusal>, Error> {
        let before = self.book.clone();
        let result = match change(&mut self.book) {
            Ok(result) => result,
            Err(refusal) => {
                self.book = before;
                return Ok(Err(refusal));
            }
        };
        if let Err(error) = self.write()? {
            self.book = before;
            events::StoreFailed { error: &error }.emit();
            return Ok(Err(Refusal::Failed(chain(&error))));
        }
        Ok(Ok(result))
    }

    /// Stores what changed, and publishes answers that did.
    fn write(&mut self) -> Result<Result<(), StoreError>, Error> {
        let changes = self.book.changes();
        if changes.is_empty() {
            return Ok(Ok(()));
        }
        if let Err(error) = self.store.with(|store| store.write(&changes))? {
            return Ok(Err(error));
        }
        let are_new = self.book.answers_changed();
        self.book.stored();
        events::counted(self.book.counts());
        if are_new {
            self.publish()?;
        }
        Ok(Ok(()))
    }

    /// Answers for readers. What waits is asked about again then.
    fn publish(&self) -> Result<(), Error> {
        let version = self.arguments.published.load().version + 1;
        let answers = self.book.answers(version);
        if !self.arguments.publisher.publish(self.context.generation(), answers) {
            return Err(Error::Abandoned(LeaseError));
        }
        self.arguments.datapath.offer(datapath::Message::AnswersChanged);
        Ok(())
    }

    fn pass_time(&mut self) -> Result<(), Error> {
        let snapshot = self.arguments.snapshot.load();
        let timeout = snapshot.ask_timeout;
        if !snapshot.asks_user() {
            self.book.forget_prompts();
        }
        let processes = Arc::clone(&self.arguments.processes);
        let runs = |given: &Given| {
            given.asker.process.is_some_and(|process| processes.runs(&process, given.given))
        };
        let prompts = self.book.pass(SystemTime::now(), timeout, runs);
        events::Missed { prompts }.emit();
        if let Err(error) = self.write()? {
            events::StoreFailed { error: &error }.emit();
        }
        events::counted(self.book.counts());
        Ok(())
    }

    /// Has live connections follow an answer, as they follow a new policy.
    fn renew(&self) {
        let policy = self.arguments.policy.clone();
        tokio::spawn(async move {
            let renew = |reply| policy::Message::Renew { reply };
            while let Err(error) = policy.ask(RENEW_DEADLINE, renew).await {
                events::NotRenewed { error: &error }.emit();
                tokio::time::sleep(RENEW_AGAIN).await;
            }
        });
    }

    /// Looks again when a prompt or an answer may be over.
    fn set_alarm(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let Some(wait) = self.book.next_look(SystemTime::now()) else { return };
        let address = self.context.address().clone();
        self.alarm = Some(tokio::spawn(async move {
            tokio::time::sleep(wait.clamp(RETELL_AFTER, LOOK_AT_LEAST)).await;
            while address.tell(Message::TimePassed).is_err() {
                tokio::time::sleep(RETELL_AFTER).await;
            }
        }));
    }
}

/// Whether connections that are open may have to be cut for it.
fn is_lasting_denial(given: &Given) -> bool {
    given.choice == Choice::Block && given.uses == Uses::Every
}

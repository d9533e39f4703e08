//! The component in a running tree, with `policy` and `datapath` played by the test.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::policy::{
    AddedRule, DefaultAction, Filter, NewRule, PolicyGeneration, PolicySource, PolicyStatus,
};
use seawall_messages::process::ProcessKey;
use seawall_messages::prompt::{
    AnswerPrompt, Answers, Choice, Extent, Lasting, Message, Outcome, PromptId, PromptState,
    Prompts as List, Refusal, Taken,
};
use seawall_messages::{Snapshot, datapath, policy};
use seawall_runtime::{
    Address, Component, Context, Failure, Generation, Kernel, Lender, Published, Publisher, Spec,
    StartError, TreeBuilder,
};

use super::{flow, question};
use crate::store::FOLDER_NAME;
use crate::{Arguments, Processes, Prompts, Store};

const DEADLINE: Duration = Duration::from_secs(20);

/// What the stand-ins were told.
#[derive(Default)]
struct Told(Mutex<State>);

#[derive(Default)]
struct State {
    rules: Vec<NewRule>,
    renewed: usize,
    changed: usize,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panicked with it")
    }
}

struct FakePolicy(Arc<Told>);

impl Component for FakePolicy {
    type Message = policy::Message;
    type Arguments = Arc<Told>;

    async fn start(_: Context<policy::Message>, told: Arc<Told>) -> Result<Self, StartError> {
        Ok(Self(told))
    }

    async fn handle(&mut self, message: policy::Message) -> Result<(), Failure> {
        match message {
            policy::Message::AddRule { rule, reply } => {
                let (text, list) = (rule.rule.clone(), rule.list.key().to_owned());
                self.0.state().rules.push(rule);
                reply.send(Ok((
                    AddedRule { rule: text, list, was_there: false, behind: None },
                    status(),
                )));
            }
            policy::Message::Renew { reply } => {
                self.0.state().renewed += 1;
                reply.send(PolicyGeneration(2));
            }
            _ => panic!("nobody asks that"),
        }
        Ok(())
    }
}

fn status() -> PolicyStatus {
    PolicyStatus {
        generation: PolicyGeneration(2),
        file: "seawall.toml".into(),
        source: PolicySource::File,
        refused: None,
        restart_needed: Vec::new(),
        unused_settings: Vec::new(),
        idle_rules: Vec::new(),
        paused_s: None,
        store_problem: None,
    }
}

struct FakeDatapath(Arc<Told>);

impl Component for FakeDatapath {
    type Message = datapath::Message;
    type Arguments = Arc<Told>;

    async fn start(_: Context<datapath::Message>, told: Arc<Told>) -> Result<Self, StartError> {
        Ok(Self(told))
    }

    async fn handle(&mut self, message: datapath::Message) -> Result<(), Failure> {
        assert!(matches!(message, datapath::Message::AnswersChanged), "{message:?}");
        self.0.state().changed += 1;
        Ok(())
    }
}

/// All processes run.
struct AllRun;

impl Processes for AllRun {
    fn runs(&self, _: &ProcessKey, _: SystemTime) -> bool {
        true
    }
}

/// The component, of one life of a machine.
struct Running {
    kernel: Kernel,
    prompt: Address<Message>,
    answers: Published<Answers>,
    told: Arc<Told>,
    snapshots: Publisher<Snapshot>,
}

impl Running {
    fn start(state: &std::path::Path, ask_timeout: Duration) -> Self {
        let mut tree = TreeBuilder::new(|reason| panic!("the tree gave up: {reason}"));
        let policy = tree.declare(spec("policy", &[]));
        let datapath = tree.declare(spec("datapath", &[]));
        let prompt = tree.declare(spec("prompt", &["policy"]));
        let told = Arc::new(Told::default());
        tree.actor::<FakePolicy>(&policy, told.clone());
        tree.actor::<FakeDatapath>(&datapath, told.clone());
        let (snapshots, snapshot) = Published::new(Snapshot { ask_timeout, ..asking() });
        let (publisher, answers) = Published::new(Answers::default());
        let arguments = Arguments {
            snapshot,
            policy,
            datapath,
            store: Lender::new(Store::at(&state.join(FOLDER_NAME))),
            publisher,
            published: answers.clone(),
            processes: Arc::new(AllRun),
        };
        tree.actor::<Prompts>(&prompt, arguments);
        let kernel = tree.start().expect("the tree starts");
        Self { kernel, prompt, answers, told, snapshots }
    }

    fn ask(&self, name: &str, own_port: u16) -> Outcome {
        let question = question(name, flow(1, own_port, 443));
        let ask = |reply| Message::Ask { question: question.clone(), reply };
        self.prompt.ask_blocking(DEADLINE, ask).expect("an answer")
    }

    fn list(&self) -> List {
        self.prompt.ask_blocking(DEADLINE, |reply| Message::List { reply }).expect("an answer")
    }

    fn answer(&self, id: u64, choice: Choice, lasting: Lasting) -> Result<Taken, Refusal> {
        let answer = AnswerPrompt { id: PromptId(id), choice, extent: Extent::App, lasting };
        let give = |reply| Message::Answer { answer, reply };
        self.prompt.ask_blocking(DEADLINE, give).expect("an answer")
    }

    fn covered(&self, name: &str) -> Option<Choice> {
        let answers = self.answers.load();
        let given = answers.to(&question(name, flow(1, 1, 443)), SystemTime::now());
        given.map(|given| given.choice)
    }

    fn stop(self) {
        assert!(self.kernel.stop(DEADLINE).is_empty());
    }
}

/// The user is asked about everything.
fn asking() -> Snapshot {
    let filter = Filter { default_action: DefaultAction::Ask, ..Filter::permit_all() };
    Snapshot { filter, ..Snapshot::unloaded() }
}

fn spec(name: &'static str, asks: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "root",
        intensity: Default::default(),
        backoff: Default::default(),
        mailbox: Default::default(),
        deadlines: Default::default(),
        asks,
        tells: &[],
        while_down: "connections wait",
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn an_answer_is_published_told_and_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path(), LONG);
    let version = running.answers.load().version;
    assert_eq!(running.ask("curl", 1), Outcome::Waits { answers: version, at_most: LONG });
    assert_eq!(running.list().prompts[0].waiting, 1);
    let taken = running.answer(1, Choice::Block, Lasting::Seconds(600)).expect("taken");
    assert_eq!(taken, Taken { waited: 1, rule: None });
    assert_eq!(running.answers.load().version, version + 1);
    assert_eq!(running.covered("curl"), Some(Choice::Block));
    assert_eq!(running.covered("wget"), None);
    assert_eq!(running.ask("curl", 2), Outcome::Answered(Choice::Block));
    wait_until("live connections follow", || running.told.state().renewed == 1);
    wait_until("the datapath is told", || running.told.state().changed >= 2);
    assert_eq!(running.answer(1, Choice::Allow, Lasting::Once), Err(Refusal::Unknown(PromptId(1))));
    running.stop();
}

#[test]
fn an_answer_for_good_is_written_by_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path(), LONG);
    running.ask("curl", 1);
    let taken = running.answer(1, Choice::Allow, Lasting::Always).expect("taken");
    assert_eq!((taken.waited, taken.rule.expect("a rule").rule), (1, "+ *".to_owned()));
    assert_eq!(running.told.state().rules.len(), 1);
    assert_eq!(running.list(), List::default());
    running.stop();
}

#[test]
fn nobody_answers_and_it_stays_to_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path(), Duration::from_millis(50));
    running.ask("curl", 1);
    wait_until("it is missed", || {
        matches!(running.list().prompts[0].state, PromptState::Missed { .. })
    });
    let taken = running.answer(1, Choice::Allow, Lasting::Once).expect("taken late");
    assert_eq!(taken.waited, 0);
    assert_eq!(running.covered("curl"), None, "the next one is given it, and no other");
    assert_eq!(running.ask("curl", 2), Outcome::Answered(Choice::Allow));
    running.stop();
}

#[test]
fn a_policy_that_asks_nothing_any_more_ends_all_prompts() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path(), LONG);
    running.ask("curl", 1);
    assert_eq!(running.list().prompts.len(), 1);
    assert!(running.snapshots.publish(Generation(1), Snapshot::unloaded()));
    assert_eq!(running.list(), List::default());
    running.stop();
}

#[test]
fn what_was_acknowledged_outlives_the_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path(), LONG);
    for name in ["first", "second"] {
        running.ask(name, 1);
    }
    running.answer(1, Choice::Block, Lasting::Seconds(600)).expect("taken");
    let before = running.list();
    running.stop();

    let running = Running::start(folder.path(), LONG);
    let after = running.list();
    assert_eq!(after.answers.len(), 1);
    assert_eq!((after.prompts.len(), after.prompts[0].id), (1, before.prompts[0].id));
    assert_eq!(running.covered("first"), Some(Choice::Block));
    wait_until("live connections follow", || running.told.state().renewed == 1);
    // What was held asks again, and finds its prompt.
    running.ask("second", 1);
    assert_eq!(running.list().prompts.len(), 1);
    assert_eq!(running.list().prompts[0].waiting, 1);
    running.stop();
}

#[test]
fn without_a_store_the_user_is_asked_and_answers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(FOLDER_NAME), "in the way").expect("written");
    let running = Running::start(folder.path(), LONG);
    assert!(matches!(running.ask("curl", 1), Outcome::Waits { .. }));
    let refused = running.answer(1, Choice::Allow, Lasting::Seconds(60));
    assert!(matches!(refused, Err(Refusal::Failed(why)) if why.contains("state of prompts")));
    assert_eq!(running.list().prompts.len(), 1, "it still waits");
    assert_eq!(running.covered("curl"), None);
    running.stop();
}

//! The component where it matters whose a connection is.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use seawall_messages::explain::{Described, Known, Whom};
use seawall_messages::policy::{AppFilter, DefaultAction, PolicyGeneration};
use seawall_messages::process::{
    self, App, AppKind, Attribution, Method, Owner, Process, ProcessKey,
};
use seawall_messages::verdict::{Answer, Message, Request};
use seawall_messages::{Action, Judgement, Layer, Lifetime, Reach, Snapshot};
use seawall_runtime::{
    AnswerSink, AskError, Component, Context, Failure, Generation, Reply, StartError,
};

use super::apps::app;
use super::component::{DEADLINE, Running, request, run};
use super::{flow, inbound, open, outbound, ports};
use crate::judge::MAX_QUESTIONS;

/// How the stand-in behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// Answers at once.
    #[default]
    Answers,
    /// Keeps every question until it is told to answer.
    Holds,
    /// Answers nothing, and lets the asker know.
    Refuses,
    /// Leaves one of a batch out.
    Miscounts,
}

/// What the stand-in does, and what it was asked.
#[derive(Default)]
pub(super) struct Desk(Mutex<State>);

#[derive(Default)]
struct State {
    manner: Manner,
    asked: usize,
    held: VecDeque<process::Message>,
}

/// Stands in for `process`. Says that a connection belongs to the app `N` where
/// its owner has the id `N`, or else to one named after the called address;
/// nobody knows the owner of connections to 1.1.1.1.
pub(super) struct FakeProcess(Arc<Desk>);

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panicked with it")
    }

    /// Messages that came.
    pub(super) fn asked(&self) -> usize {
        self.state().asked
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// Answers what is held, oldest first.
    fn answer_held(&self) {
        let held = std::mem::take(&mut self.state().held);
        held.into_iter().for_each(|message| answer(message, 0));
    }
}

impl Component for FakeProcess {
    type Message = process::Message;
    type Arguments = Arc<Desk>;

    async fn start(
        _: Context<process::Message>,
        desk: Self::Arguments,
    ) -> Result<Self, StartError> {
        Ok(Self(desk))
    }

    async fn handle(&mut self, message: process::Message) -> Result<(), Failure> {
        let mut state = self.0.state();
        state.asked += 1;
        match state.manner {
            Manner::Answers => answer(message, 0),
            Manner::Holds => state.held.push_back(message),
            Manner::Refuses => drop(message),
            Manner::Miscounts => answer(message, 1),
        }
        Ok(())
    }
}

fn answer(message: process::Message, missing: usize) {
    match message {
        process::Message::Identify { question, reply } => reply.send(owner_of(&question)),
        process::Message::IdentifyAll { questions, reply } => {
            reply.send(questions.iter().skip(missing).map(owner_of).collect());
        }
        process::Message::Describe { whom, reply } => reply.send(match whom {
            Whom::Pid(pid) => Err(format!("there is no process {pid}")),
            _ => Ok(Described { process: None, known: Known::Nothing, notes: Vec::new() }),
        }),
        _ => panic!("nobody asks that"),
    }
}

fn owner_of(question: &process::Question) -> Attribution {
    let named = question.flow.responder.to_string();
    if named == "1.1.1.1" {
        return Attribution::unidentified();
    }
    let key = question.owner.map_or_else(|| key(1, None), |owner| owner.process);
    let id = question.owner.map_or(named, |owner| owner.process.pid.to_string());
    let app = App { id: id.into(), kind: AppKind::Path, name: "it".into(), icon: None };
    let process = Process {
        key,
        parent_pid: 0,
        uid: 0,
        path: "".into(),
        deleted: false,
        command_line: Vec::new(),
        parent_path: "".into(),
        ancestors: Vec::new(),
        cgroup: "".into(),
        sha256: None,
        app,
    };
    Attribution { method: Method::Connect, process: Some(Arc::new(process)) }
}

fn key(pid: u32, exec_id: Option<u32>) -> ProcessKey {
    ProcessKey { pid, started_ticks: 5, exec_id }
}

fn owned(pid: u32, exec_id: Option<u32>, address: &str) -> Request {
    let process = key(pid, exec_id);
    let owner = Owner { process, cookie: 0, uid: 0, method: Method::Connect };
    Request { owner: Some(owner), ..request(address) }
}

/// All is permitted, but to the apps of these names.
fn blocking(names: &[&str]) -> Snapshot {
    let block = AppFilter { default_action: Some(DefaultAction::Block), ..AppFilter::default() };
    Snapshot { apps: names.iter().map(|name| app(name, block.clone())).collect(), ..open() }
}

impl Running {
    pub(super) fn judge(&self, request: Request) -> Result<Judgement, AskError> {
        self.answer(request).map(judged)
    }

    pub(super) fn answer(&self, request: Request) -> Result<Answer, AskError> {
        self.verdict.ask_blocking(DEADLINE, |reply| Message::Judge { request, reply })
    }

    pub(super) fn judge_all(&self, requests: Vec<Request>) -> Result<Vec<Judgement>, AskError> {
        self.verdict.ask_blocking(DEADLINE, |reply| Message::JudgeAll { requests, reply })
    }

    /// Asks without waiting.
    fn ask(&self, request: Request, answers: &Answers) {
        let question = |reply: Reply<Answer>| Message::Judge { request, reply };
        self.verdict.ask_into(answers.sink.clone(), 0, question).expect("there is room");
    }

    fn wait_until_asked(&self, times: usize) {
        let end = Instant::now() + DEADLINE;
        while self.process.asked() < times {
            assert!(Instant::now() < end, "waited in vain to be asked {times} times");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    pub(super) fn stop(self) {
        assert!(self.kernel.stop(DEADLINE).is_empty());
    }
}

fn judged(answer: Answer) -> Judgement {
    match answer {
        Answer::Judged(judgement) => judgement,
        Answer::Waits(waiting) => panic!("the user is asked: {waiting:?}"),
    }
}

/// Answers that nobody waits for.
struct Answers {
    sink: Arc<dyn AnswerSink<Answer>>,
    came: Receiver<Result<Answer, AskError>>,
}

struct Sink(Sender<Result<Answer, AskError>>);

impl AnswerSink<Answer> for Sink {
    fn deliver(&self, _: u64, answer: Result<Answer, AskError>) {
        // A test that has ended listens to nobody.
        let _ = self.0.send(answer);
    }
}

impl Answers {
    fn new() -> Self {
        let (sender, came) = channel();
        Self { sink: Arc::new(Sink(sender)), came }
    }

    fn next(&self) -> Result<Judgement, AskError> {
        self.came.recv_timeout(DEADLINE).expect("an answer").map(judged)
    }
}

#[test]
fn whose_a_connection_is_decides() {
    let running = run(blocking(&["7", "unidentified"]));
    let cases = [
        (owned(7, Some(1), "9.9.9.9"), Action::Reject, Some("7"), Reach::Process),
        (owned(8, Some(1), "9.9.9.9"), Action::Allow, None, Reach::Process),
        (request("1.1.1.1"), Action::Reject, Some("unidentified"), Reach::Flow),
        // The answer is of another process than the kernel noted, or may be after an exec.
        (owned(7, None, "9.9.9.9"), Action::Reject, Some("7"), Reach::Flow),
        (request("9.9.9.9"), Action::Allow, None, Reach::Flow),
    ];
    for (request, action, app, reach) in cases {
        let judgement = running.judge(request).expect("an answer");
        let decided = (judgement.action, judgement.reason.app.as_deref(), judgement.reach);
        assert_eq!(decided, (action, app, reach), "{request:?}");
    }
    running.stop();
}

#[test]
fn a_known_owner_costs_no_second_question() {
    let running = run(blocking(&["7"]));
    let judge = |request| running.judge(request).expect("an answer").action;
    for address in ["9.9.9.9", "9.9.9.10", "192.168.1.1"] {
        assert_eq!(judge(owned(7, Some(1), address)), Action::Reject);
    }
    assert_eq!(running.process.asked(), 1);
    assert_eq!(judge(owned(8, Some(1), "9.9.9.9")), Action::Allow);
    assert_eq!(judge(owned(8, Some(1), "9.9.9.9")), Action::Allow);
    assert_eq!(running.process.asked(), 2);
    assert_eq!(judge(owned(7, Some(2), "9.9.9.9")), Action::Reject);
    assert_eq!(running.process.asked(), 3, "after an exec it is another program");
    for _ in 0..2 {
        assert_eq!(judge(owned(7, None, "9.9.9.9")), Action::Reject);
        assert_eq!(judge(request("9.9.9.9")), Action::Allow);
    }
    assert_eq!(
        running.process.asked(),
        7,
        "one that nobody can tell from what it was is asked for"
    );
    running.stop();
}

#[test]
fn a_new_policy_forgets_who_is_known() {
    let running = run(blocking(&["7"]));
    let judge = || running.judge(owned(7, Some(1), "9.9.9.9")).expect("an answer");
    assert_eq!((judge().action, judge().action), (Action::Reject, Action::Reject));
    assert_eq!(running.process.asked(), 1);
    let later = Snapshot { generation: PolicyGeneration(4), ..blocking(&["8", "7"]) };
    assert!(running.publisher.publish(Generation(1), later));
    assert_eq!(judge().generation, PolicyGeneration(4));
    assert_eq!(judge().reason.app.as_deref(), Some("7"));
    assert_eq!(running.process.asked(), 2);
    running.stop();
}

#[test]
fn a_question_that_waits_for_its_owner_holds_up_nobody() {
    let running = run(blocking(&["7"]));
    assert_eq!(running.judge(owned(7, Some(1), "9.9.9.9")).map(|it| it.action), Ok(Action::Reject));
    running.process.behave(Manner::Holds);
    let answers = Answers::new();
    running.ask(owned(8, Some(1), "9.9.9.9"), &answers);
    running.wait_until_asked(2);
    running.ask(owned(9, Some(1), "9.9.9.9"), &answers);
    running.wait_until_asked(3);
    assert_eq!(running.judge(owned(7, Some(1), "9.9.9.9")).map(|it| it.action), Ok(Action::Reject));
    assert!(answers.came.try_recv().is_err(), "nobody said whose they are");
    running.process.behave(Manner::Answers);
    assert_eq!(running.judge(owned(6, Some(1), "9.9.9.9")).map(|it| it.action), Ok(Action::Allow));
    running.process.answer_held();
    for _ in 0..2 {
        assert_eq!(answers.next().map(|judgement| judgement.action), Ok(Action::Allow));
    }
    running.stop();
}

#[test]
fn an_answer_counts_under_the_policy_that_it_was_asked_for_under() {
    let running = run(blocking(&["8"]));
    running.process.behave(Manner::Holds);
    let answers = Answers::new();
    running.ask(owned(7, Some(1), "9.9.9.9"), &answers);
    running.wait_until_asked(1);
    let later = Snapshot { generation: PolicyGeneration(4), ..blocking(&["7"]) };
    assert!(running.publisher.publish(Generation(1), later));
    running.process.answer_held();
    running.wait_until_asked(2);
    running.process.answer_held();
    let judgement = answers.next().expect("an answer");
    assert_eq!((judgement.action, judgement.generation), (Action::Reject, PolicyGeneration(4)));
    running.stop();
}

#[test]
fn without_process_nothing_passes_that_may_be_forbidden() {
    let running = run(blocking(&["7"]));
    assert_eq!(running.judge(owned(8, Some(1), "9.9.9.9")).map(|it| it.action), Ok(Action::Allow));
    running.process.behave(Manner::Refuses);
    let denied = |flow, action| {
        let judgement = running.judge(Request { flow, ..request("9.9.9.9") }).expect("an answer");
        assert_eq!((judgement.action, judgement.reason.layer), (action, Layer::Unanswered));
        assert_eq!((judgement.lifetime, judgement.reach), (Lifetime::Once, Reach::Flow));
    };
    denied(outbound("9.9.9.9"), Action::Reject);
    denied(inbound("9.9.9.9", 22), Action::Drop);
    assert_eq!(running.process.asked(), 5, "each is asked for twice");

    // Who is known, and what no policy may cut.
    assert_eq!(running.judge(owned(8, Some(1), "9.9.9.9")).map(|it| it.action), Ok(Action::Allow));
    let renewal = flow(
        seawall_messages::Direction::Outbound,
        seawall_messages::Protocol::UDP,
        "192.168.1.5",
        "192.168.1.1",
        ports(68, 67),
    );
    let judgement = running.judge(Request { flow: renewal, ..request("9.9.9.9") });
    assert_eq!(judgement.map(|it| it.reason.layer), Ok(Layer::AlwaysPasses));
    assert_eq!(running.process.asked(), 5);

    // A batch is left to be asked again: to deny it would cut what is permitted.
    assert!(running.judge_all(vec![request("9.9.9.9")]).is_err());
    running.process.behave(Manner::Miscounts);
    assert!(running.judge_all(vec![request("9.9.9.9"), request("1.1.1.1")]).is_err());
    running.process.behave(Manner::Answers);
    assert_eq!(running.judge(request("9.9.9.9")).map(|it| it.action), Ok(Action::Allow));
    running.stop();
}

#[test]
fn a_silent_process_is_waited_for_less_than_the_datapath_waits() {
    let running = run(blocking(&["7"]));
    running.process.behave(Manner::Holds);
    let asked_at = Instant::now();
    let judgement = running.judge(owned(8, Some(1), "9.9.9.9")).expect("an answer");
    assert_eq!((judgement.action, judgement.reason.layer), (Action::Reject, Layer::Unanswered));
    assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
    assert_eq!(running.process.asked(), 2);
    running.stop();
}

#[test]
fn a_batch_gets_its_owners_in_order() {
    let running = run(blocking(&["9.9.9.7", "9.9.9.8"]));
    let address = |index: usize| format!("9.9.9.{}", 6 + index % 4);
    let requests: Vec<Request> = (0..1_000).map(|index| request(&address(index))).collect();
    let judgements = running.judge_all(requests).expect("an answer");
    assert_eq!(judgements.len(), 1_000);
    for (index, judgement) in judgements.iter().enumerate() {
        let address = address(index);
        let expected = ["9.9.9.7", "9.9.9.8"].contains(&address.as_str()).then_some(&*address);
        assert_eq!(judgement.reason.app.as_deref(), expected, "{index}");
    }
    assert_eq!(running.process.asked(), 1, "all in one question");
    running.stop();
}

#[test]
fn questions_that_wait_are_bounded() {
    let running = run(blocking(&["7"]));
    running.process.behave(Manner::Holds);
    let answers = Answers::new();
    for index in 0..=MAX_QUESTIONS {
        running.ask(request("9.9.9.9"), &answers);
        // In step with the component, so that none waits long enough to be given up.
        if index % 1_000 == 0 {
            running.wait_until_asked(index + 1);
        }
    }
    assert_eq!(answers.next(), Err(AskError::Crashed), "one too many");
    running.process.behave(Manner::Answers);
    running.wait_until_asked(MAX_QUESTIONS);
    running.process.answer_held();
    for _ in 0..MAX_QUESTIONS {
        assert_eq!(answers.next().map(|judgement| judgement.action), Ok(Action::Allow));
    }
    assert_eq!(running.judge(request("9.9.9.9")).map(|it| it.action), Ok(Action::Allow));
    running.stop();
}

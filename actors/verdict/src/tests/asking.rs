//! Where the policy has the user asked: what is decided, and what `prompt` is asked.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use seawall_messages::policy::{AppFilter, DefaultAction, Filter};
use seawall_messages::prompt::{
    Answers, Asker, Choice, Covers, Given, Message, Outcome, PromptId, Question, Uses,
};
use seawall_messages::rule::{Entity, Permission};
use seawall_messages::verdict::{Answer, Request, Waiting};
use seawall_messages::{Action, Breadth, Flow, Layer, Lifetime, Reach, Snapshot, Transport};
use seawall_runtime::{Component, Context, Failure, Generation, StartError};

use super::apps::app;
use super::component::{request, run};
use super::{inbound, loopback, open, outbound, permit_all, rule, tcp, under};
use crate::{Decision, decide};

/// What the stand-in answers, and what it was asked.
#[derive(Default)]
pub(super) struct Clerk(Mutex<State>);

#[derive(Default)]
struct State {
    answer: Option<Outcome>,
    asked: Vec<Question>,
}

/// Stands in for `prompt`.
pub(super) struct FakePrompt(Arc<Clerk>);

const AT_MOST: Duration = Duration::from_secs(60);

impl Clerk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panicked with it")
    }

    fn says(&self, outcome: Outcome) {
        self.state().answer = Some(outcome);
    }

    fn asked(&self) -> usize {
        self.state().asked.len()
    }
}

impl Component for FakePrompt {
    type Message = Message;
    type Arguments = Arc<Clerk>;

    async fn start(_: Context<Message>, clerk: Self::Arguments) -> Result<Self, StartError> {
        Ok(Self(clerk))
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let Message::Ask { question, reply } = message else { panic!("nobody asks that") };
        let mut state = self.0.state();
        state.asked.push(question);
        if let Some(answer) = state.answer {
            reply.send(answer);
        }
        Ok(())
    }
}

/// The user is asked about what nothing else decides.
fn asking() -> Snapshot {
    let filter = Filter { default_action: DefaultAction::Ask, ..Filter::permit_all() };
    under(filter)
}

#[test]
fn the_user_is_asked_where_the_policy_says_so() {
    let ask = |entity, service| rule(Permission::Ask, entity, service);
    let outgoing =
        |rules: Vec<_>| under(Filter { outgoing_rules: rules.into(), ..Filter::permit_all() });
    let there = Entity::Address([9, 9, 9, 9].into());
    let blocked = Filter { block_internet: true, ..asking().filter };
    let truncated = Flow { transport: Transport::Truncated, ..outbound("9.9.9.9") };
    let localhost = Entity::Address([127, 0, 0, 1].into());
    // Policy, connection, whether the user is asked, what holds otherwise.
    let cases = [
        ("by default", asking(), outbound("9.9.9.9"), true, Action::Reject),
        ("inbound", asking(), inbound("9.9.9.9", 22), true, Action::Drop),
        ("loopback is spared", asking(), loopback(), false, Action::Allow),
        ("a switch comes first", under(blocked), outbound("9.9.9.9"), false, Action::Reject),
        (
            "a rule",
            outgoing(vec![ask(there.clone(), tcp(443))]),
            outbound("9.9.9.9"),
            true,
            Action::Reject,
        ),
        (
            "another port",
            outgoing(vec![ask(there.clone(), tcp(80))]),
            outbound("9.9.9.9"),
            false,
            Action::Allow,
        ),
        (
            "an earlier rule",
            outgoing(vec![permit_all(), ask(Entity::Any, None)]),
            outbound("9.9.9.9"),
            false,
            Action::Allow,
        ),
        (
            "a rule spares loopback",
            outgoing(vec![ask(Entity::Any, None)]),
            loopback(),
            false,
            Action::Allow,
        ),
        (
            "a rule names loopback",
            outgoing(vec![ask(localhost, None)]),
            loopback(),
            true,
            Action::Reject,
        ),
        ("a cut header", asking(), truncated, false, Action::Reject),
        (
            "a cut header, a rule",
            outgoing(vec![ask(there, tcp(80))]),
            truncated,
            false,
            Action::Reject,
        ),
        (
            "paused",
            Snapshot { paused: true, ..asking() },
            outbound("9.9.9.9"),
            false,
            Action::Allow,
        ),
    ];
    for (name, snapshot, flow, asks, action) in cases {
        let decision = decide(&snapshot, &flow, None);
        assert_eq!(matches!(decision, Decision::Ask(_)), asks, "{name}");
        let judgement = decision.judgement();
        assert_eq!(judgement.action, action, "{name}");
        if asks {
            let bounds = (judgement.lifetime, judgement.reach, judgement.breadth);
            assert_eq!(bounds, (Lifetime::Once, Reach::Flow, Breadth::Service), "{name}");
        }
    }
}

#[test]
fn an_app_is_asked_about_and_others_are_not() {
    let own = AppFilter { default_action: Some(DefaultAction::Ask), ..AppFilter::default() };
    let snapshot = Snapshot { apps: vec![app("curl", own)], ..open() };
    let flow = outbound("9.9.9.9");
    let decision = decide(&snapshot, &flow, snapshot.apps.first());
    let Decision::Ask(unanswered) = decision else { panic!("{decision:?}") };
    assert_eq!(unanswered.reason.app.as_deref(), Some("curl"));
    assert_eq!(decide(&snapshot, &flow, None).judgement().action, Action::Allow);
}

#[test]
fn a_connection_waits_while_the_user_is_asked() {
    let running = run(asking());
    running.prompt.says(Outcome::Waits { answers: 4, at_most: AT_MOST });
    let waits = Waiting { generation: asking().generation, answers: 4, at_most: AT_MOST };
    assert_eq!(running.answer(request("9.9.9.9")), Ok(Answer::Waits(waits)));
    let question = running.prompt.state().asked.pop().expect("it was asked");
    assert_eq!(question.flow, outbound("9.9.9.9"));
    assert_eq!(&*question.asker.app.id, "9.9.9.9", "as the stand-in for `process` names it");
    running.stop();
}

#[test]
fn what_prompt_says_becomes_of_the_connection() {
    let running = run(asking());
    let cases = [
        (Outcome::Answered(Choice::Allow), Action::Allow, Layer::Answered, Lifetime::Flow),
        (Outcome::Answered(Choice::Block), Action::Reject, Layer::Answered, Lifetime::Flow),
        (Outcome::Full, Action::Reject, Layer::NobodyAnswered, Lifetime::Once),
    ];
    for (outcome, action, layer, lifetime) in cases {
        running.prompt.says(outcome);
        let judgement = running.judge(request("9.9.9.9")).expect("an answer");
        let found = (judgement.action, judgement.reason.layer, judgement.lifetime);
        assert_eq!(found, (action, layer, lifetime), "{outcome:?}");
        assert_eq!((judgement.reach, judgement.breadth), (Reach::Flow, Breadth::Service));
    }
    // Nobody says anything: denied, and the next attempt asks again.
    running.prompt.state().answer = None;
    let judgement = running.judge(request("9.9.9.9")).expect("an answer");
    let found = (judgement.action, judgement.reason.layer, judgement.lifetime);
    assert_eq!(found, (Action::Reject, Layer::Unanswered, Lifetime::Once));
    running.stop();
}

#[test]
fn an_answer_is_looked_up_and_nobody_asked_again() {
    let running = run(asking());
    running.prompt.says(Outcome::Full);
    let given = |choice, covers| {
        let question = running.prompt.state().asked.last().cloned().expect("it was asked");
        let given = SystemTime::now();
        let Asker { app, path, process } = question.asker;
        Given {
            id: PromptId(1),
            choice,
            asker: Asker { app, path, process },
            direction: question.flow.direction,
            covers,
            uses: Uses::Every,
            given,
            until: Some(given + AT_MOST),
        }
    };
    running.judge(request("9.9.9.9")).expect("an answer");
    for (choice, action) in [(Choice::Allow, Action::Allow), (Choice::Block, Action::Reject)] {
        let answers = Answers { version: 2, given: vec![given(choice, Covers::Port(443))] };
        assert!(running.answers.publish(Generation(1), answers));
        let judgement = running.judge(request("9.9.9.9")).expect("an answer");
        assert_eq!((judgement.action, judgement.reason.layer), (action, Layer::Answered));
        let open = running.judge_all(vec![request("9.9.9.9")]).expect("an answer");
        assert_eq!(open[0].action, action, "live connections follow it");
    }
    assert_eq!(running.prompt.asked(), 1);
    // It is about another app.
    running.judge(request("8.8.8.8")).expect("an answer");
    assert_eq!(running.prompt.asked(), 2);
    running.stop();
}

#[test]
fn what_is_open_goes_on_and_nobody_is_asked() {
    let running = run(asking());
    let judgements = running.judge_all(vec![request("9.9.9.9")]).expect("an answer");
    let open = Request { is_open: true, ..request("9.9.9.9") };
    for judgement in [judgements[0].clone(), running.judge(open).expect("an answer")] {
        assert_eq!((judgement.action, judgement.lifetime), (Action::Allow, Lifetime::Flow));
        assert_eq!(judgement.reason.layer, Layer::OpenBefore);
        assert_eq!((judgement.reach, judgement.breadth), (Reach::Flow, Breadth::Service));
    }
    assert_eq!(running.prompt.asked(), 0);
    running.stop();
}

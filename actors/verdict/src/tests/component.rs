//! The component in a running tree.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use seawall_messages::policy::Filter;
use seawall_messages::prompt::Answers;
use seawall_messages::verdict::{MAX_BATCH, Message, Request};
use seawall_messages::{Action, Layer, Snapshot};
use seawall_runtime::{
    Address, AskError, Generation, Kernel, Mailbox, Published, Publisher, Spec, TreeBuilder,
};

use super::asking::{Clerk, FakePrompt};
use super::identify::{Desk, FakeProcess};
use super::{closed, decide, inbound, open, outbound, permits, under};
use crate::events::{Identifications, Identified, Judged, Judgements, Source};
use crate::{Arguments, Verdict};

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// The component, with a stand-in for `process`.
pub(super) struct Running {
    pub(super) kernel: Kernel,
    pub(super) verdict: Address<Message>,
    pub(super) publisher: Publisher<Snapshot>,
    pub(super) process: Arc<Desk>,
    pub(super) prompt: Arc<Clerk>,
    pub(super) answers: Publisher<Answers>,
}

pub(super) fn run(snapshot: Snapshot) -> Running {
    let (publisher, policy) = Published::new(snapshot);
    let mut tree = TreeBuilder::new(|reason| panic!("{reason}"));
    let verdict = tree.declare(spec("verdict", &["process", "prompt"]));
    let address = tree.declare(spec("process", &[]));
    let process = Arc::new(Desk::default());
    tree.actor::<FakeProcess>(&address, process.clone());
    let desk = tree.declare(spec("prompt", &[]));
    let prompt = Arc::new(Clerk::default());
    tree.actor::<FakePrompt>(&desk, prompt.clone());
    let (answers_in, answers) = Published::new(Answers::default());
    let arguments = Arguments { policy, process: address, prompt: desk, answers };
    tree.actor::<Verdict>(&verdict, arguments);
    let kernel = tree.start().expect("the tree starts");
    Running { kernel, verdict, publisher, process, prompt, answers: answers_in }
}

fn spec(name: &'static str, asks: &'static [&'static str]) -> Spec {
    Spec {
        name,
        group: "root",
        intensity: Default::default(),
        backoff: Default::default(),
        // Room for all questions that may be on their way.
        mailbox: Mailbox { bound: 20_000, ..Default::default() },
        deadlines: Default::default(),
        asks,
        tells: &[],
        while_down: "new connections wait",
    }
}

pub(super) fn request(address: &str) -> Request {
    let flow = outbound(address);
    Request { flow, uid: None, owner: None, is_open: false, interface: None }
}

#[test]
fn a_question_is_answered_under_the_policy_of_the_moment() {
    let running = run(open());
    let judge = || running.judge(request("9.9.9.9"));
    assert_eq!(judge().expect("an answer"), decide(&open(), &outbound("9.9.9.9"), None));
    assert!(running.publisher.publish(Generation(1), closed()));
    assert_eq!(judge().expect("an answer"), decide(&closed(), &outbound("9.9.9.9"), None));
    assert_eq!(running.process.asked(), 0, "no app has rules of its own");
    assert!(running.kernel.stop(DEADLINE).is_empty());
}

#[test]
fn a_batch_is_answered_in_order() {
    let running = run(under(Filter { block_lan: true, ..permits() }));
    let requests: Vec<Request> = (0..MAX_BATCH)
        .map(|index| request(if index % 3 == 0 { "192.168.1.1" } else { "9.9.9.9" }))
        .collect();
    let ask = |requests| {
        running.verdict.ask_blocking(DEADLINE, |reply| Message::JudgeAll { requests, reply })
    };
    let judgements = ask(requests).expect("an answer");
    assert_eq!(judgements.len(), MAX_BATCH);
    for (index, judgement) in judgements.iter().enumerate() {
        let expected = if index % 3 == 0 { Action::Reject } else { Action::Allow };
        assert_eq!(judgement.action, expected, "{index}");
    }
    assert_eq!(ask(Vec::new()), Ok(Vec::new()));
    assert!(running.kernel.stop(DEADLINE).is_empty());
}

#[test]
fn a_batch_that_is_too_large_gets_no_answer_and_does_no_harm() {
    let running = run(open());
    let ask = |count| {
        let requests = (0..count).map(|_| request("9.9.9.9")).collect();
        running.verdict.ask_blocking(DEADLINE, |reply| Message::JudgeAll { requests, reply })
    };
    let refused = ask(MAX_BATCH + 1);
    assert!(matches!(refused, Err(error) if error != AskError::TimedOut), "{refused:?}");
    assert_eq!(ask(1).map(|judgements| judgements.len()), Ok(1));
    assert_eq!(running.verdict.generation(), Generation(1));
    assert!(running.kernel.stop(DEADLINE).is_empty());
}

#[test]
fn each_judgement_is_counted_once_by_action_and_layer() {
    let counters = Counters::default();
    with_local_recorder(&counters, || {
        let judgements = Judgements::fetch();
        let flows = [outbound("9.9.9.9"), outbound("9.9.9.9"), inbound("9.9.9.9", 22)];
        for flow in &flows {
            judgements.emit(&Judged { flow, judgement: &decide(&closed(), flow, None) });
        }
    });
    let expected = |action: Action| {
        format!(
            "seawall_verdict_judgements_total action={} layer={}",
            action.as_str(),
            Layer::DefaultAction.as_str()
        )
    };
    let counted = counters.counted();
    assert_eq!(counted.len(), 2, "{counted:?}");
    assert_eq!(counted.get(&expected(Action::Reject)), Some(&2));
    assert_eq!(counted.get(&expected(Action::Drop)), Some(&1));
}

#[test]
fn looks_for_owners_are_counted_by_where_they_were_found() {
    let counters = Counters::default();
    with_local_recorder(&counters, || {
        let identifications = Identifications::fetch();
        for (from, connections) in
            [(Source::Cache, 1), (Source::Asked, 3), (Source::Failed, 2), (Source::Cache, 1)]
        {
            identifications.emit(&Identified { from, connections });
        }
    });
    let expected = [("asked", 3), ("cache", 2), ("failed", 2)]
        .map(|(from, count)| (format!("seawall_verdict_identified_total from={from}"), count));
    assert_eq!(counters.counted(), BTreeMap::from(expected));
}

/// A recorder of counters by name and labels.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn counted(&self) -> BTreeMap<String, u64> {
        let counters = self.0.lock().expect("no test panicked with it");
        let values = counters.iter().map(|(name, it)| (name.clone(), it.load(Ordering::Relaxed)));
        values.filter(|(_, count)| *count > 0).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: String =
            key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
        let mut counters = self.0.lock().expect("no test panicked with it");
        let counter = counters.entry(format!("{}{labels}", key.name())).or_default();
        Counter::from_arc(counter.clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

//! The conversation with `datapath`: flows seen, verdicts applied, the rules in the kernel.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_runtime::{AskError, Reply};
use serde::{Deserialize, Serialize};

use crate::flow::Flow;
use crate::policy::PolicyGeneration;
use crate::process::{FlowUse, Owner, ProcessKey};
use crate::verdict::{Action, Answer, Judgement, Layer, Reason};

/// A connection with its verdict, for lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Addresses, protocol, direction.
    pub flow: Flow,
    /// What happens to it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Whether it has left the queue for good.
    pub permanent: bool,
    /// The policy that decided.
    pub generation: PolicyGeneration,
    /// When it was decided.
    pub decided: SystemTime,
    /// Whether it is still open: always false for what was denied.
    pub live: bool,
    /// User id of the local socket, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<u32>,
    /// Whose it is, where the kernel noted that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Owner>,
    /// The number of the interface that leads to the other end, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interface: Option<u32>,
    /// Its program, and what it moved; filled in for lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used_by: Option<FlowUse>,
}

impl Connection {
    /// How long ago it was decided; `None` where an earlier worker did that, who didn't say when.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        (self.decided != SystemTime::UNIX_EPOCH)
            .then(|| now.duration_since(self.decided).unwrap_or_default())
    }
}

/// A place in the list of changes of a run of the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which list: each run of the controller begins another.
    pub feed: u64,
    /// The last change that was told.
    pub number: u64,
}

/// What changed of the connections since a [`Cursor`]. A connection that changed
/// several times is told once, as it is now: who asks seldom misses steps,
/// never an outcome.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionChanges {
    /// Where to go on.
    pub cursor: Cursor,
    /// Whether all that was told before is void.
    pub anew: bool,
    /// Whether there is more right now.
    pub more: bool,
    /// Connections that are new, got another verdict, or ended; in that order.
    pub connections: Vec<Connection>,
}

/// How the datapath stands, for `seawall status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DatapathStatus {
    /// Whether rules are installed and packets are judged.
    pub protecting: bool,
    /// Which program writes the rules: `iptables-nft`, `iptables-legacy` or `nft`.
    pub backend: String,
    /// The policy whose standing verdicts are honoured.
    pub generation: PolicyGeneration,
    /// Flows that wait for a verdict.
    pub parked_flows: usize,
    /// Packets that wait with them.
    pub parked_packets: usize,
    /// Flows that wait for an answer of the user, beside those.
    #[serde(default)]
    pub asked_flows: usize,
    /// What is wrong, in sentences; empty when all is well.
    pub problems: Vec<String>,
}

/// What a rule did since the worker started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHits {
    /// The list that it stands in.
    pub layer: Layer,
    /// The app whose list that is; `None` for the one for all.
    pub app: Option<Arc<str>>,
    /// The rule.
    pub rule: Arc<str>,
    /// Connections that it decided.
    pub connections: u64,
    /// When it decided the last one.
    pub last: SystemTime,
}

/// What the `datapath` controller is told and asked.
#[derive(Debug)]
pub enum Message {
    /// From `policy`, after it published: make this generation the one whose
    /// verdicts stand, and re-judge what is live. Idempotent.
    PolicyPublished {
        /// The new generation.
        generation: PolicyGeneration,
    },
    /// From `prompt`: the user's answers changed, so what waits for one is asked about again. May be
    /// lost: whoever has connections that wait looks now and then.
    AnswersChanged,
    /// From `api`: wait until this generation is in force for live flows too. Asking again is safe.
    AwaitPolicy {
        /// The generation awaited.
        generation: PolicyGeneration,
        /// Answered when it is in force, or with what went wrong.
        reply: Reply<Result<(), String>>,
    },
    /// From the queue threads: flows decided of late. Telemetry: may be lost.
    Decided(Vec<Connection>),
    /// From `process`: these connections' sockets closed. Whoever takes their
    /// ends next may be another program, so no verdict of theirs stands any more. May be lost.
    SocketsClosed(Vec<Flow>),
    /// From itself, a moment later: verdicts that were under way then.
    SocketsClosedAgain(Vec<Flow>),
    /// From the queue threads: a packet came back that carried our re-entry
    /// flag, so the rules in the kernel are not ours. It was dropped.
    RulesSuspect,
    /// From `api`. Asking again is safe.
    Connections {
        /// Decided flows, newest first, at most 10,000.
        reply: Reply<Vec<Connection>>,
    },
    /// From `api`: what changed since then, so that a list need not be told
    /// again and again. Asking again is safe.
    Changes {
        /// Up to where it was told.
        since: Cursor,
        /// Changes, at most 1,000.
        reply: Reply<ConnectionChanges>,
    },
    /// From `api`: what rules did. Asking again is safe.
    RuleHits {
        /// Those that decided anything, in no order.
        reply: Reply<Vec<RuleHits>>,
    },
    /// From `api`. Asking again is safe.
    Status {
        /// How it stands.
        reply: Reply<DatapathStatus>,
    },
}

/// What the thread on the queue of new packets is told.
#[derive(Debug)]
pub enum NewQueueMessage {
    /// The answer of `verdict`, by the token of the parked flow.
    Answer {
        /// Which parked flow.
        token: u64,
        /// The answer, or what became of the question.
        answer: Result<Answer, AskError>,
    },
    /// From the controller: forget what was decided of these flows.
    Forget(Vec<Flow>),
    /// From the controller: the user's answers changed. It wakes the thread, which looks for itself.
    AnswersChanged,
}

/// What the thread on the queue of later packets is told.
#[derive(Debug)]
pub enum RestQueueMessage {
    /// From the other thread: a flow whose verdict does not leave the queue.
    Learn {
        /// The flow.
        flow: Flow,
        /// Its verdict.
        judgement: Judgement,
        /// Whose it is, where that was known.
        process: Option<ProcessKey>,
    },
    /// From the controller: forget what was decided of these flows.
    Forget(Vec<Flow>),
}

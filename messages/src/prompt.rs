//! The conversation with `prompt`: what the user is asked, and what the answers cover.

mod answers;
mod extent;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_runtime::Reply;
use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Flow, Protocol};
use crate::policy::{AddedRule, AppMatch, PolicyRefusal};
use crate::process::{App, Attribution, ProcessKey};
use crate::rule::{registered_zone, written_name};

pub use self::answers::{Answers, Covers, Given, Uses};
pub use self::extent::{Extent, covered};

/// Names a prompt, and later the answer to it. Counts up, over restarts, too.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PromptId(pub u64);

/// Whose connection it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The app.
    pub app: App,
    /// The file that the process runs, as rules name it; empty where there is none.
    pub path: Arc<str>,
    /// The process, whatever program it was before; `None` where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<ProcessKey>,
}

/// Where a connection leads, or comes from: what one prompt is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Its protocol; that of the first connection, where there were several.
    pub protocol: Protocol,
    /// The address at the other end.
    pub address: IpAddr,
    /// The port that is called, where the protocol has ports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// The name that was called, where it is known, as [`crate::rule::is_domain_name`] wants it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<Arc<str>>,
}

/// A connection that the policy has the user asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose it is.
    pub asker: Asker,
    /// The connection.
    pub flow: Flow,
    /// The name that was called, where it is known, as [`Target::name`].
    pub name: Option<Arc<str>>,
}

/// What became of a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user is asked.
    Waits {
        /// Version of the answers that were known.
        answers: u64,
        /// How long the connection may wait.
        at_most: Duration,
    },
    /// The user has answered.
    Answered(Choice),
    /// As many connections of the app wait as may.
    Full,
}

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// It passes.
    Allow,
    /// It is denied.
    Block,
}

/// How long an answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// For what waits now; where nothing does, for the next connection within a minute.
    Once,
    /// For so many seconds.
    Seconds(u64),
    /// As long as the process runs.
    UntilAppEnds,
    /// For good: it becomes a rule of the policy.
    Always,
}

/// `POST /v1/prompts/answer`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerPrompt {
    /// The prompt.
    pub id: PromptId,
    /// What the user chose.
    pub choice: Choice,
    /// What it is about.
    pub extent: Extent,
    /// How long it counts.
    pub lasting: Lasting,
}

/// `POST /v1/prompts/dismiss`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DismissPrompt {
    /// A prompt, or the answer to one.
    pub id: PromptId,
}

/// A prompt, as told to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Names it.
    pub id: PromptId,
    /// Whose connections; of several processes, the first.
    pub asker: Asker,
    /// Who opened them, seen from this machine.
    pub direction: Direction,
    /// Whether it is about the whole app, which had too many of them.
    pub whole_app: bool,
    /// Where they lead: the first few.
    pub targets: Vec<Target>,
    /// How many targets more there were.
    pub more_targets: u32,
    /// How it stands.
    pub state: PromptState,
    /// Connections that wait for the answer now.
    pub waiting: usize,
    /// When it was opened.
    pub opened: SystemTime,
}

/// How a prompt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum PromptState {
    /// Connections wait, until then at most.
    Waits {
        /// When the last of them is denied.
        until: SystemTime,
    },
    /// Nobody answered in time.
    Missed {
        /// When that was.
        since: SystemTime,
    },
}

/// `GET /v1/prompts`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// Those that wait first, each kind by age.
    pub prompts: Vec<Prompt>,
    /// Answers that count for now.
    pub answers: Vec<Given>,
}

/// The answer to [`AnswerPrompt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Connections that waited for it.
    pub waited: usize,
    /// The rule that it became, if it is for good.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<AddedRule>,
}

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such prompt.
    Unknown(PromptId),
    /// The prompt can't be answered like that.
    Invalid(String),
    /// It could not be stored, or not become a rule.
    Failed(String),
}

/// What `prompt` is asked.
#[derive(Debug)]
pub enum Message {
    /// From `verdict`: have the user asked about a connection. Asking again joins what waits.
    Ask {
        /// The connection.
        question: Question,
        /// Whether it waits.
        reply: Reply<Outcome>,
    },
    /// From `api`. Asking again is safe.
    List {
        /// What waits, what was missed, and what was answered.
        reply: Reply<Prompts>,
    },
    /// From `api`: the user's answer. Durable before it is acknowledged. Asking again is refused as unknown.
    Answer {
        /// The answer.
        answer: AnswerPrompt,
        /// What it did, or why it was not taken.
        reply: Reply<Result<Taken, Refusal>>,
    },
    /// From `api`: the prompt goes, and what waits for it is denied; or the answer goes. Durable
    /// before it is acknowledged. Asking again is refused as unknown.
    Dismiss {
        /// Which one.
        id: PromptId,
        /// Done, or why not.
        reply: Reply<Result<(), Refusal>>,
    },
    /// From itself: store what changed, then acknowledge it.
    Store,
    /// From itself: prompts or answers may be over.
    TimePassed,
    /// From itself: what `policy` said of an answer that is for good.
    RuleAdded {
        /// The answer.
        answer: AnswerPrompt,
        /// What became of it.
        added: Result<AddedRule, PolicyRefusal>,
        /// Who waits for that.
        reply: Reply<Result<Taken, Refusal>>,
    },
}

impl Asker {
    /// Whose a connection is, as `process` said it.
    pub fn of(attribution: &Attribution) -> Self {
        let process = attribution.process.as_ref();
        Self {
            app: attribution.app(),
            path: process.map_or_else(|| Arc::from(""), |process| Arc::clone(&process.path)),
            process: process.map(|process| ProcessKey { exec_id: None, ..process.key }),
        }
    }

    /// What names the app in a rule; `None` where only a pattern would.
    pub fn in_rules(&self) -> Option<AppMatch> {
        AppMatch::of_app(&self.app, &self.path)
    }
}

impl Question {
    /// The other end of the connection.
    pub fn target(&self) -> Target {
        Target {
            protocol: self.flow.protocol,
            address: self.flow.remote().to_canonical(),
            port: self.flow.destination_port(),
            name: self.name.clone(),
        }
    }
}

impl Target {
    /// The zone that an answer may be about: what somebody has registered, with all names below it.
    pub fn zone(&self) -> Option<&str> {
        registered_zone(self.name.as_deref()?)
    }

    /// Whether a prompt about the one is about the other: by its name where it is known, else by its address.
    pub fn shares_prompt(&self, other: &Self) -> bool {
        let is_same_place = match (&self.name, &other.name) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.address == other.address,
            _ => false,
        };
        is_same_place && self.port == other.port
    }
}

impl Prompt {
    /// What an answer of that extent covers; or why there can be none.
    pub fn covered(&self, extent: Extent) -> Result<Covers, String> {
        covered(extent, self.whole_app, &self.targets)
    }

    /// What its answer may be about, the least first.
    pub fn extents(&self) -> Vec<Extent> {
        Extent::ALL.into_iter().filter(|extent| self.covered(*extent).is_ok()).collect()
    }

    /// What its answer is about where nobody says: as little as it can be, so long as that is all that waits.
    pub fn usual_extent(&self) -> Extent {
        let is_named = self.targets.first().is_some_and(|target| target.name.is_some());
        match (self.whole_app, is_named) {
            (true, _) => Extent::App,
            (false, true) => Extent::Domain,
            (false, false) => Extent::AddressPort,
        }
    }
}

impl Choice {
    /// The choice as shown to people and used in JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }
}

/// `9.9.9.9:443 TCP`, `www.example.com 9.9.9.9:443 TCP`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} ", written_name(name))?;
        }
        match self.port {
            Some(port) => write!(f, "{} {}", SocketAddr::new(self.address, port), self.protocol),
            None => write!(f, "{} {}", self.address, self.protocol),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "there is no prompt {}", id.0),
            Self::Invalid(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

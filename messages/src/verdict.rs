//! The conversation with `verdict`: what becomes of a connection, and why.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_runtime::Reply;
use serde::{Deserialize, Serialize};

use crate::explain::{Explanation, Whom};
use crate::flow::Flow;
use crate::policy::PolicyGeneration;
use crate::process::Owner;

/// What happens to the packets of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// They pass.
    Allow,
    /// They are answered with a TCP reset or an ICMP error: what an outbound denial looks like.
    Reject,
    /// They vanish: what an inbound denial looks like.
    Drop,
}

impl Action {
    /// The action as shown to people and used in JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Reject => "reject",
            Self::Drop => "drop",
        }
    }
}

/// How long a verdict stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifetime {
    /// For this packet alone: nothing is remembered, for the next one of the
    /// same addresses and ports may be another program's.
    Once,
    /// Every packet is shown to the datapath; the flow never leaves the queue.
    Packet,
    /// For the rest of the flow, or until the policy changes.
    Flow,
}

/// Which step of the decision spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Traffic that no policy may cut: DHCP, multicast listener reports and the like.
    AlwaysPasses,
    /// A connection that was established when Seawall first started.
    AdoptedSession,
    /// Everything passes for a while.
    Paused,
    /// `block_inbound`.
    BlockInbound,
    /// `block_internet`.
    BlockInternet,
    /// `block_lan`.
    BlockLan,
    /// `block_local`.
    BlockLocal,
    /// A line of `outgoing_rules`.
    OutgoingRule,
    /// A line of `incoming_rules`.
    IncomingRule,
    /// An address that nobody may talk to.
    InvalidAddress,
    /// Loopback, where nothing forbids it.
    Loopback,
    /// A service that was listening when Seawall first started.
    AdoptedListener,
    /// A profile that comes with Seawall.
    BuiltIn,
    /// `default_action`.
    DefaultAction,
    /// An answer of the user.
    Answered,
    /// The user was asked, and gave no answer in time.
    NobodyAnswered,
    /// The user would be asked, but it was open before.
    OpenBefore,
    /// No answer came within the parked deadline.
    Unanswered,
    /// Its judgement crashed a component twice.
    Quarantine,
    /// A bound was reached: too many packets or flows wait.
    Overload,
    /// Held by a worker that crashed, and not to be trusted.
    Poison,
    /// Decided by an earlier worker; the reason went with it.
    Inherited,
}

impl Layer {
    /// The layer as used in JSON and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysPasses => "always_passes",
            Self::AdoptedSession => "adopted_session",
            Self::Paused => "paused",
            Self::BlockInbound => "block_inbound",
            Self::BlockInternet => "block_internet",
            Self::BlockLan => "block_lan",
            Self::BlockLocal => "block_local",
            Self::OutgoingRule => "outgoing_rule",
            Self::IncomingRule => "incoming_rule",
            Self::InvalidAddress => "invalid_address",
            Self::Loopback => "loopback",
            Self::AdoptedListener => "adopted_listener",
            Self::BuiltIn => "built_in_profile",
            Self::DefaultAction => "default_action",
            Self::Answered => "answered",
            Self::NobodyAnswered => "nobody_answered",
            Self::OpenBefore => "open_before",
            Self::Unanswered => "unanswered",
            Self::Quarantine => "quarantine",
            Self::Overload => "overload",
            Self::Poison => "poison",
            Self::Inherited => "inherited",
        }
    }
}

/// Of whom something is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Of the connection's owner, or of all.
    #[default]
    Own,
    /// Of a program that started it.
    Parent,
}

impl Whose {
    /// Whether it is said of the owner itself.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// Why a flow got its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The step that decided.
    pub layer: Layer,
    /// The rule that matched, in canonical form, and its position in its list, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<(u32, Arc<str>)>,
    /// The `[[app]]` whose settings decided; `None` where those for all did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<Arc<str>>,
    /// Whether that is said of the connection's owner.
    #[serde(skip_serializing_if = "Whose::is_own", default)]
    pub whose: Whose,
    /// The `[[network]]` whose settings decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub network: Option<Arc<str>>,
    /// A sentence for people.
    pub text: Cow<'static, str>,
}

impl Reason {
    /// A reason that names no rule.
    pub const fn plain(layer: Layer, text: &'static str) -> Self {
        let text = Cow::Borrowed(text);
        Self { layer, rule: None, app: None, whose: Whose::Own, network: None, text }
    }
}

/// The sentence, with the rule and the app that it names.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some((position, rule)) = &self.rule {
            write!(f, " (rule {position}: {rule})")?;
        }
        if let Some(app) = &self.app {
            write!(f, ", for {app}")?;
            if self.whose == Whose::Parent {
                f.write_str(", which started it")?;
            }
        }
        match &self.network {
            Some(network) => write!(f, ", in the network {network}"),
            None => Ok(()),
        }
    }
}

/// Which other connections a judgement speaks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// None.
    #[default]
    Flow,
    /// All of the same process that differ in nothing but the caller's port, under the same policy.
    Process,
    /// All that differ in nothing but the caller's port and in whose they are, under the same policy.
    Service,
}

/// How far a judgement speaks for connections to other places, of whomever
/// [`Reach`] says. All but [`Self::Service`] are for what passes, outbound, between different addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Breadth {
    /// For this address and port alone.
    #[default]
    Service,
    /// For this port of every address that has the same [`Scope`](crate::Scope).
    Port,
    /// For every address that has the same [`Scope`](crate::Scope), whatever the port.
    Scope,
}

/// The answer to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What happens to its packets.
    pub action: Action,
    /// For how long.
    pub lifetime: Lifetime,
    /// Why.
    pub reason: Reason,
    /// The policy that it was made under.
    pub generation: PolicyGeneration,
    /// Whose other connections it speaks for.
    pub reach: Reach,
    /// And for those to where.
    #[serde(default)]
    pub breadth: Breadth,
}

/// What `verdict` says of a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What becomes of it.
    Judged(Judgement),
    /// Nothing yet: the user is asked.
    Waits(Waiting),
}

/// A connection waits for the user. It is asked about again when the user's
/// answers or the policy change, and denied when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The policy that has the user asked.
    pub generation: PolicyGeneration,
    /// The answers that were known: [`Answers::version`](crate::prompt::Answers::version).
    pub answers: u64,
    /// How long it may wait.
    pub at_most: Duration,
}

/// A connection that wants a verdict.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its addresses, protocol and direction.
    pub flow: Flow,
    /// User id of the local socket, where the kernel told it.
    pub uid: Option<u32>,
    /// Whose it is, where the kernel noted that.
    pub owner: Option<Owner>,
    /// Whether packets of it passed before: it is not asked about any more.
    pub is_open: bool,
    /// The number of the interface that leads to the other end, where it is known.
    pub interface: Option<u32>,
}

/// What `verdict` is asked.
#[derive(Debug)]
pub enum Message {
    /// From the datapath, once per new connection. Asking again is safe: nothing changes.
    Judge {
        /// The connection.
        request: Request,
        /// The verdict and its reason, or that the user is asked.
        reply: Reply<Answer>,
    },
    /// From the datapath after a policy change: all live flows at once, at
    /// most [`MAX_BATCH`]. The user is asked of none. Answers in the same order. Asking again is safe.
    JudgeAll {
        /// The connections.
        requests: Vec<Request>,
        /// A verdict for each.
        reply: Reply<Vec<Judgement>>,
    },
    /// From `api`, for people: what would become of this connection, and why.
    /// Counts for nothing. Asking again is safe.
    Explain {
        /// The connection.
        flow: Flow,
        /// Whose it would be.
        whom: Whom,
        /// The number of the interface that leads there, where one does.
        interface: Option<u32>,
        /// Each step, or why nobody can say.
        reply: Reply<Result<Explanation, String>>,
    },
}

/// Flows in one [`Message::JudgeAll`]: decided in well under a handling deadline.
pub const MAX_BATCH: usize = 1024;

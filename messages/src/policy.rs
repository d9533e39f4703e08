//! What the user wants: settings and rules, as `policy` publishes them.

mod fingerprint;
mod new_rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seawall_runtime::Reply;
use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Flow, Protocol};
use crate::process::Attribution;
use crate::rule::{Data, Permission, Rule, Rules};

pub use self::fingerprint::{Fingerprint, Pattern};
pub use self::new_rule::{
    AddedRule, AppMatch, ChangeRule, ChangedRule, NewRule, RuleChange, RuleList, RulePlace,
    RuleRefusal,
};

/// Counts published policies, from 1. A verdict made under an older one gets no permanence.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PolicyGeneration(pub u64);

/// How long a connection waits for the user's answer if nobody says otherwise.
pub const DEFAULT_ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// What becomes of a connection that nothing else decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// It passes.
    Permit,
    /// It is denied.
    Block,
    /// The user is asked.
    Ask,
}

/// What traffic does while Seawall is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// New connections pass.
    #[default]
    Open,
    /// New connections are dropped.
    Lockdown,
}

/// An address and port that answered before Seawall first started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Names it for `seawall adopted remove`.
    pub id: u32,
    /// What was found.
    pub what: AdoptedEntry,
}

/// What was found on the machine at the first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AdoptedEntry {
    /// A socket that waited for others.
    Listener {
        /// TCP, UDP and the like.
        protocol: Protocol,
        /// The address it listened on; unspecified for all addresses of its
        /// family. A socket that took both families is two entries.
        address: IpAddr,
        /// Its port.
        port: u16,
    },
    /// An established connection.
    Session {
        /// The connection.
        flow: Flow,
    },
}

impl AdoptedEntry {
    /// Whether the entry speaks for this flow.
    pub fn covers(&self, flow: &Flow) -> bool {
        match self {
            Self::Session { flow: own } => own == flow,
            Self::Listener { protocol, address, port } => {
                flow.direction == Direction::Inbound
                    && flow.protocol == *protocol
                    && flow.destination_port() == Some(*port)
                    && (*address == flow.responder
                        || (address.is_unspecified()
                            && address.is_ipv4() == flow.responder.is_ipv4()))
            }
        }
    }
}

/// What is permitted: the keys of `[filter]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What undecided connections get.
    pub default_action: DefaultAction,
    /// Deny every inbound connection.
    pub block_inbound: bool,
    /// Deny the LAN, both ways.
    pub block_lan: bool,
    /// Deny the Internet, both ways.
    pub block_internet: bool,
    /// Deny connections of this machine with itself.
    pub block_local: bool,
    /// Rules for outbound and forwarded connections, first match decides.
    pub outgoing_rules: Rules,
    /// Rules for inbound connections, first match decides.
    pub incoming_rules: Rules,
}

/// What is permitted to one app: the same keys. Switches that are `None` are
/// as in [`Filter`]; the app's rules are looked at before those for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppFilter {
    /// What undecided connections get.
    pub default_action: Option<DefaultAction>,
    /// Deny every inbound connection.
    pub block_inbound: Option<bool>,
    /// Deny the LAN, both ways.
    pub block_lan: Option<bool>,
    /// Deny the Internet, both ways.
    pub block_internet: Option<bool>,
    /// Deny connections of this machine with itself.
    pub block_local: Option<bool>,
    /// Rules for outbound and forwarded connections, first match decides.
    pub outgoing_rules: Rules,
    /// Rules for inbound connections, first match decides.
    pub incoming_rules: Rules,
}

/// `[[app]]`: what is permitted to the processes that a fingerprint fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPolicy {
    /// What it is called in reasons: its `name`, or else its fingerprint.
    pub name: Arc<str>,
    /// Whom it is about.
    pub fingerprint: Fingerprint,
    /// What is permitted.
    pub filter: AppFilter,
}

/// The policy in force: immutable, shared by pointer, replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which publication this is.
    pub generation: PolicyGeneration,
    /// What is permitted.
    pub filter: Filter,
    /// What is permitted to single apps; the first that fits counts.
    pub apps: Vec<AppPolicy>,
    /// Whether a decided flow leaves the queue.
    pub permanent_verdicts: bool,
    /// What traffic does while Seawall is absent.
    pub mode: Mode,
    /// What was there before the first start.
    pub adopted: Vec<Adopted>,
    /// Whether everything passes for now.
    pub paused: bool,
    /// How long a connection waits for the user's answer.
    pub ask_timeout: Duration,
}

impl Filter {
    /// Everything passes.
    pub fn permit_all() -> Self {
        Self {
            default_action: DefaultAction::Permit,
            block_inbound: false,
            block_lan: false,
            block_internet: false,
            block_local: false,
            outgoing_rules: Rules::default(),
            incoming_rules: Rules::default(),
        }
    }
}

/// The lists of rules for all, then those of apps.
pub fn lists<'a>(
    for_all: [&'a Rules; 2],
    apps: &'a [AppPolicy],
) -> impl Iterator<Item = &'a Rules> {
    let of_app = |app: &'a AppPolicy| [&app.filter.outgoing_rules, &app.filter.incoming_rules];
    for_all.into_iter().chain(apps.iter().flat_map(of_app))
}

impl Snapshot {
    /// What readers hold before the first policy is published, as generation 0:
    /// everything is denied. No packet should meet it, because `policy` starts
    /// before any queue is read.
    pub fn unloaded() -> Self {
        Self {
            generation: PolicyGeneration(0),
            filter: Filter { default_action: DefaultAction::Block, ..Filter::permit_all() },
            apps: Vec::new(),
            permanent_verdicts: false,
            mode: Mode::Open,
            adopted: Vec::new(),
            paused: false,
            ask_timeout: DEFAULT_ASK_TIMEOUT,
        }
    }

    /// Whether loopback packets need a verdict: only when something forbids some of them.
    pub fn judges_loopback(&self) -> bool {
        let forbids =
            |rule: &Rule| rule.permission != Permission::Permit && rule.entity.names_loopback();
        self.filter.block_local
            || self.apps.iter().any(|app| app.filter.block_local == Some(true))
            || self.lists().flatten().any(forbids)
    }

    /// All its lists of rules.
    pub fn lists(&self) -> impl Iterator<Item = &Rules> {
        lists([&self.filter.outgoing_rules, &self.filter.incoming_rules], &self.apps)
    }

    /// Whether a verdict may depend on whose connection it is: where there are
    /// apps, and where the user is asked.
    pub fn asks_for_apps(&self) -> bool {
        !self.apps.is_empty() || self.asks_user()
    }

    /// Whether the user may be asked about a connection.
    pub fn asks_user(&self) -> bool {
        let own = |app: &AppPolicy| app.filter.default_action == Some(DefaultAction::Ask);
        self.filter.default_action == DefaultAction::Ask
            || self.apps.iter().any(own)
            || self.lists().any(Rules::asks)
    }

    /// The first app that a connection's owner fits. A connection that nobody
    /// knows the owner of has only the app whose fingerprint says so and no more.
    pub fn app_of(&self, attribution: &Attribution) -> Option<&AppPolicy> {
        self.apps.get(self.app_position(attribution)?)
    }

    /// Where in [`Self::apps`] the app of [`Self::app_of`] is: for who remembers it.
    pub fn app_position(&self, attribution: &Attribution) -> Option<usize> {
        self.apps.iter().position(|app| match &attribution.process {
            Some(process) => app.fingerprint.fits(process),
            None => app.fingerprint.means_unidentified(),
        })
    }
}

/// Where the policy in force came from, for `seawall status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Generation in force.
    pub generation: PolicyGeneration,
    /// The file it is read from.
    pub file: PathBuf,
    /// Whether the file itself is in force, or the last good copy of it.
    pub source: PolicySource,
    /// Why the file as it is now was refused, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// Settings that the file has changed and that only a restart of Seawall
    /// brings into force, by name: `service.queue_base`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub restart_needed: Vec<String>,
    /// Rules that decide nothing yet; the first [`Self::MOST_IDLE_RULES`] of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub idle_rules: Vec<IdleRule>,
    /// Seconds of a pause that are left, while there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused_s: Option<u64>,
}

impl PolicyStatus {
    /// Most rules in [`Self::idle_rules`].
    pub const MOST_IDLE_RULES: usize = 100;
}

/// A rule that decides nothing, because it needs what isn't there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleRule {
    /// The rule.
    pub rule: Arc<str>,
    /// What it needs.
    pub lacks: Data,
}

impl IdleRule {
    /// Those of some lists.
    pub fn of<'a>(lists: impl Iterator<Item = &'a Rules>) -> Vec<Self> {
        let idle = |rule: &Rule| {
            rule.entity.lacks().map(|lacks| Self { rule: Arc::clone(&rule.text), lacks })
        };
        lists.flatten().filter_map(idle).collect()
    }
}

impl std::fmt::Display for IdleRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` decides nothing: it needs {}", self.rule, self.lacks.missing())
    }
}

/// Which text the policy in force was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicySource {
    /// The file.
    File,
    /// There is no file: safe defaults.
    Defaults,
    /// The last good copy in the state folder, because the file is bad.
    LastGood,
}

/// What `policy` is asked.
#[derive(Debug)]
pub enum Message {
    /// From `api`: read the file again now. The answer comes after the new
    /// policy is published; an error says file, line and reason, and the old
    /// policy stays. Asking again is safe.
    Reload {
        /// Status after the reload, or why it was refused.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `api`. Asking again is safe.
    Status {
        /// Where the policy in force came from.
        reply: Reply<PolicyStatus>,
    },
    /// From `api`: forget an adopted entry. Durable before it is answered.
    /// Asking again answers `false`.
    RemoveAdopted {
        /// Which one.
        id: u32,
        /// Whether there was one, or why it could not be stored.
        reply: Reply<Result<bool, String>>,
    },
    /// From `api`: write a rule into the file and publish what it says then. An error
    /// leaves file and policy as they were. Asking again is safe: a rule that is there already stays once.
    AddRule {
        /// The rule and its place.
        rule: NewRule,
        /// Where it is now, or why it is not.
        reply: Reply<Result<(AddedRule, PolicyStatus), RuleRefusal>>,
    },
    /// From `api`: take a rule out of the file, or switch it, and publish what it says then. An
    /// error leaves file and policy as they were. Asking again is safe: what is gone is not found.
    ChangeRule {
        /// The rule, and what shall become of it.
        asked: ChangeRule,
        /// What became of it, or why nothing did.
        reply: Reply<Result<(ChangedRule, PolicyStatus), RuleRefusal>>,
    },
    /// From `api`: let everything pass for so long, in place of a pause that there may be.
    /// Durable before it is answered. Asking again begins it again.
    Pause {
        /// How long; longer ones end after a day.
        length: Duration,
        /// Status of what is in force then, or why it could not be stored.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `api`: end the pause, if there is one. Durable before it is answered. Asking again is safe.
    Resume {
        /// Status of what is in force then, or why it could not be stored.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `prompt`: publish what is in force as a new generation, for the user's answers
    /// decide connections, too, and live ones are to follow them. Asking again does it again.
    Renew {
        /// The new generation.
        reply: Reply<PolicyGeneration>,
    },
    /// From its own file watcher.
    FileChanged,
    /// From its own alarm: rules may have begun or ceased to count, or a pause is over.
    TimePassed,
}

/// The snapshot as readers hold it.
pub type SharedSnapshot = Arc<Snapshot>;

//! What the user wants: settings and rules, as `policy` publishes them.

mod apps;
mod built_in;
mod fingerprint;
mod kept_network;
mod message;
mod new_rule;
mod profile;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Flow, Protocol};
use crate::network::NamedNetwork;
use crate::rule::{Data, Permission, Rule, Rules};

pub use self::apps::{AppLayers, AppPlace, Profiles};
pub use self::built_in::BuiltIns;
pub use self::fingerprint::{Fingerprint, Pattern};
pub use self::kept_network::{KeptNetwork, NetworkChange};
pub use self::message::Message;
pub use self::new_rule::{
    AddedRule, AppMatch, ChangeRule, ChangedRule, NewRule, PolicyRefusal, RuleChange, RuleList,
    RulePlace,
};
pub use self::profile::{
    Difference, Import, NewProfile, Profile, ProfileChange, SeenApp, SettingStatus, SettingsChange,
    SettingsStatus,
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

impl DefaultAction {
    /// The action as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Block => "block",
            Self::Ask => "ask",
        }
    }

    /// The action that is written so.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Permit, Self::Block, Self::Ask].into_iter().find(|action| action.as_str() == word)
    }
}

impl Mode {
    /// The mode as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Lockdown => "lockdown",
        }
    }
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
    /// Whether what isn't said here is as it is said of the program that started the app.
    pub use_parent: Option<bool>,
}

impl AppFilter {
    /// Whether it says something of connections.
    pub fn says_something(&self) -> bool {
        Self { use_parent: None, ..self.clone() } != Self::default()
    }
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
    /// What the file permits to single apps; the first that fits counts.
    pub apps: Vec<AppPolicy>,
    /// What the store permits to single apps.
    pub profiles: Profiles,
    /// What Seawall itself permits to a machine's own plumbing, where nothing else decides.
    pub built_in: BuiltIns,
    /// How many of the rules for all are the file's; the others are the store's.
    pub managed: ManagedRules,
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
    /// The networks that have names; the settings of the first that the machine is in count.
    pub networks: Vec<NamedNetwork>,
}

/// How many rules for all, from the first on, stand in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagedRules {
    /// Of `outgoing_rules`.
    pub outgoing: usize,
    /// Of `incoming_rules`.
    pub incoming: usize,
    /// And how many of the networks.
    pub networks: usize,
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
    apps: impl Iterator<Item = &'a AppPolicy>,
) -> impl Iterator<Item = &'a Rules> {
    let of_app = |app: &'a AppPolicy| [&app.filter.outgoing_rules, &app.filter.incoming_rules];
    for_all.into_iter().chain(apps.flat_map(of_app))
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
            profiles: Profiles::default(),
            built_in: BuiltIns::default(),
            managed: ManagedRules::default(),
            permanent_verdicts: false,
            mode: Mode::Open,
            adopted: Vec::new(),
            paused: false,
            ask_timeout: DEFAULT_ASK_TIMEOUT,
            networks: Vec::new(),
        }
    }

    /// Whether loopback packets need a verdict: only when something forbids some of them.
    pub fn judges_loopback(&self) -> bool {
        let forbids =
            |rule: &Rule| rule.permission != Permission::Permit && rule.entity.names_loopback();
        self.filter.block_local
            || self.all_apps().any(|app| app.filter.block_local == Some(true))
            || self.network().is_some_and(|network| network.filter.block_local == Some(true))
            || self.lists().flatten().any(forbids)
    }

    /// All its lists of rules.
    pub fn lists(&self) -> impl Iterator<Item = &Rules> {
        lists([&self.filter.outgoing_rules, &self.filter.incoming_rules], self.all_apps())
    }

    /// Whether a verdict may depend on whose connection it is: where there are
    /// apps, and where the user is asked.
    pub fn asks_for_apps(&self) -> bool {
        self.speaks_of_apps() || self.looks_at_users() || self.built_in_counts()
    }

    /// The same of the verdict on one connection.
    pub fn asks_for_app_of(&self, flow: &Flow) -> bool {
        self.speaks_of_apps() || self.looks_at_users() || self.built_in_may_permit(flow)
    }

    fn looks_at_users(&self) -> bool {
        self.lists().any(Rules::looks_at_users)
    }

    /// Whether something is said of single apps, or the user is asked about them.
    pub fn speaks_of_apps(&self) -> bool {
        !self.apps.is_empty() || !self.profiles.is_empty() || self.asks_user()
    }

    /// Whether it may matter which programs started an app.
    pub fn asks_for_parents(&self) -> bool {
        self.all_apps().any(|app| app.filter.use_parent == Some(true))
    }

    /// Whether the user may be asked about a connection.
    pub fn asks_user(&self) -> bool {
        let asks = |filter: &AppFilter| filter.default_action == Some(DefaultAction::Ask);
        self.filter.default_action == DefaultAction::Ask
            || self.network().is_some_and(|network| asks(&network.filter))
            || self.all_apps().any(|app| asks(&app.filter))
            || self.lists().any(Rules::asks)
    }

    /// Whether a verdict may depend on the interface.
    pub fn looks_at_interfaces(&self) -> bool {
        self.lists().any(Rules::looks_at_interfaces)
    }

    /// The named network whose settings count: the first that the machine is in.
    pub fn network(&self) -> Option<&NamedNetwork> {
        self.networks.iter().find(|network| network.is_here)
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
    /// What the store says and doesn't count, and why; the first [`Self::MOST_IDLE_RULES`] of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unused_settings: Vec<String>,
    /// Seconds of a pause that are left, while there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused_s: Option<u64>,
    /// Why changes can't be stored, while they can't.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_problem: Option<String>,
}

impl PolicyStatus {
    /// Most rules in [`Self::idle_rules`], and most settings in [`Self::unused_settings`].
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
        let idle =
            |rule: &Rule| rule.lacks().map(|lacks| Self { rule: Arc::clone(&rule.text), lacks });
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

/// The snapshot as readers hold it.
pub type SharedSnapshot = Arc<Snapshot>;

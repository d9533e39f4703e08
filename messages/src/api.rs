//! What the command and the API say to each other: JSON bodies, stable field names.

use std::sync::Arc;
use std::time::SystemTime;

use seawall_runtime::ComponentStatus;
use serde::{Deserialize, Serialize};

use crate::datapath::{Connection, ConnectionChanges, DatapathStatus};
use crate::policy::{
    AddedRule, Adopted, ChangedRule, Difference, KeptNetwork, Mode, PolicyGeneration, PolicyStatus,
    Profile, RuleList,
};
use crate::process::{AppUse, HookStatus, Moves};
use crate::setting::Origin;

/// Name of the API's Unix socket in the run folder.
pub const SOCKET_FILE: &str = "api.sock";

/// Name of the file in the run folder where the keeper says how it stands.
pub const KEEPER_FILE: &str = "keeper.json";

/// What the keeper says of itself in [`KEEPER_FILE`]: for `seawall status`
/// while no worker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperState {
    /// Process id of the keeper.
    pub keeper_pid: u32,
    /// Why packets are not judged right now, if they are not.
    pub not_protecting: Option<String>,
}

/// The first word of `seawall status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Protection {
    /// Policy is loaded and packets are judged. Exit code 0.
    Protected,
    /// Packets are judged, but something needs attention. Exit code 3.
    Degraded,
    /// Packets are not judged. Exit code 4.
    NotProtected,
}

/// The answer to `POST /v1/rules/change`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChanged {
    /// What became of the rule.
    pub changed: ChangedRule,
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// `POST /v1/pause`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginPause {
    /// How long everything shall pass, in seconds.
    pub seconds: u64,
}

/// The answer to `POST` and `DELETE /v1/pause`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// `GET /v1/rules`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesInForce {
    /// The policy that they are of.
    pub generation: PolicyGeneration,
    /// Those of apps first, each list in order.
    pub rules: Vec<RuleInForce>,
}

/// A rule of the policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInForce {
    /// Whose rule; `None`: everybody's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app: Option<Arc<str>>,
    /// Which list.
    pub list: RuleList,
    /// Position in the list, from 1.
    pub position: u32,
    /// Whether it stands in the policy file, or in the store.
    pub origin: Origin,
    /// The rule.
    pub rule: Arc<str>,
    /// Why it decides nothing now, if so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub idle: Option<String>,
    /// Connections that it decided since the worker started.
    pub connections: u64,
    /// When it decided the last of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<SystemTime>,
}

/// `GET /v1/status`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// In a word.
    pub protection: Protection,
    /// Why it is not `PROTECTED`, in sentences.
    pub reasons: Vec<String>,
    /// Version of the running worker.
    pub version: String,
    /// Process id of the keeper.
    pub keeper_pid: u32,
    /// Process id of the worker.
    pub worker_pid: u32,
    /// Seconds since this worker started.
    pub uptime_s: u64,
    /// Workers that crashed since the keeper started.
    pub worker_crashes: u32,
    /// How often someone else's change to our rules had to be undone.
    pub rules_mended: u64,
    /// What traffic does while Seawall is absent.
    pub mode: Mode,
    /// The named networks that the machine is in; `None` where the policy names none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub networks: Option<Vec<Arc<str>>>,
    /// Where the policy came from; `None` while `policy` does not answer.
    pub policy: Option<PolicyStatus>,
    /// Queues and rules; the default while `datapath` does not answer.
    pub datapath: DatapathStatus,
}

/// `GET /v1/components`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Components {
    /// Process id of the keeper.
    pub keeper_pid: u32,
    /// Process id of the worker.
    pub worker_pid: u32,
    /// One for each component of the supervision tree, in the order of the tree.
    pub components: Vec<ComponentStatus>,
}

/// `GET /v1/connections`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Newest first.
    pub connections: Vec<Connection>,
}

/// `GET /v1/changes?feed=&number=&moves=`: the cursor and the number of the
/// answer before, or nothing for all that there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// Of the connections.
    pub list: ConnectionChanges,
    /// Of what they move; `None` while `process` does not answer.
    pub moves: Option<Moves>,
}

/// `GET /v1/apps`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Apps {
    /// Busiest first.
    pub apps: Vec<AppUse>,
    /// How owners are found here.
    pub hooks: Vec<HookStatus>,
}

/// `GET /v1/adopted`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdoptedList {
    /// In the order of their ids.
    pub adopted: Vec<Adopted>,
}

/// `POST /v1/reload` when it went well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// Where the policy in force came from.
    pub policy: PolicyStatus,
}

/// `POST /v1/rules` when it went well: the body is a [`NewRule`](crate::policy::NewRule).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleAdded {
    /// Where it is now.
    pub added: AddedRule,
    /// The policy, in force with it.
    pub policy: PolicyStatus,
}

/// The answer to `POST /v1/settings`: the body is a
/// [`SettingsChange`](crate::policy::SettingsChange).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChanged {
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// `GET /v1/profiles`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileList {
    /// By name.
    pub profiles: Vec<Profile>,
}

/// The answer to `POST /v1/profiles`: the body is a
/// [`ProfileChange`](crate::policy::ProfileChange).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChanged {
    /// The profile as it is, or was.
    pub profile: Profile,
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// The answer to `POST /v1/networks`: the body is a
/// [`NetworkChange`](crate::policy::NetworkChange).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkChanged {
    /// The network as it is, or was.
    pub network: KeptNetwork,
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// `GET /v1/export?app=`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// TOML of the form of the policy file.
    pub text: String,
}

/// The answer to `POST /v1/import`: the body is an [`Import`](crate::policy::Import).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What is changed by it.
    pub difference: Difference,
    /// What is in force now.
    pub policy: PolicyStatus,
}

/// `POST /v1/fault`: only in a build with fault injection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InjectFault {
    /// Name of the component.
    pub component: String,
    /// What happens to it.
    pub fault: seawall_runtime::fault::Fault,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, for people.
    pub error: String,
}

//! "What would become of this connection, and why?": asked by `seawall explain`,
//! answered with the steps that `verdict` takes.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Flow, Protocol};
use crate::process::{App, Process};
use crate::verdict::Judgement;

/// Whose connection is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// A program by its file, as rules name it: `/usr/bin/curl`, `docker:web:/usr/bin/curl`.
    Path(String),
    /// An app by its id: `snap:firefox`.
    App(String),
    /// A process that runs.
    Pid(u32),
    /// Nobody of whom anything is known.
    Nobody,
}

/// `POST /v1/explain`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// Whose connection.
    pub whom: Whom,
    /// Outbound or inbound.
    pub direction: Direction,
    /// IP protocol.
    pub protocol: Protocol,
    /// Address of the other end.
    pub remote: IpAddr,
    /// The port that is called; only and always where the protocol has ports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
}

/// The answer to [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The connection. Port 0 of the caller stands for any.
    pub flow: Flow,
    /// Whose it would be.
    pub app: App,
    /// The process, or one made up from what was said of it; `None` for nobody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub process: Option<Arc<Process>>,
    /// How much is known of it.
    pub known: Known,
    /// The `[[app]]` that it fits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub section: Option<Arc<str>>,
    /// What would become of it, and why.
    pub judgement: Judgement,
    /// Each step of the decision, in order.
    pub steps: Vec<StepTaken>,
    /// What was taken for granted, and what might be if more were known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// How much is known of whom an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// All: it is a process.
    Process,
    /// Its file, and what follows from that.
    File,
    /// The id of its app alone.
    App,
    /// Nothing, and that is the question.
    Nothing,
}

/// Somebody described, for [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The process, or one made up; `None` for nobody.
    pub process: Option<Arc<Process>>,
    /// How much of it is known.
    pub known: Known,
    /// What was taken for granted.
    pub notes: Vec<String>,
}

/// A step of the decision. The first that speaks decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Traffic that no policy may cut.
    AlwaysPasses,
    /// Connections that were established when Seawall first started.
    AdoptedSession,
    /// `block_inbound`.
    BlockInbound,
    /// `block_internet`.
    BlockInternet,
    /// `block_lan`.
    BlockLan,
    /// `block_local`.
    BlockLocal,
    /// The rules of the `[[app]]`.
    AppRules,
    /// The rules of `[filter]`.
    Rules,
    /// Addresses that nobody may talk to.
    InvalidAddress,
    /// Loopback.
    Loopback,
    /// Services that were listening when Seawall first started.
    AdoptedListener,
    /// `default_action`.
    DefaultAction,
}

/// What became of a connection at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It permitted.
    Permits,
    /// It denied.
    Denies,
    /// It said nothing.
    Passes,
    /// An earlier one had decided.
    NotReached,
}

/// A step, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTaken {
    /// Which one.
    pub step: Step,
    /// What became of the connection there.
    pub outcome: StepOutcome,
    /// What it saw, for people; empty where it was not reached.
    pub saw: String,
}

impl Step {
    /// All of them, in the order of the decision.
    pub const ALL: [Self; 12] = [
        Self::AlwaysPasses,
        Self::AdoptedSession,
        Self::BlockInbound,
        Self::BlockInternet,
        Self::BlockLan,
        Self::BlockLocal,
        Self::AppRules,
        Self::Rules,
        Self::InvalidAddress,
        Self::Loopback,
        Self::AdoptedListener,
        Self::DefaultAction,
    ];

    /// The step as shown to people.
    pub fn title(self) -> &'static str {
        match self {
            Self::AlwaysPasses => "always passes",
            Self::AdoptedSession => "adopted sessions",
            Self::BlockInbound => "block_inbound",
            Self::BlockInternet => "block_internet",
            Self::BlockLan => "block_lan",
            Self::BlockLocal => "block_local",
            Self::AppRules => "rules of the app",
            Self::Rules => "rules for all",
            Self::InvalidAddress => "invalid addresses",
            Self::Loopback => "loopback",
            Self::AdoptedListener => "adopted services",
            Self::DefaultAction => "default_action",
        }
    }
}

impl StepOutcome {
    /// The outcome as shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permits => "permits",
            Self::Denies => "denies",
            Self::Passes => "goes on",
            Self::NotReached => "not reached",
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(text) | Self::App(text) => f.write_str(text),
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

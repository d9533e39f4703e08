//! What the tree looks like right now, for the command, the API and metrics.

use serde::{Deserialize, Serialize};

/// What a component is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// Being made.
    Starting,
    /// Alive.
    Running,
    /// Waits before its next start.
    BackingOff,
    /// Being stopped in order.
    Stopping,
    /// Stopped for good.
    Stopped,
}

/// One component, as shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// As in the manifest.
    pub name: String,
    /// Its supervision group.
    pub group: String,
    /// What it is doing.
    pub state: ComponentState,
    /// Its incarnation, from 1.
    pub generation: u64,
    /// Restarts since the worker started.
    pub restarts: u64,
    /// Incarnations that were abandoned as hung.
    pub hangs: u64,
    /// Why the last incarnation that failed did so.
    pub last_failure: Option<String>,
    /// Seconds since this incarnation started.
    pub uptime_s: f64,
    /// Messages that wait.
    pub mailbox_depth: usize,
    /// Most messages that may wait.
    pub mailbox_bound: usize,
    /// Messages handled (of a thread: rounds), over all incarnations.
    pub handled: u64,
    /// Messages refused or dropped because the mailbox was full.
    pub refused: u64,
    /// Mean handling time of a message, in microseconds, over all incarnations.
    pub mean_handle_us: f64,
    /// What traffic does while it is down.
    pub while_down: String,
}

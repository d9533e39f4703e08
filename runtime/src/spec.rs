//! What a component promises and may expect: one row of the manifest.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Counts the incarnations of a component, from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// What happens to a message for which the mailbox has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender gets it back as an error.
    Reject,
    /// The oldest message makes room. For telemetry.
    DropOldest,
}

/// The bound of a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    /// Most messages that wait.
    pub bound: usize,
    /// What happens beyond it.
    pub overflow: Overflow,
}

/// How many restarts are an accident, and how many a defect that the parent has to deal with.
#[derive(Clone, Copy, Debug)]
pub struct Intensity {
    /// Restarts allowed within the window.
    pub restarts: u32,
    /// The window.
    pub window: Duration,
}

/// How long to wait before a restart: nothing the first time, then `first`,
/// doubled each time up to `most`, with up to a quarter of jitter. An
/// incarnation that lived longer than `healthy_after` clears the count.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Wait before the second restart in a row.
    pub first: Duration,
    /// Longest wait.
    pub most: Duration,
    /// Run time after which a failure counts as the first again.
    pub healthy_after: Duration,
}

/// How long a component may take before it counts as hung.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For its start.
    pub start: Duration,
    /// For one message, or one round of a thread.
    pub handle: Duration,
    /// For an ordered stop.
    pub stop: Duration,
}

/// Who is restarted when a child of the group fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// That child.
    OneForOne,
    /// That child and those declared after it.
    RestForOne,
    /// All children.
    OneForAll,
}

/// One row of the manifest.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Unique in the tree, as shown by `seawall components`: `datapath/new`.
    pub name: &'static str,
    /// The group whose strategy holds for it.
    pub group: &'static str,
    /// Restarts that are tolerated before the group as a whole fails.
    pub intensity: Intensity,
    /// Waits between restarts.
    pub backoff: Backoff,
    /// Messages that may wait.
    pub mailbox: Mailbox,
    /// When it counts as hung.
    pub deadlines: Deadlines,
    /// The components that it asks and waits for; the tree has no cycle of these.
    pub asks: &'static [&'static str],
    /// The components that it tells things, without waiting.
    pub tells: &'static [&'static str],
    /// What traffic does while it is down.
    pub while_down: &'static str,
}

impl Default for Intensity {
    /// Ten restarts in ten seconds.
    fn default() -> Self {
        Self { restarts: 10, window: Duration::from_secs(10) }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(10),
            most: Duration::from_secs(1),
            healthy_after: Duration::from_secs(5),
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(2),
            handle: Duration::from_secs(1),
            stop: Duration::from_secs(1),
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { bound: 256, overflow: Overflow::Reject }
    }
}

//! The manifest: one row a component, in the order in which they start.
//!
//! No component is restarted because another failed: what each knows is
//! rebuilt at its start, published beyond its death, or lies in a journal.

use std::time::Duration;

use seawall_runtime::{Backoff, Deadlines, Intensity, Mailbox, Overflow, Spec, Strategy};

/// A supervision group.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) strategy: Strategy,
    pub(super) intensity: Intensity,
}

/// The groups, all below the root.
pub(super) const GROUPS: [Group; 3] = [
    // Who says what is wanted, and who puts it into the kernel.
    Group { name: "control", strategy: Strategy::OneForOne, intensity: OFTEN },
    // Who answers packets.
    Group { name: "packets", strategy: Strategy::OneForOne, intensity: OFTEN },
    // Who may fail for ever without any harm to traffic.
    Group { name: "edge", strategy: Strategy::OneForOne, intensity: EDGE_INTENSITY },
];

pub(super) const KEEPER: Spec = Spec {
    name: "keeper",
    group: "control",
    intensity: SELDOM,
    backoff: QUICK,
    mailbox: Mailbox { bound: 64, overflow: Overflow::Reject },
    // The keeper hears nothing meanwhile, and loses patience after three seconds.
    deadlines: Deadlines { start: seconds(1), handle: millis(1200), stop: millis(500) },
    asks: &[],
    tells: &[],
    while_down: "rules stay as they are; after three seconds the keeper replaces the worker",
};

pub(super) const NETWORK: Spec = Spec {
    name: "network",
    group: "control",
    intensity: SELDOM,
    backoff: QUICK,
    // What finds no room is told again, or seen at the next look.
    mailbox: Mailbox { bound: 16, overflow: Overflow::Reject },
    // Lists interfaces and routes; the driver of a wireless card may wait for its firmware for seconds.
    deadlines: Deadlines { start: seconds(5), handle: seconds(5), stop: millis(500) },
    asks: &[],
    tells: &["policy"],
    while_down: "the machine counts as being where it was last seen",
};

pub(super) const POLICY: Spec = Spec {
    name: "policy",
    group: "control",
    intensity: SELDOM,
    backoff: QUICK,
    mailbox: Mailbox { bound: 64, overflow: Overflow::Reject },
    // Writes to disk before it answers.
    deadlines: Deadlines { start: seconds(5), handle: seconds(5), stop: seconds(1) },
    asks: &[],
    tells: &["datapath"],
    while_down: "the policy in force stays; changes of the file wait",
};

pub(super) const PROCESS: Spec = Spec {
    name: "process",
    group: "packets",
    intensity: OFTEN,
    backoff: AT_ONCE,
    // As many as `verdict` may have to ask about.
    mailbox: Mailbox { bound: 8192, overflow: Overflow::Reject },
    // Reads /proc, a thousand processes at most in one go.
    deadlines: Deadlines { start: seconds(1), handle: millis(1500), stop: millis(500) },
    asks: &[],
    tells: &["datapath", "policy"],
    while_down: "new connections whose verdict depends on their app wait, at most 5 s; others don't notice",
};

pub(super) const PROMPT: Spec = Spec {
    name: "prompt",
    group: "edge",
    intensity: EDGE_INTENSITY,
    backoff: EDGE_BACKOFF,
    // Twice the connections that may wait for the user: they are all asked about again when one is answered.
    mailbox: Mailbox { bound: 2048, overflow: Overflow::Reject },
    // Writes to disk before it answers; `verdict` waits four seconds for it, and its successor.
    deadlines: Deadlines { start: seconds(2), handle: millis(1500), stop: seconds(1) },
    asks: &["policy"],
    tells: &["datapath"],
    while_down: "new connections that the user should be asked about wait, at most 5 s; those that wait for an answer go on waiting; others don't notice",
};

pub(super) const VERDICT: Spec = Spec {
    name: "verdict",
    group: "packets",
    intensity: OFTEN,
    backoff: AT_ONCE,
    // Twice the flows that may be parked: a restarted reader asks again for all of them.
    mailbox: Mailbox { bound: 8192, overflow: Overflow::Reject },
    deadlines: Deadlines { start: seconds(1), handle: seconds(1), stop: millis(500) },
    asks: &["process", "prompt"],
    tells: &[],
    while_down: "new connections wait in the kernel, at most 5 s; decided ones go on",
};

pub(super) const DATAPATH_NEW: Spec = Spec {
    name: "datapath/new",
    group: "packets",
    intensity: OFTEN,
    backoff: AT_ONCE,
    // Answers come beyond the bound: there are as many as questions.
    mailbox: Mailbox { bound: 1024, overflow: Overflow::Reject },
    deadlines: Deadlines { start: seconds(1), handle: seconds(1), stop: seconds(1) },
    asks: &["verdict"],
    tells: &["datapath/rest", "datapath"],
    while_down: "new connections wait in the kernel; decided ones go on",
};

pub(super) const DATAPATH_REST: Spec = Spec {
    name: "datapath/rest",
    group: "packets",
    intensity: OFTEN,
    backoff: AT_ONCE,
    // What it forgets is judged anew.
    mailbox: Mailbox { bound: 8192, overflow: Overflow::DropOldest },
    deadlines: Deadlines { start: seconds(1), handle: seconds(1), stop: seconds(1) },
    asks: &[],
    tells: &["datapath"],
    while_down: "packets without a standing verdict wait in the kernel; others go on",
};

pub(super) const DATAPATH: Spec = Spec {
    name: "datapath",
    group: "control",
    intensity: SELDOM,
    backoff: QUICK,
    mailbox: Mailbox { bound: 4096, overflow: Overflow::Reject },
    // Putting a policy in force waits for the keeper, who runs iptables-restore.
    deadlines: Deadlines { start: seconds(1), handle: seconds(5), stop: millis(500) },
    asks: &["keeper", "verdict"],
    tells: &["keeper", "process", "datapath/new", "datapath/rest"],
    while_down: "packets are judged as before; a policy change waits",
};

pub(super) const API: Spec = Spec {
    name: "api",
    group: "edge",
    intensity: EDGE_INTENSITY,
    backoff: EDGE_BACKOFF,
    mailbox: Mailbox { bound: 256, overflow: Overflow::Reject },
    deadlines: Deadlines { start: seconds(1), handle: seconds(1), stop: millis(500) },
    asks: &["policy", "datapath", "process", "prompt", "verdict"],
    tells: &[],
    while_down: "nobody can look or reload; traffic doesn't notice",
};

/// A component whose restart costs nobody more than a moment: a defect shows
/// itself by many restarts, not by a few.
const OFTEN: Intensity = Intensity { restarts: 30, window: seconds(10) };

const SELDOM: Intensity = Intensity { restarts: 10, window: seconds(10) };

/// With [`EDGE_BACKOFF`] never reached.
const EDGE_INTENSITY: Intensity = Intensity { restarts: 10, window: seconds(5) };

const EDGE_BACKOFF: Backoff =
    Backoff { first: millis(100), most: seconds(1), healthy_after: seconds(5) };

/// Packets wait meanwhile.
const AT_ONCE: Backoff = Backoff { first: millis(2), most: millis(100), healthy_after: seconds(2) };

const QUICK: Backoff = Backoff { first: millis(10), most: seconds(1), healthy_after: seconds(5) };

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

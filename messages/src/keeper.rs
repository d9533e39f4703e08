//! The conversation between worker and keeper: two processes, one protocol
//! version, postcard frames over a sequenced-packet socket pair, descriptors
//! beside them.
//!
//! Variants and fields are only ever appended.

use seawall_runtime::Reply;
use serde::{Deserialize, Serialize};

use crate::policy::Mode;

/// Raised when a frame changes shape. A worker refuses a keeper that speaks another one.
pub const PROTOCOL_VERSION: u16 = 1;

/// The largest frame, descriptors aside.
pub const MAX_FRAME_BYTES: usize = 16 * 1024;

/// Which of the kernel's packet queues belong to us, and how packets are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Number of the first queue; see `platform` for the thirty that follow.
    pub queue_base: u16,
    /// Lowest bit of our eight bits in the packet mark: 0 to 24.
    pub mark_shift: u8,
    /// First of our 64 connection labels: 0 or 64.
    pub label_base: u8,
    /// Group id that proves that a socket is ours.
    pub own_gid: u32,
}

impl Default for Layout {
    fn default() -> Self {
        Self { queue_base: 7300, mark_shift: 24, label_base: 64, own_gid: 61_017 }
    }
}

/// The rule set that the worker wants in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedRules {
    /// 1 to 7: the epoch whose standing verdicts are honoured.
    pub epoch: u8,
    /// What new flows do while nobody reads the queues.
    pub mode: Mode,
    /// Whether loopback packets are judged.
    pub judge_loopback: bool,
}

/// From the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToKeeper {
    /// First frame.
    Hello {
        /// [`PROTOCOL_VERSION`] of the worker.
        version: u16,
    },
    /// Keep the descriptor that comes with this frame for the worker's
    /// successors, under this name. One that was there is closed.
    Deposit {
        /// At most 64 bytes.
        name: String,
    },
    /// Close the descriptor of that name.
    Withdraw {
        /// As deposited.
        name: String,
    },
    /// Install these rules, or change to them. Answered by `RulesSet`.
    SetRules {
        /// Comes back in the answer.
        request: u32,
        /// The rules.
        rules: WantedRules,
    },
    /// Look at the rules now: a packet came back as it should not.
    CheckRules,
    /// Policy is loaded and packets are judged.
    Ready,
    /// The worker is alive. At least once a second.
    Heartbeat,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Answers `Hello`. As many `Descriptor` frames follow as said.
    Welcome {
        /// [`PROTOCOL_VERSION`] of the keeper.
        version: u16,
        /// Where queues, marks and labels lie.
        layout: Layout,
        /// Which program writes the rules.
        backend: String,
        /// Workers that crashed within the last ten seconds.
        recent_crashes: u32,
        /// Crashed workers in all, since the keeper started.
        crashes: u32,
        /// The rules in the kernel, if a worker before this one set them.
        rules: Option<WantedRules>,
        /// How many `Descriptor` frames follow.
        descriptors: u32,
    },
    /// One kept descriptor, beside this frame.
    Descriptor {
        /// As deposited; the keeper's own are named in `platform`.
        name: String,
    },
    /// Answers `SetRules`.
    RulesSet {
        /// The request's number.
        request: u32,
        /// What went wrong, for people.
        result: Result<(), String>,
    },
    /// Someone changed our rules; they were put back.
    RulesMended {
        /// How often so far.
        times: u64,
    },
    /// Finish in order and exit.
    Stop,
    /// Our rules are not as they should be and could not be put back, or (`None`) are again.
    RulesBroken {
        /// What went wrong, for people.
        problem: Option<String>,
    },
    /// Whether judged packets have nothing more to meet in the chain where they
    /// were queued. Said when it changes; nothing is known until then.
    NothingBehind {
        /// No rule of others stands behind ours there.
        nothing: bool,
    },
}

/// What the worker's `keeper` component (its end of the link) is told and asked.
#[derive(Debug)]
pub enum Message {
    /// From `datapath`: make the kernel's rules these. Idempotent.
    SetRules {
        /// The rules.
        rules: WantedRules,
        /// What went wrong, for people.
        reply: Reply<Result<(), String>>,
    },
    /// From `datapath`: the rules may have been changed; look now.
    CheckRules,
    /// From `datapath`: policy is loaded, rules are in place, packets are judged.
    Ready,
}

/// What the worker knows of its keeper; published by the `keeper` component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperFacts {
    /// Process id of the keeper.
    pub pid: u32,
    /// Which program writes the rules.
    pub backend: String,
    /// Workers that crashed within ten seconds before this one started.
    pub recent_crashes: u32,
    /// Workers that crashed since the keeper started.
    pub crashes: u32,
    /// How often the rules had to be put back.
    pub rules_mended: u64,
    /// Why the rules could not be put back, while they are not as they should be.
    pub rules_problem: Option<String>,
    /// Whether judged packets have nothing more to meet in the chain where they
    /// were queued, so that a bare accept cuts no rule of others short.
    pub nothing_behind: bool,
}

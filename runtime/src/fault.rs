//! Faults, injected on purpose. The description is always compiled, so that
//! messages can carry it; what carries them out is only there with the feature
//! `fault-injection`. With it, faults may also be set before the start, in the
//! environment variable `SEAWALL_FAULTS`: a JSON list of `{"component", "fault": {…}}`.

#[cfg(feature = "fault-injection")]
pub(crate) mod active;

use serde::{Deserialize, Serialize};

/// What happens to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Panic at the n-th message (or round of a thread) from now; 1 is the next.
    Panic {
        /// Which message.
        after: u32,
    },
    /// Never finish the next message: a future that stays pending (in a thread: sleep).
    HangPending,
    /// Never finish the next message: spin.
    HangSpinning,
    /// Fail the next so many starts, beginning with a crash now.
    FailStart {
        /// How many.
        times: u32,
    },
    /// Take that much longer over each message.
    Slow {
        /// Microseconds added to each.
        delay_us: u64,
        /// How many messages.
        messages: u32,
    },
    /// Refuse messages as if the mailbox were full.
    MailboxFull {
        /// For how long.
        duration_ms: u64,
    },
    /// Drop each message with this chance, by a seeded generator.
    DropMessages {
        /// Of a thousand.
        per_mille: u16,
        /// Seed.
        seed: u64,
        /// How many messages the fault is in force for.
        messages: u32,
    },
    /// Panic whenever the component looks at something with this token (a
    /// destination port, say). Stays through restarts of the component.
    Poison {
        /// The token.
        token: u64,
    },
    /// Undo all of the above. What was made to spin, or a thread to sleep, goes on; by
    /// then it belongs to an abandoned incarnation.
    Clear,
}

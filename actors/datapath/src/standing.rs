//! Which verdicts stand.

use seawall_messages::PolicyGeneration;
use seawall_platform::linux::layout::Epoch;

/// The policy whose verdicts get permanence, and the epoch that says so in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy. Zero before the first one is in force.
    pub generation: PolicyGeneration,
    /// The epoch of its labels.
    pub epoch: Epoch,
}

impl Standing {
    /// Before any policy is in force. `inherited`: the epoch of rules that an
    /// earlier worker left in the kernel.
    pub fn initial(inherited: Option<Epoch>) -> Self {
        Self { generation: PolicyGeneration(0), epoch: inherited.unwrap_or(Epoch::FIRST) }
    }
}

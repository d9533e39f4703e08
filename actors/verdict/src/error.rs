//! What can go wrong in `verdict`: deciding itself can't fail.

use seawall_messages::verdict::MAX_BATCH;

/// Why a question is left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// More connections than are decided well within a handling deadline.
    #[error("can't judge {connections} connections in one batch of at most {MAX_BATCH}")]
    BatchTooLarge {
        /// How many were asked for.
        connections: usize,
    },
}

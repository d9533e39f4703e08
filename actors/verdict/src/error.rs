//! What can go wrong in `verdict`: not deciding itself, but being asked, and learning who asks.

use seawall_messages::verdict::MAX_BATCH;
use seawall_runtime::AskError;

use crate::judge::{MAX_BATCHES, MAX_EXPLANATIONS, MAX_QUESTIONS};

/// Why a question is left unanswered, or is answered without knowing all that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// More connections than are decided well within a handling deadline.
    #[error("can't judge {connections} connections in one batch of at most {MAX_BATCH}")]
    BatchTooLarge {
        /// How many were asked for.
        connections: usize,
    },
    /// As many batches wait for owners as may.
    #[error("{MAX_BATCHES} batches wait for the owners of their connections")]
    TooManyBatches,
    /// As many connections wait for owners as may.
    #[error("{MAX_QUESTIONS} connections wait for their owners to be known")]
    TooManyQuestions,
    /// As many explanations are made as may.
    #[error("{MAX_EXPLANATIONS} explanations are under way; try again")]
    TooManyExplanations,
    /// `process` doesn't say.
    #[error("can't learn from process whose connection it is")]
    NotIdentified(#[source] AskError),
    /// `prompt` doesn't say.
    #[error("can't have the user asked by prompt")]
    NotAsked(#[source] AskError),
    /// `process` answered a batch with more or fewer owners than it was asked for.
    #[error("process named {named} owners for {connections} connections")]
    Miscounted {
        /// How many it named.
        named: usize,
        /// How many it was asked for.
        connections: usize,
    },
    /// The policy changed each time that an answer came.
    #[error("the policy changed faster than owners could be learnt")]
    PolicyUnsettled,
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

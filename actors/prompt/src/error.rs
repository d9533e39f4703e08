//! What can go wrong in `prompt`.

use seawall_runtime::{Failure, LeaseError, StartError};

/// Why the component can't go on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A successor is at work.
    #[error("can't act for prompts any more")]
    Abandoned(#[from] LeaseError),
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self(chain(&error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(chain(&error))
    }
}

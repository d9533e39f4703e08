//! What can go wrong in `policy`, beyond files and rules, which have errors of their own.

use seawall_runtime::{Failure, LeaseError, StartError};

use crate::store::StoreError;

/// Why the component can't go on, or a question can't be answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is bad and there is no copy of a good one.
    #[error("can't load a policy: the file is refused and no good copy of it is known\n{0}")]
    NoPolicy(String),
    /// The durable state.
    #[error("can't use the policy state")]
    Store(#[from] StoreError),
    /// The copy of the last good file is not good.
    #[error("can't use the last good copy of the policy file\n{0}")]
    CopyRefused(String),
    /// A successor is at work.
    #[error("can't act for the policy any more")]
    Abandoned(#[from] LeaseError),
}

/// An error with its causes, in one line for each.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
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

//! What can go wrong in `network`. What the kernel refuses is told and tried again.

use seawall_runtime::{Failure, StartError};

/// Why the component can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// A successor is at work.
    Abandoned,
}

const ABANDONED: &str = "can't say where the machine is any more: a successor does";

impl From<Error> for StartError {
    fn from(Error::Abandoned: Error) -> Self {
        Self(ABANDONED.to_owned())
    }
}

impl From<Error> for Failure {
    fn from(Error::Abandoned: Error) -> Self {
        Self(ABANDONED.to_owned())
    }
}

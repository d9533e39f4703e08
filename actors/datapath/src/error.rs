//! What can keep the datapath from doing its work.

use seawall_platform::linux::conntrack::ConntrackError;
use seawall_platform::linux::queue::QueueError;
use seawall_platform::linux::sockets::SocketsError;
use seawall_runtime::{AskError, LeaseError};

/// Why the datapath could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue failed.
    #[error("the packet queue failed")]
    Queue(#[from] QueueError),
    /// A successor has taken over.
    #[error("a successor has taken over the queue")]
    Replaced(#[from] LeaseError),
    /// Waiting for packets failed.
    #[error("can't wait for packets")]
    Wait(#[source] std::io::Error),
    /// Connection tracking failed.
    #[error("can't read or change tracked connections")]
    Conntrack(#[from] ConntrackError),
    /// Socket tables failed.
    #[error("can't read or cut sockets")]
    Sockets(#[from] SocketsError),
    /// `verdict` did not answer about live flows.
    #[error("live connections could not be judged again")]
    Verdict(#[source] AskError),
    /// The keeper did not answer.
    #[error("the keeper did not answer")]
    Keeper(#[source] AskError),
    /// The keeper could not install the rules.
    #[error("{0}")]
    Rules(String),
}

impl Error {
    /// The whole chain in one line, for status and logs.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

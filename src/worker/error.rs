//! Why the worker can't work.

use std::io;
use std::path::PathBuf;

use seawall_platform::linux::link::LinkError;
use seawall_policy::StoreError;
use seawall_runtime::TreeError;

/// What can go wrong before the tree runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// Started by hand, or the keeper died meanwhile.
    #[error("there is no keeper: a worker is started by `seawall run` only")]
    NoKeeper(#[source] io::Error),
    /// Standard input is not the link.
    #[error("can't take the link to the keeper")]
    Link(#[source] io::Error),
    /// The conversation with the keeper failed.
    #[error("can't talk to the keeper")]
    Talk(#[source] LinkError),
    /// The two are of different builds.
    #[error("the keeper speaks protocol version {theirs}, this worker version {ours}")]
    Version {
        /// The keeper's.
        theirs: u16,
        /// The worker's.
        ours: u16,
    },
    /// The keeper said something else than it should.
    #[error("the keeper did not say {0}")]
    Unexpected(&'static str),
    /// A descriptor that should have come did not.
    #[error("the keeper did not hand over {0}")]
    Missing(&'static str),
    /// Capabilities.
    #[error("can't give up privileges")]
    Privileges(#[source] io::Error),
    /// The API's socket.
    #[error("can't listen on {}", path.display())]
    Socket {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state of policy.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Counting.
    #[error(transparent)]
    Metrics(#[from] seawall_api::MetricsError),
    /// A wake-up descriptor.
    #[error("can't make what wakes a thread")]
    Wake(#[source] io::Error),
    /// Packet queues.
    #[error(transparent)]
    Queue(#[from] seawall_platform::linux::queue::QueueError),
    /// Packet journals.
    #[error(transparent)]
    Journal(#[from] seawall_platform::linux::journal::JournalError),
    /// The supervision tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl WorkerError {
    /// Whether the next worker would meet the same.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Version { .. }
                | Self::Privileges(_)
                | Self::Socket { .. }
                | Self::Store(_)
                | Self::Tree(TreeError::Malformed(_) | TreeError::Start { .. })
        )
    }
}

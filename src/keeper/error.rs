//! Why the keeper refuses to start, or gives up.

use std::path::PathBuf;

use seawall_platform::linux::conntrack::ConntrackError;
use seawall_platform::linux::journal::JournalError;
use seawall_platform::linux::link::LinkError;
use seawall_platform::linux::queue::QueueError;
use seawall_platform::linux::rules::RulesError;

use super::estate::EstateError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// The caller may not.
    #[error(
        "guarding the network needs root (the capability CAP_NET_ADMIN): try `sudo seawall run`"
    )]
    NotRoot,
    /// Two would fight over the packets.
    #[error("another Seawall guards this network namespace already (see `seawall status`)")]
    AlreadyGuarded,
    /// The policy can't be used and there is no copy to go by.
    #[error("the policy is refused:\n{0}")]
    Policy(String),
    /// A folder can't be made.
    #[error("can't make the folder {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The worker says that it can't work here, and the next one could not either.
    #[error("the worker refused to start; the reason is in its log lines above")]
    Refused,
    /// The lock could not even be tried.
    #[error("can't take the lock of this network namespace")]
    Lock(#[source] std::io::Error),
    /// No worker can be started.
    #[error("can't start the worker process")]
    Spawn(#[source] std::io::Error),
    /// Waiting failed.
    #[error("can't wait for events")]
    Wait(#[source] std::io::Error),
    /// Packet queues.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Packet journals.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the program before this one handed on.
    #[error(transparent)]
    Estate(#[from] EstateError),
    /// The keeper's own socket.
    #[error("can't open the keeper's socket in {}", run_dir.display())]
    Control {
        /// Where.
        run_dir: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The guardian ends so that the service manager starts the old program.
    #[error("the new keeper failed; the service manager starts the service again")]
    LeftToManager,
    /// What an upgrade that nobody ended left.
    #[error("can't settle what an interrupted upgrade left in {}", state_dir.display())]
    Unsettled {
        /// Where.
        state_dir: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Firewall rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Connection tracking.
    #[error(transparent)]
    Conntrack(#[from] ConntrackError),
    /// The link to the worker.
    #[error(transparent)]
    Link(LinkError),
}

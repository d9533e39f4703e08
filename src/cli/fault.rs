//! The words of `seawall fault`.

use clap::Subcommand;
use seawall_runtime::fault::Fault;

/// What to do to a component.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum FaultVerb {
    /// Panic at a message
    Panic {
        /// Which message from now: 1 is the next
        #[arg(long, default_value_t = 1)]
        after: u32,
    },
    /// Never finish the next message, waiting
    HangPending,
    /// Never finish the next message, spinning
    HangSpinning,
    /// Crash now, and fail to start again
    FailStart {
        /// How often
        #[arg(long, default_value_t = 3)]
        times: u32,
    },
    /// Take longer over each message
    Slow {
        /// Microseconds added to each
        #[arg(long)]
        delay_us: u64,
        /// For how many messages
        #[arg(long)]
        messages: u32,
    },
    /// Refuse messages as if the mailbox were full
    MailboxFull {
        /// For how many milliseconds
        #[arg(long)]
        duration_ms: u64,
    },
    /// Lose messages by chance
    DropMessages {
        /// Of a thousand, how many are lost
        #[arg(long)]
        per_mille: u16,
        /// Seed of the generator
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// For how many messages
        #[arg(long)]
        messages: u32,
    },
    /// Panic whenever something with this token is looked at
    Poison {
        /// The token: a destination port, say
        #[arg(long)]
        token: u64,
    },
    /// Undo all of these
    Clear,
}

impl From<FaultVerb> for Fault {
    fn from(verb: FaultVerb) -> Self {
        match verb {
            FaultVerb::Panic { after } => Self::Panic { after },
            FaultVerb::HangPending => Self::HangPending,
            FaultVerb::HangSpinning => Self::HangSpinning,
            FaultVerb::FailStart { times } => Self::FailStart { times },
            FaultVerb::Slow { delay_us, messages } => Self::Slow { delay_us, messages },
            FaultVerb::MailboxFull { duration_ms } => Self::MailboxFull { duration_ms },
            FaultVerb::DropMessages { per_mille, seed, messages } => {
                Self::DropMessages { per_mille, seed, messages }
            }
            FaultVerb::Poison { token } => Self::Poison { token },
            FaultVerb::Clear => Self::Clear,
        }
    }
}

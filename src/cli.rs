//! The command line: what may be said, and what it means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use seawall_platform::linux::rules::Backend;

/// Version as shown, with a word for builds that can break themselves on purpose.
pub(crate) const VERSION: &str = if cfg!(feature = "fault-injection") {
    concat!(env!("CARGO_PKG_VERSION"), "+fault-injection")
} else {
    env!("CARGO_PKG_VERSION")
};

const EXIT_CODES: &str = "\
Exit codes:
  0  it went well; for status: PROTECTED
  1  it did not
  2  the command line is wrong
  3  status: DEGRADED
  4  status: NOT PROTECTED; every verb but run: Seawall is not running";

/// An application firewall that nothing knocks over.
#[derive(Debug, Parser)]
#[command(name = "seawall", version = VERSION, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Guard this network namespace, in the foreground, until SIGTERM or SIGINT
    ///
    /// Prints `seawall: ready` as soon as packets are judged, and tells systemd
    /// (Type=notify). Needs root. One Seawall guards a network namespace.
    #[command(after_help = EXIT_CODES)]
    Run(Folders),

    /// The process that does the work; started by `run`
    #[command(hide = true)]
    Worker(WorkerArguments),

    /// The process that waits beside an upgrade; started by `run`
    #[command(hide = true)]
    Guardian,

    /// Say whether this machine is protected, and if not, why
    #[command(after_help = EXIT_CODES)]
    Status(Common),

    /// Show the supervision tree: what runs, what failed, how often
    #[command(after_help = EXIT_CODES)]
    Components(Common),

    /// Show connections with their verdict and its reason, newest first
    #[command(after_help = EXIT_CODES)]
    Connections {
        /// Most connections shown
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },

    /// Show the apps on the network: their connections, what they move, and how that is known
    #[command(after_help = EXIT_CODES)]
    Ps {
        /// Also those without an open connection
        #[arg(long, short)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },

    /// Show or remove what was reachable before Seawall first started
    ///
    /// Services that listened and connections that were established then stay
    /// reachable until they are removed here.
    #[command(after_help = EXIT_CODES)]
    Adopted {
        #[command(subcommand)]
        what: Option<AdoptedVerb>,
        #[command(flatten)]
        common: Common,
    },

    /// Read the policy file again now, and wait until it is in force
    #[command(after_help = EXIT_CODES)]
    Reload(Common),

    /// Remove every rule and label that a Seawall left behind
    ///
    /// For a machine in lockdown after Seawall was stopped, or after a crash.
    /// Refused while a Seawall guards this network namespace.
    #[command(after_help = EXIT_CODES)]
    RemoveRules(Folders),

    /// Before the network is up: in lockdown, drop what is new until Seawall judges
    ///
    /// Installs the rules of an absent Seawall, which pass loopback, neighbour
    /// discovery and DHCP. In open mode it does nothing.
    #[command(after_help = EXIT_CODES)]
    EarlyRules(Folders),

    /// Put another Seawall in the place of the running one; no connection notices
    ///
    /// Without FILE: the one that is installed by now. The new one must judge
    /// packets within seconds, or the old one comes back. Needs root.
    #[command(after_help = EXIT_CODES)]
    Upgrade {
        /// The new program, which is installed first
        file: Option<PathBuf>,
        /// Where the keeper's socket is
        #[arg(long, value_name = "DIR", default_value = "/run/seawall")]
        run_dir: PathBuf,
    },

    /// Install, remove or look at the service of systemd
    ///
    /// For machines without the package. What is installed starts at boot,
    /// before the network. Needs root.
    #[command(after_help = EXIT_CODES)]
    Service {
        #[command(subcommand)]
        what: ServiceVerb,
        /// The root folder of an image, in place of this machine
        #[arg(long, value_name = "DIR", default_value = "/", global = true)]
        root: PathBuf,
    },

    /// Break a component on purpose
    #[cfg(feature = "fault-injection")]
    #[command(after_help = EXIT_CODES)]
    Fault {
        /// Its name, as `seawall components` shows it
        component: String,
        #[command(subcommand)]
        fault: FaultVerb,
        #[command(flatten)]
        common: Common,
    },
}

/// Where the policy is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// The policy file
    #[arg(long = "config", value_name = "FILE", default_value = "/etc/seawall/seawall.toml")]
    pub(crate) config: PathBuf,
}

/// Where a Seawall reads and writes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Folders {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// What outlives a restart: the last good policy, adopted entries
    #[arg(long, value_name = "DIR", default_value = "/var/lib/seawall")]
    pub(crate) state_dir: PathBuf,
    /// Where the API's socket is
    #[arg(long, value_name = "DIR", default_value = "/run/seawall")]
    pub(crate) run_dir: PathBuf,
}

/// What the keeper tells the worker on its command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArguments {
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// Process id of the keeper
    #[arg(long)]
    pub(crate) keeper_pid: u32,
    /// Where metrics are served
    #[arg(long)]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// Which back-end the policy file asked for
    #[arg(long, value_parser = crate::settings::backend_of_name)]
    pub(crate) backend: Option<Backend>,
}

/// What every verb that asks a running Seawall takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Where the API's socket is
    #[arg(long, value_name = "DIR", default_value = "/run/seawall", global = true)]
    pub(crate) run_dir: PathBuf,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do with adopted entries.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum AdoptedVerb {
    /// Show them (also without a verb)
    List,
    /// Forget one: from now on the policy alone decides
    Remove {
        /// Its id, as the list shows it
        id: u32,
    },
}

/// What to do with the service.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// Copy this program to /usr/local/bin, write the units, enable and start them
    Install {
        /// Don't start it now: it starts at the next boot
        #[arg(long)]
        no_start: bool,
    },
    /// Stop it, remove what was installed and every rule
    Uninstall {
        /// Also the policy in /etc/seawall and the state in /var/lib/seawall
        #[arg(long)]
        purge: bool,
    },
    /// Say what is installed, and whether it runs
    Status,
}

/// What to do to a component.
#[cfg(feature = "fault-injection")]
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

#[cfg(feature = "fault-injection")]
impl From<FaultVerb> for seawall_runtime::fault::Fault {
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

#[cfg(test)]
mod tests;

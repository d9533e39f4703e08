//! What verbs take.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use seawall_messages::Protocol;
use seawall_messages::explain::Whom;
use seawall_platform::linux::rules::Backend;

use crate::client::USUAL_RUN_DIR;
use crate::verbs::explain::{self, Target};

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
    #[arg(long, value_name = "DIR", default_value = USUAL_RUN_DIR, global = true)]
    pub(crate) run_dir: PathBuf,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What `seawall explain` is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExplainArguments {
    /// Whose connection: a path, a program in PATH, an app's id as `seawall ps
    /// --json` shows it (snap:firefox), a process id, or - for nobody
    #[arg(value_name = "APP", value_parser = explain::whom)]
    pub(crate) whom: Whom,
    /// The other end: IP, IP:PORT or [IPv6]:PORT. Without a port, 443 is meant
    #[arg(value_parser = explain::target)]
    pub(crate) target: Target,
    /// Its protocol: a name, such as udp or icmp, or a number
    #[arg(long, value_parser = explain::protocol, default_value = "tcp")]
    pub(crate) protocol: Protocol,
    /// TARGET is who opens it, its port the one that is called here
    #[arg(long)]
    pub(crate) inbound: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// A shell that completes command lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ShellName {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
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
